"""LiveCodeBench: programs on hidden tests, by standard input or by a method call, within a window of contest dates."""

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
from gym.benchmarks.code_text import program
from gym.sandbox import Job, Limits, Verdict
from gym.verifiers.code import call_many
from gym.verifiers.result import Result, Status

LIMITS = Limits(cpu_s=6.0, wall_s=30.0, memory_mb=2048)
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


def same_output(said: str, wanted: str) -> bool:
    """The official rule: as many stripped lines, each equal, or equal number by number as decimals."""
    ours, golds = ([line.strip() for line in text.strip().split("\n")] for text in (said, wanted))
    if len(ours) != len(golds):
        return False
    return all(a == b or _same_numbers(a, b) for a, b in zip(ours, golds, strict=True))


def _same_numbers(said: str, wanted: str) -> bool:
    try:
        return [Decimal(x) for x in said.split()] == [Decimal(x) for x in wanted.split()]
    except InvalidOperation:
        return False


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
                    "question_id": f"builtin-{number}-{kind}",
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
    """`path` is the official `code_generation_lite` as JSON Lines; only problems inside `window` are asked."""

    name = "livecodebench_v6"
    sandbox = True
    presets = {"k2": base.K2, "k2-thinking": replace(base.K2_THINKING, repeats=5, max_tokens=131072)}

    def __init__(self, path: Path | None = None, window: tuple[str, str] = WINDOW) -> None:
        super().__init__()
        self.manifest: Manifest
        rows = generated() if path is None else base.read_jsonl(path)
        for row in rows:
            base.missing(row, FIELDS, self.name)
        self.rows = [row for row in rows if window[0] <= row["contest_date"][:10] <= window[1]]
        if not self.rows:
            raise DataError(f"{self.name}: no problem from {window[0]} to {window[1]}")
        if path is None:
            self.manifest = base.builtin_manifest("livecodebench", self.rows)
        else:
            self.manifest = base.path_manifest(self.name, path, len(self.rows))

    def items(self) -> list[Sample]:
        found = []
        for row in self.rows:
            template = METHOD if row["starter_code"] else STDIN
            text = template.format(question=row["question_content"], starter=row["starter_code"])
            found.append(Sample(row["question_id"], base.user(text), row, group=row["difficulty"]))
        return found

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        code = program(reply.text)
        if not code.strip():
            return base.no_answer("empty answer")
        gold = sample.gold
        cases = [*json.loads(gold["public_test_cases"]), *private_cases(gold["private_test_cases"])]
        name = json.loads(gold["metadata"] or "{}").get("func_name")
        return self._by_method(code, name, cases) if name else self._by_stdin(code, cases)

    def _by_stdin(self, code: str, cases: Sequence[Mapping[str, str]]) -> Grade:
        for number, case in enumerate(cases):
            outcome = self.needed_box().run(Job(source=code, stdin=case["input"], limits=LIMITS))
            if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
                return Grade(Result(None, Status.VERIFIER_ERROR, outcome.detail), code)
            if outcome.verdict is not Verdict.OK:
                return base.scored(False, code, f"test {number}: {outcome.verdict.value}")
            if not same_output(outcome.stdout, case["output"]):
                return base.scored(False, code, f"test {number}: another output")
        return base.scored(True, code, f"{len(cases)} tests passed")

    def _by_method(self, code: str, name: str, cases: Sequence[Mapping[str, str]]) -> Grade:
        try:
            arguments = [[json.loads(line) for line in case["input"].split("\n") if line] for case in cases]
            golds = [json.loads(case["output"]) for case in cases]
        except ValueError as error:
            return Grade(Result(None, Status.VERIFIER_ERROR, f"a test case is no JSON: {error}"), code)
        nonce = base.sha256_json([name, code])[:32]
        limits = replace(LIMITS, cpu_s=LIMITS.cpu_s + len(cases))
        answers, failure = call_many(self.needed_box(), code, name, arguments, nonce, limits)
        if answers is None:
            return Grade(failure or Result(None, Status.VERIFIER_ERROR, "no answers"), code)
        for number, (answer, gold) in enumerate(zip(answers, golds, strict=True)):
            said = answer.get("value")
            said = list(said) if isinstance(said, tuple) else said
            if "error" in answer or said != gold:
                return base.scored(False, code, f"test {number}: {answer.get('error', 'another value')}")
        return base.scored(True, code, f"{len(cases)} tests passed")

    def gold_reply(self, sample: Sample) -> Reply:
        if "solution" not in sample.gold:
            raise DataError(f"{self.name}: the official data has no reference programs")
        return Reply(f"```python\n{sample.gold['solution']}\n```")
