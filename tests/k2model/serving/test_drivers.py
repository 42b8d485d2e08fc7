"""Packages of others against a real server, each installed into an environment of its own; run by hand:

pytest -m drivers tests/k2model/serving/test_drivers.py
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import load_checkpoint
from tests.environments import environment, run_there

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent


def test_litellm_chats_streams_calls_and_echoes(tmp_path: Path, url: str) -> None:
    python = environment(tmp_path / "env", "litellm", over_ours=False)
    told = json.loads(run_there(python, HERE / "drivers/drive_litellm.py", url, cwd=tmp_path).splitlines()[-1])
    assert told["plain"] == told["streamed"] != ""
    assert told["usage"][0] == told["usage"][1]
    assert told["arguments"] == told["arguments_streamed"] != []
    assert all(json.loads(arguments)["city"] in ("Oslo", "Rome") for arguments in told["arguments"])
    assert told["after"][0] == told["after"][1] == told["after"][2]
    assert told["text"]
    assert "temperature" in told["refused"]


def test_langchain_chats_streams_calls_and_echoes(tmp_path: Path, url: str) -> None:
    python = environment(tmp_path / "env", "langchain-openai", over_ours=False)
    told = json.loads(run_there(python, HERE / "drivers/drive_langchain.py", url, cwd=tmp_path).splitlines()[-1])
    assert told["plain"] == told["streamed"] == told["responses"] == told["responses_streamed"] != ""
    assert told["pieces"] > 5
    assert told["usage"] > 0
    for calls in (told["arguments"], told["responses_arguments"]):
        assert calls
        assert all(isinstance(arguments["city"], str) for arguments in calls)
    assert told["completion"]


LIKELIHOOD = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}]
"""
UNTIL = """
task: words
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n", " mat"], max_gen_toks: 20, do_sample: false, temperature: 0.0}
metric_list: [{metric: exact_match}]
"""
DOCUMENTS: list[dict[str, Any]] = [
    {"question": "The cat sat on", "choices": ["the mat", "a", "Oslo, 3 days"], "answer": 0},
    {"question": "city:", "choices": ["Oslo", "cat", "the"], "answer": 1},
    {"question": "é\u2028y:", "choices": ["x", "ø", "days"], "answer": 2},
]


def _likelihood(folder: Path, tokenizer: K2Tokenizer, question: str, choice: str) -> tuple[float, bool]:
    """(log-probability of the choice after the question, whether it is what greedy decoding gives)."""
    context, ids = tokenizer.encode(question), tokenizer.encode(f"{question} {choice}")
    with torch.no_grad():
        logits = load_checkpoint(folder).eval()(torch.tensor([ids])).logits_BLV[0].float()
    logp = torch.log_softmax(logits, dim=-1)[len(context) - 1 : -1]
    targets = torch.tensor(ids[len(context) :])
    return logp.gather(1, targets[:, None]).sum().item(), bool((logp.argmax(-1) == targets).all())


def test_lm_eval_measures_what_the_model_says(tmp_path: Path, url: str, folder: Path, tokenizer: K2Tokenizer) -> None:
    python = environment(tmp_path / "env", "lm_eval[api]", over_ours=True)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name, task in (("colours", LIKELIHOOD), ("words", UNTIL)):
        (tasks / f"{name}.yaml").write_text(task.replace("DATA", str(data)))
    model = f"model=tiny,base_url={url}/v1/completions,tokenizer={folder},num_concurrent=2,max_retries=1,max_length=500"
    options = ["--tasks", "colours,words", "--include_path", tasks, "--output_path", tmp_path / "out", "--log_samples"]
    command = ["-m", "lm_eval", "--model", "local-completions", "--model_args", model, "--batch_size", "2", *options]
    run_there(python, *command, cwd=tmp_path)
    samples = {
        name: [json.loads(line) for line in next((tmp_path / "out").rglob(f"samples_{name}_*.jsonl")).open()]
        for name in ("colours", "words")
    }
    for sample in samples["colours"]:
        document = sample["doc"]
        wanted = [_likelihood(folder, tokenizer, document["question"], choice) for choice in document["choices"]]
        told = [response[0] for response in sample["resps"]]
        assert [float(value) for value, _ in told] == pytest.approx([value for value, _ in wanted], abs=1e-3)
        assert [str(greedy) for _, greedy in told] == [str(greedy) for _, greedy in wanted]
    assert len(samples["words"]) == len(DOCUMENTS)
    for sample in samples["words"]:
        assert "\n" not in sample["resps"][0][0]
