"""`python -m stages.qat`: INT4 quantization-aware training of the routed experts, beside the same steps without it.

Four networks are compared on the same held-out documents, facts and tasks of RL: `start` (the checkpoint that came
in), `bf16` (trained on without quantization), `ptq` (that one, rounded to nearest) and `qat` (trained on with fake
quantization; what is exported).
"""

from pathlib import Path

import torch

from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.int4_checkpoint import load_int4_checkpoint, save_int4_checkpoint
from k2model.formats.quant import check_widths, round_to_nearest, sizes, to_bfloat16
from k2model.model import K2Model
from k2model.training.token_shards import TokenStream
from stages.harness.declared import declared
from stages.harness.errors import InputError
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, FACTS, read_table
from stages.measure import loss as compare
from stages.measure.tasks import solved
from stages.posttraining.conversations import demonstration, encode
from stages.posttraining.packing import Example
from stages.qat.arm import Arm, Data, train
from stages.qat.params import QatParams
from stages.tracking.runs import Track

OUT = Path("models/qat")


def start_checkpoint() -> Path:
    """The checkpoint that `dvc.yaml` gives this stage."""
    return next(path for path in declared("qat").data if path.parts[0] == "models")


class Measure:
    """The held-out documents and the questions, the same for every network."""

    def __init__(self, stage: Stage[QatParams]) -> None:
        p = self.p = stage.params
        self.tokenizer = load_tokenizer(Path("data/tokenizer"))
        self.tasks = {family: held_tasks(family, p, stage.seed("tasks") % 2**32) for family in p.families}
        corpus = read_table(Path("data/corpus.parquet"), CORPUS)
        rows = zip(corpus["text"].to_pylist(), corpus["split"].to_pylist(), strict=True)
        texts = [text for text, split in rows if split == "validation"]
        self.documents = compare.held_out(texts, self.tokenizer, p.eval_documents, p.sequence_length, stage.rng("held"))
        facts = read_table(Path("data/facts.parquet"), FACTS).to_pylist()
        self.asked, self.pool = compare.train_facts(facts, p.eval_facts, stage.rng("facts"))
        if len(self.documents) < 2 or not self.asked:
            raise InputError("qat: data/corpus.parquet needs two validation documents, data/facts.parquet a fact")

    def __call__(self, model: K2Model) -> compare.Found:
        model.eval()
        p = self.p
        right = compare.facts_correct(
            model,
            self.tokenizer,
            self.asked,
            self.pool,
            shots=p.shots,
            answer_tokens=p.answer_tokens,
            batch_size=p.batch_size,
        )
        scores = [solved(model, self.tokenizer, Elementary(family), tasks) for family, tasks in self.tasks.items()]
        return compare.Found(
            losses=compare.losses(model, self.documents, p.batch_size, self.tokenizer.pad),
            facts=right,
            solved=round(sum(score or 0.0 for family in scores for score in family)),
            tasks=sum(map(len, scores)),
        )


def held_tasks(family: str, p: QatParams, seed: int) -> list[Task]:
    """Different held problems among `eval_tasks` draws: a small family repeats itself, which no interval may count."""
    drawn = Elementary(family, "held").tasks(p.eval_tasks, seed, p.difficulty)
    return list({str(task.messages[-1]["content"]): task for task in drawn}.values())


def demonstrations(stage: Stage[QatParams], tokenizer: K2Tokenizer) -> list[Example]:
    """RL's tasks and what a perfect assistant answers, so that the tuning doesn't drift away from them."""
    p = stage.params
    conversations = []
    for family in p.families:
        taskset = Elementary(family)
        tasks = taskset.tasks(p.demonstrations, stage.seed("demonstrations", family) % 2**32, p.difficulty)
        conversations += [demonstration(taskset, task) for task in tasks]
    return encode(tokenizer, conversations, p.sequence_length)[0]


def main() -> None:
    with Stage("qat", QatParams, Track, system_metrics=True) as stage:
        p = stage.params
        torch.set_num_threads(stage.common.threads)
        start = start_checkpoint()
        stream = TokenStream(Path("data/tokens"), "train", stage.seed("data"))
        measure = Measure(stage)
        examples = demonstrations(stage, measure.tokenizer)
        data = Data(p, stream, examples, stage.seed("rows") % 2**32, measure.tokenizer.pad)
        begun = load_checkpoint(start)
        check_widths(begun.config)
        found = {"start": measure(to_bfloat16(begun))}
        del begun
        with stage.progress(2 * p.steps, "step") as progress:
            models = {}
            for name, quantized in (("bf16", False), ("qat", True)):

                def done(step: int, loss: float, name: str = name) -> None:
                    stage.log({f"{name}/loss": loss}, step)
                    progress.update(1, f"{name} loss {loss:.3f}")

                arm = Arm(name, start, stage.work / name, quantized)
                models[name] = train(arm, p, data, done, lambda line: print(f"qat: {line}", flush=True))
        save_int4_checkpoint(models["qat"], OUT)
        found["qat"] = measure(load_int4_checkpoint(OUT))
        plain = to_bfloat16(models["bf16"])
        found["bf16"] = measure(plain)
        round_to_nearest(plain)
        found["ptq"] = measure(plain)
        metrics: dict[str, float] = {}
        for name in ("start", "bf16", "ptq", "qat"):
            metrics |= compare.summary(name, found[name], stage.seed("bootstrap"))
        for name in ("ptq", "qat"):
            one, other = found[name].losses, found["bf16"].losses
            metrics |= compare.difference(f"{name}_minus_bf16", one, other, stage.seed("paired"))
        size = sizes(plain.config)
        metrics |= {
            "documents": len(measure.documents),
            "facts_n": len(measure.asked),
            "tasks_n": found["qat"].tasks,
            "steps": p.steps,
            "bytes": size.total_int4,
            "bytes_ratio": size.total_int4 / size.total_bf16,
        }
        metrics = {key: round(value, 6) for key, value in metrics.items()}
        low, high = metrics["qat_minus_bf16_ci_low"], metrics["qat_minus_bf16_ci_high"]
        tasks = ", ".join(f"{metrics[f'tasks_{name}']:.0%}" for name in ("bf16", "ptq", "qat"))
        stage.finish(
            f"loss bf16 {metrics['loss_bf16']:.4f}, PTQ {metrics['ptq_minus_bf16']:+.4f}, QAT "
            f"{metrics['qat_minus_bf16']:+.4f} [{low:+.4f}, {high:+.4f}], tasks {tasks}, "
            f"{size.total_int4 / 1e6:.1f} MB, {metrics['bytes_ratio']:.2f}x of bf16",
            metrics=metrics,
        )


if __name__ == "__main__":
    main()
