"""MMLU: five solved questions of the subject, then the question, as in the official `evaluate.py`. Official CSV files.

The official code compares the likelihoods of the four letters as the next token; an answer in words is read by its
first letter (`mmlu_official`). The score also counts a letter that is said in another usual form. `arithmetic_mc` is a
built-in set under the same rule.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gym.benchmarks import base, extract
from gym.benchmarks.base import Benchmark, Choices, DataError, Grade, Manifest, Reply, Sample

SHOTS = 5
Row = tuple[str, str, str, str, str, str]  # question, four choices, letter


@dataclass(frozen=True)
class SubjectQuestion:
    """A question of a subject, its number there, and the subject's solved questions."""

    subject: str
    number: int
    shots: Sequence[Row]
    row: Row


def _questions(solved: Mapping[str, Sequence[Row]], asked: Mapping[str, Sequence[Row]]) -> list[SubjectQuestion]:
    return [
        SubjectQuestion(subject, number, solved[subject][:SHOTS], row)
        for subject, rows in asked.items()
        for number, row in enumerate(rows)
    ]


def _folder(path: Path) -> list[SubjectQuestion]:
    dev, test = _subject(path, "dev"), _subject(path, "test")
    if not test or set(test) - set(dev):
        raise DataError(f"{path.name}: needs dev/*_dev.csv and test/*_test.csv of the same subjects")
    return _questions(dev, test)


def _subject(folder: Path, part: str) -> dict[str, list[Row]]:
    by_subject: dict[str, list[Row]] = {}
    for path in sorted((folder / part).glob(f"*_{part}.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = [tuple(row) for row in csv.reader(file)]
        if any(len(row) != 6 or row[5] not in tuple("ABCD") for row in rows):
            raise DataError(f"{path.name}: a row is not question, four choices, letter")
        by_subject[path.name.removesuffix(f"_{part}.csv")] = rows  # type: ignore[assignment]
    return by_subject


def _row(rng: Random, question: str, right: str, wrong: Sequence[str]) -> Row:
    choices = [right, *dict.fromkeys(choice for choice in wrong if choice != right)][:4]
    if len(choices) < 4:
        raise DataError(f"a generated question has too few choices: {question}")
    rng.shuffle(choices)
    return (question, choices[0], choices[1], choices[2], choices[3], "ABCD"[choices.index(right)])


def generated(n: int = 30) -> dict[str, list[Row]]:
    """Computed questions of four subjects, `n` each; the first five are the shots."""
    rng = Random("arithmetic_mc")
    by_subject: dict[str, list[Row]] = {}
    rows = []
    for _ in range(n):
        a, b = rng.randrange(12, 99), rng.randrange(3, 9)
        near = [a * b + d for d in (1, -b, 10)]
        rows.append(_row(rng, f"What is the value of {a} x {b}?", str(a * b), [str(x) for x in near]))
    by_subject["elementary_mathematics"] = rows
    rows = []
    for _ in range(n):
        m, a, b = rng.choice([7, 11, 13]), rng.randrange(2, 40), rng.randrange(2, 40)
        right = (a * b) % m
        wrong = [str((right + d) % m) for d in (1, 2, 3)]
        rows.append(_row(rng, f"Compute the product ({a})({b}) in the ring Z_{m}.", str(right), wrong))
    by_subject["abstract_algebra"] = rows
    rows = []
    for _ in range(n):
        x = rng.randrange(17, 250)
        wrong = [f"{x + d:b}" for d in (1, 2, 4)]
        rows.append(_row(rng, f"What is the decimal number {x} in binary?", f"{x:b}", wrong))
    by_subject["high_school_computer_science"] = rows
    rows = []
    for _ in range(n):
        values = sorted(rng.sample(range(1, 60), 5))
        text = f"What is the median of {', '.join(map(str, rng.sample(values, 5)))}?"
        rows.append(_row(rng, text, str(values[2]), [str(values[i]) for i in (0, 1, 3, 4)]))
    by_subject["high_school_statistics"] = rows
    return by_subject


def _block(row: Row, *, solved: bool) -> str:
    lines = [row[0], *(f"{letter}. {text}" for letter, text in zip("ABCD", row[1:5], strict=True))]
    return "\n".join(lines) + "\nAnswer:" + (f" {row[5]}\n\n" if solved else "")


def _question(row: Row) -> str:
    return f"Question: {row[0].strip()}\nAnswer:"


class Mmlu(Benchmark):
    """`path` is the official folder with `dev/` and `test/`."""

    name = "mmlu"
    multiple_choice = True

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        questions, self.manifest = self._read(path)
        self.questions = {f"{question.subject}-{question.number}": question for question in questions}

    def _read(self, path: Path | None) -> tuple[list[SubjectQuestion], Manifest]:
        return base.official(self.name, path, _folder)

    def items(self) -> list[Sample]:
        samples = []
        for name, asked in self.questions.items():
            about = asked.subject.replace("_", " ")
            head = f"The following are multiple choice questions (with answers) about {about}.\n\n"
            text = head + "".join(_block(row, solved=True) for row in asked.shots) + _block(asked.row, solved=False)
            samples.append(Sample(name, base.user(text), {"letter": asked.row[5]}, group=asked.subject))
        return samples

    def choices(self, sample: Sample) -> Choices:
        """As lm_eval's `mmlu_continuation`, with the solved questions before it."""
        asked = self.questions[sample.id]
        head = f"The following are questions (with answers) about {asked.subject.replace('_', ' ')}.\n\n"
        shots = "".join(f"{_question(row)} {row['ABCD'.index(row[5]) + 1]}\n\n" for row in asked.shots)
        return Choices(head + shots + _question(asked.row), asked.row[1:5], "ABCD".index(asked.row[5]))

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        first_line = reply.text.strip().split("\n", 1)[0]  # a base model goes on with questions of its own
        answer, letter = extract.choice(first_line) or extract.choice(reply.text), sample.gold["letter"]
        official = float(extract.first_choice(reply.text) == letter)
        if not answer:
            return base.no_answer("no letter", official=official)
        return base.scored(answer == letter, answer, official=official)

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f" {sample.gold['letter']}")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The mean over subjects, beside the mean over questions."""
        by_subject: dict[str, list[float]] = {}
        for row in rows:
            by_subject.setdefault(row["group"], []).append(row["score"])
        macro = sum(sum(scores) / len(scores) for scores in by_subject.values()) / len(by_subject)
        return {"macro": macro, "official": base.mean_part(rows, "official")}


class ArithmeticMc(Mmlu):
    """Computed questions on products, residues, binary numbers and medians."""

    name = "arithmetic_mc"

    def _read(self, path: Path | None) -> tuple[list[SubjectQuestion], Manifest]:
        rows = generated()
        questions = _questions(rows, {subject: some[SHOTS:] for subject, some in rows.items()})
        return base.built_in(self.name, path, questions, version="2", listed=lambda question: question.row)
