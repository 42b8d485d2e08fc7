"""LiveCodeBench: programs on hidden tests, by standard input or by a method call, within a window of contest dates.

`livecodebench_v6_official` is upstream's rule to the letter (`extraction_utils.py`, `testing_util.py`): the last two
lines with a fence enclose the program, the official names are imported before it, it runs inside a function, its exit
status is ignored. The score also counts a program that is right as a file of its own where upstream's harness fails it:
on `global`, `from __future__`, `open(0)`, `sys.stdout.buffer`, in a fence that never closes, or in none. What a method
returns is compared as plain values, so that an object that says it equals everything equals nothing.
`stdin_programs` is a built-in set under the same rule.
"""

import base64
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Manifest, Reply, Sample
from gym.benchmarks.livecodebench_inside import PREAMBLE
from gym.sandbox import Job, Limits, Verdict
from gym.verifiers.code import call_many
from gym.verifiers.code_text import program
from gym.verifiers.result import Result, Status

INSIDE = Path(__file__).with_name("livecodebench_inside.py")
TEST_S = 6.0  # of one test, as upstream; here in processor time, which other work on the machine doesn't shorten
# Recursion 50,000 deep through a cache or `map` needs 64 MB of stack; right outputs of megabytes exist.
LIMITS = Limits(cpu_s=TEST_S, wall_s=30.0, memory_mb=2048, output_bytes=64 << 20, stack_mb=64)
WINDOW = ("2024-08-01", "2025-05-31")  # K2's, of version 6
FIELDS = (
    "question_id",
    "question_content",
    "contest_date",
    "starter_code",
    "difficulty",
    "public_test_cases",
    "private_test_cases",
    "metadata",
)
STDIN = (
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests.\n\nQuestion: {question}\n\nRead the inputs from stdin, solve the problem and "
    "write the answer to stdout. Enclose your code within delimiters as follows.\n```python\n# YOUR CODE HERE\n```"
)
METHOD = (
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests.\n\nQuestion: {question}\n\nUse the following starter code and enclose your "
    "code within delimiters.\n```python\n{starter}\n```"
)


class _Texts(pickle.Unpickler):
    """Reads pickled text and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(f"private_test_cases: a pickle that names {module}.{name}")


def private_cases(text: str) -> list[dict[str, str]]:
    """The official encodings: JSON, or base64 of zlib of a pickled JSON text.

    Raises:
        DataError: neither, or a pickle with anything but text.
    """
    try:
        return list(json.loads(text))
    except ValueError:
        pass
    try:
        loaded = _Texts(io.BytesIO(zlib.decompress(base64.b64decode(text.encode())))).load()
        return list(json.loads(loaded))
    except (ValueError, TypeError, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"private_test_cases: {error}") from None


def encode_private(cases: Sequence[Mapping[str, str]]) -> str:
    """The official compressed encoding."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(list(cases))))).decode()


def same_output(output: str, wanted: str) -> bool:
    """The official rule: as many stripped lines, each equal, or equal number by number as decimals."""
    ours, golds = ([line.strip() for line in text.strip().split("\n")] for text in (output, wanted))
    if len(ours) != len(golds):
        return False
    return all(a == b or _same_numbers(a, b) for a, b in zip(ours, golds, strict=True))


def _same_numbers(output: str, wanted: str) -> bool:
    try:
        return [Decimal(x) for x in output.split()] == [Decimal(x) for x in wanted.split()]
    except InvalidOperation:
        return False


def _in_window(rows: list[dict[str, Any]], window: tuple[str, str]) -> list[dict[str, Any]]:
    """The rows whose contest date lies in the window.

    Raises:
        DataError: none does, or a row lacks a field of the official schema.
    """
    for row in rows:
        base.missing(row, FIELDS, "livecodebench_v6")
    selected = [row for row in rows if window[0] <= row["contest_date"][:10] <= window[1]]
    if not selected:
        raise DataError(f"livecodebench_v6: no problem from {window[0]} to {window[1]}")
    return selected


def extracted(text: str) -> str:
    """The official rule: what the last two lines with a fence enclose; nothing when there are fewer."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


def _wrong(number: int, reason: str) -> Result:
    return Result(0.0, Status.SCORED, f"test {number}: {reason}")


_PROBLEMS = (
    # name, statement, reference by stdin, tests
    (
        "sum-pairs",
        "The input has n, then n integers. Print how many pairs i<j have an even sum.",
        "n=int(input());a=list(map(int,input().split()));e=sum(x%2==0 for x in a);o=n-e;print(e*(e-1)//2+o*(o-1)//2)",
        lambda a: sum((a[i] + a[j]) % 2 == 0 for i in range(len(a)) for j in range(i)),
    ),
    (
        "max-gap",
        "The input has n, then n integers. Print the largest difference of neighbours in sorted order.",
        "n=int(input());a=sorted(map(int,input().split()));print(max((y-x for x,y in zip(a,a[1:])),default=0))",
        lambda a: max(
            (
                min(y for y in a[:i] + a[i + 1 :] if y >= x) - x
                for i, x in enumerate(a)
                if any(y >= x for y in a[:i] + a[i + 1 :])
            ),
            default=0,
        ),
    ),
    (
        "best-run",
        "The input has n, then n integers. Print the largest sum of a non-empty contiguous run.",
        "n=int(input());b=c=None\nfor x in map(int,input().split()):\n    c=x if c is None or c<0 else c+x\n"
        "    b=c if b is None or c>b else b\nprint(b)",
        lambda a: max(sum(a[i:j]) for i in range(len(a)) for j in range(i + 1, len(a) + 1)),
    ),
    (
        "inversions",
        "The input has n, then n integers. Print the number of pairs i<j with a_i > a_j.",
        "import bisect\nn=int(input());s=[];t=0\nfor x in map(int,input().split()):\n    t+=len(s)-bisect.bisect(s,x)\n"
        "    bisect.insort(s,x)\nprint(t)",
        lambda a: sum(a[i] > a[j] for j in range(len(a)) for i in range(j)),
    ),
)


def generated() -> list[dict[str, Any]]:
    """Problems in the official schema; expected outputs come from a brute-force oracle."""
    rows: list[dict[str, Any]] = []
    for number, (name, statement, reference, oracle) in enumerate(_PROBLEMS):
        rng = Random(f"lcb-{name}")
        lists = [[rng.randrange(-20, 50) for _ in range(rng.randrange(2, 14))] for _ in range(14)]
        for kind in ("stdin", "functional"):
            if kind == "stdin":
                cases = [
                    {"input": f"{len(a)}\n{' '.join(map(str, a))}\n", "output": str(oracle(a)), "testtype": kind}
                    for a in lists
                ]
                starter, metadata, solution = "", "{}", reference
            else:
                cases = [{"input": json.dumps(a), "output": json.dumps(oracle(a)), "testtype": kind} for a in lists]
                starter = "class Solution:\n    def solve(self, a: list[int]) -> int:\n        pass"
                metadata = '{"func_name": "solve"}'
                body = reference.replace("n=int(input());", "n=len(a);").replace("map(int,input().split())", "list(a)")
                body = body.replace("a=list(list(a))", "a=list(a)").replace("print(", "return (")
                solution = "class Solution:\n    def solve(self, a):\n" + "\n".join(
                    f"        {line}" for line in body.replace(";", "\n").split("\n")
                )
            rows.append(
                {
                    "question_id": f"program-{number}-{kind}",
                    "question_content": statement,
                    "contest_date": "2025-01-01T00:00:00",
                    "starter_code": starter,
                    "difficulty": "easy",
                    "public_test_cases": json.dumps(cases[:2]),
                    "private_test_cases": encode_private(cases[2:]),
                    "metadata": metadata,
                    "solution": solution,
                }
            )
    return rows


class LiveCodeBench(Benchmark):
    """`path` is the official `code_generation_lite`, a file or a folder; only what lies in `window` is asked."""

    name = "livecodebench_v6"
    sandbox = True
    presets = {"k2": base.K2, "k2-thinking": replace(base.K2_THINKING, repeats=5, max_tokens=131072)}

    def __init__(self, path: Path | None = None, window: tuple[str, str] = WINDOW) -> None:
        super().__init__()
        self.window = window
        self.rows, self.manifest = self._read(path)

    def _read(self, path: Path | None) -> tuple[list[dict[str, Any]], Manifest]:
        return base.official(self.name, path, lambda file: _in_window(base.read_rows(file), self.window))

    def items(self) -> list[Sample]:
        samples = []
        for row in self.rows:
            template = METHOD if row["starter_code"] else STDIN
            text = template.format(question=row["question_content"], starter=row["starter_code"])
            samples.append(Sample(row["question_id"], base.user(text), row, group=row["difficulty"]))
        return samples

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        code, lenient = extracted(reply.text), program(reply.text)
        if not lenient.strip():
            return base.no_answer("empty answer", official=0.0)
        gold = sample.gold
        cases = [*json.loads(gold["public_test_cases"]), *private_cases(gold["private_test_cases"])]
        name = json.loads(gold["metadata"] or "{}").get("func_name")
        official = self._run(code, name, cases, official=True) if code.strip() else _wrong(0, "no fenced program")
        if official.score != 0.0:
            return Grade(official, code, {"official": float(official.score == 1.0)})
        return Grade(self._run(lenient, name, cases, official=False), lenient, {"official": 0.0})

    def _run(self, code: str, name: str | None, cases: Sequence[Mapping[str, str]], *, official: bool) -> Result:
        run = self._by_method if name else self._by_stdin
        return run(code, name or "", cases, official)

    def _by_stdin(self, code: str, _: str, cases: Sequence[Mapping[str, str]], official: bool) -> Result:
        inside, args = INSIDE.read_text(), ["official" if official else "program"]
        for number, case in enumerate(cases):
            files = {"program.py": code}
            outcome = self.needed_box().run(Job(inside, files=files, stdin=case["input"], args=args, limits=LIMITS))
            if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
                return Result(None, Status.VERIFIER_ERROR, outcome.detail)
            if outcome.verdict is not Verdict.OK:
                return _wrong(number, outcome.verdict.value)
            if not same_output(outcome.stdout, case["output"]):
                return _wrong(number, "another output")
        return Result(1.0, Status.SCORED, f"{len(cases)} tests passed")

    def _by_method(self, code: str, name: str, cases: Sequence[Mapping[str, str]], official: bool) -> Result:
        try:
            arguments = [[json.loads(line) for line in case["input"].split("\n") if line] for case in cases]
            golds = [json.loads(case["output"]) for case in cases]
        except ValueError as error:
            return Result(None, Status.VERIFIER_ERROR, f"a test case is no JSON: {error}")
        nonce = base.sha256_json([name, code])[:32]
        whole_s = (TEST_S + 1) * len(cases) + 5  # as upstream
        limits = replace(LIMITS, cpu_s=whole_s, wall_s=LIMITS.wall_s + 2 * whole_s)
        source, before = (f"{PREAMBLE}\n\n{code}", "") if official else (code, PREAMBLE)
        answers, failure = call_many(
            self.needed_box(), source, name, arguments, nonce, limits, before=before, call_s=TEST_S
        )
        if answers is None:
            return failure or Result(None, Status.VERIFIER_ERROR, "no answers")
        for number, (answer, gold) in enumerate(zip(answers, golds, strict=False)):  # the last may have taken too long
            value = answer.get("value")
            value = list(value) if isinstance(value, tuple) else value
            if "error" in answer or value != gold:
                return _wrong(number, str(answer.get("error", "another value")))
        return Result(1.0, Status.SCORED, f"{len(cases)} tests passed")

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"official": base.mean_part(rows, "official")}

    def gold_reply(self, sample: Sample) -> Reply:
        if "solution" not in sample.gold:
            raise DataError(f"{self.name}: the official data has no reference programs")
        return Reply(f"```python\n{sample.gold['solution']}\n```")


class StdinPrograms(LiveCodeBench):
    """Four problems, each by standard input and as a method; expected outputs come from a brute-force oracle."""

    name = "stdin_programs"

    def _read(self, path: Path | None) -> tuple[list[dict[str, Any]], Manifest]:
        return base.built_in(self.name, path, generated())
