"""What the four networks of QAT are compared by: held-out documents, closed-book facts, held problems of RL's tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gym.intervals import bootstrap_mean, wilson
from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, FACTS, read_table
from stages.measure import closed_book, loss
from stages.measure.tasks import elementary_scores
from stages.measure.text_loss import HeldText, TextLoss
from stages.posttraining.params import TasksParams
from stages.qat.params import QatParams


@dataclass(frozen=True)
class Measured:
    """What one network reached: nats per token of each document, each fact, and tasks solved of `tasks`.

    text: the loss that stands beside every stage's result, on the documents that all stages share.
    """

    losses: list[float]
    text: TextLoss
    facts: list[bool]
    solved: int
    tasks: int


class Measure:
    """The held-out documents and the questions, the same for every network.

    Raises:
        InputError: there are too few of them.
    """

    def __init__(self, stage: Stage[QatParams], shared: TasksParams, tokenizer: K2Tokenizer) -> None:
        p = self.p = stage.params
        self.tokenizer = tokenizer
        self.held_text = HeldText(stage.common.seed)
        seed = stage.seed32("tasks")
        self.tasks = {family: held_tasks(family, p.eval_tasks, seed, shared.difficulty) for family in shared.elementary}
        corpus = read_table(Path("data/corpus.parquet"), CORPUS)
        rows = zip(corpus["text"].to_pylist(), corpus["split"].to_pylist(), strict=True)
        texts = [text for text, split in rows if split == "validation"]
        documents = loss.documents(texts, self.tokenizer, p.sequence_length, stage.rng("held"))
        self.documents = list(islice(documents, p.eval_documents))
        facts = read_table(Path("data/facts.parquet"), FACTS).to_pylist()
        self.pool = [fact for fact in facts if fact["split"] == "train"]
        self.asked = closed_book.choose(self.pool, p.eval_facts, stage.rng("facts"))
        if len(self.documents) < 2 or not self.asked:
            raise InputError("qat: data/corpus.parquet needs two validation documents, data/facts.parquet a fact")

    def __call__(self, model: K2Model) -> Measured:
        model.eval()
        p = self.p
        answers = closed_book.ask(
            model,
            self.tokenizer,
            self.asked,
            self.pool,
            shots=p.shots,
            answer_tokens=p.answer_tokens,
            batch_size=p.batch_size,
        )
        scores = elementary_scores(model, self.tokenizer, self.tasks)
        return Measured(
            text=self.held_text(model, self.tokenizer),
            losses=loss.losses(model, self.documents, rows=p.batch_size, pad=self.tokenizer.pad),
            facts=[answer.correct for answer in answers],
            solved=round(sum(map(sum, scores.values()))),
            tasks=sum(map(len, scores.values())),
        )


def held_tasks(family: str, n: int, seed: int, difficulty: float) -> list[Task]:
    """Different held problems among `n` draws: a small family repeats itself, which no interval may count."""
    drawn = Elementary(family, "held").tasks(n, seed, difficulty)
    return list({str(task.messages[-1]["content"]): task for task in drawn}.values())


def summary(name: str, measured: Measured, seed: int) -> dict[str, float]:
    """Loss, fact accuracy and task success of one network with 95 % intervals."""
    metrics = _interval(f"loss_{name}", float(np.mean(measured.losses)), bootstrap_mean(measured.losses, seed))
    right, n = sum(measured.facts), len(measured.facts)
    metrics |= _interval(f"facts_{name}", right / n, wilson(right, n))
    solved = measured.solved / measured.tasks
    return metrics | _interval(f"tasks_{name}", solved, wilson(measured.solved, measured.tasks))


def difference(name: str, losses: Sequence[float], others: Sequence[float], seed: int) -> dict[str, float]:
    """Mean loss less that of another network on the same documents, with the interval of paired differences."""
    paired = [a - b for a, b in zip(losses, others, strict=True)]
    return _interval(name, float(np.mean(paired)), bootstrap_mean(paired, seed))


def _interval(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    return {name: value, f"{name}_ci_low": ends[0], f"{name}_ci_high": ends[1]}
