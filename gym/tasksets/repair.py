"""SWE-style repairs: a real module with one mutated expression and its own tests, proven by running.

A mutant counts only when some tests that passed before fail now (FAIL_TO_PASS) while others still pass
(PASS_TO_PASS). The modules are pure parts of the standard library; the tests are doctests of the module's own
documentation and generated calls whose results the original gave.
"""

import ast
import copy
import importlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gym.sandbox import Box, Job, Limits, SandboxError, Verdict
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

LIMITS = Limits(cpu_s=5.0, wall_s=20.0)
TRIAL = Limits(cpu_s=1.0, wall_s=20.0)  # of a mutant: the unbroken module needs a hundredth, and many mutants never end
MARK = "@@RESULT@@"
MODULE, TESTS = "candidate.py", "tests/check.py"
HIDDEN = 3  # every third test that passes is not in the repository


@dataclass(frozen=True)
class Target:
    """A module, and expressions over it that serve as tests."""

    module: str
    calls: tuple[str, ...]


TARGETS = (
    Target(
        "textwrap",
        (
            "textwrap.wrap('the quick brown fox jumps over the lazy dog', 12)",
            "textwrap.fill('aaa bbb ccc ddd eee', 7)",
            "textwrap.dedent('  a\\n    b\\n  c\\n')",
            "textwrap.indent('a\\n\\nb\\n', '> ')",
            "textwrap.shorten('hello wide wide world', 14)",
            "textwrap.wrap('supercalifragilistic word', 8)",
            "textwrap.wrap('', 5)",
            "textwrap.fill('one two', 3)",
        ),
    ),
    Target(
        "bisect",
        (
            "bisect.bisect_left([1, 2, 2, 3], 2)",
            "bisect.bisect_right([1, 2, 2, 3], 2)",
            "bisect.bisect([], 1)",
            "bisect.bisect_left([1, 3, 5], 4)",
            "bisect.bisect_right([1, 3, 5], 0)",
            "(lambda a: (bisect.insort(a, 4), a)[1])([1, 5])",
        ),
    ),
    Target(
        "heapq",
        (
            "heapq.nsmallest(2, [5, 1, 4, 2])",
            "heapq.nlargest(3, [5, 1, 4, 2, 8])",
            "list(heapq.merge([1, 4], [2, 3]))",
            "(lambda h: (heapq.heapify(h), [heapq.heappop(h) for _ in range(5)])[1])([5, 2, 9, 1, 7])",
            "(lambda h: (heapq.heapify(h), heapq.heappushpop(h, 0))[1])([3, 4])",
            "(lambda h: (heapq.heapify(h), heapq.heapreplace(h, 9), sorted(h)))([3, 4, 5])",
            "heapq.nsmallest(1, [])",
        ),
    ),
    Target(
        "statistics",
        (
            "statistics.mean([1, 2, 3, 4])",
            "statistics.median([5, 1, 3])",
            "statistics.median([4, 1, 3, 2])",
            "statistics.mode('aabbb')",
            "round(statistics.pstdev([1, 2, 3, 4]), 6)",
            "statistics.median_low([4, 1, 3, 2])",
            "statistics.multimode([1, 1, 2, 2])",
            "statistics.quantiles([1, 2, 3, 4, 5], n=4)",
        ),
    ),
    Target(
        "colorsys",
        (
            "tuple(round(x, 6) for x in colorsys.rgb_to_hsv(0.2, 0.4, 0.4))",
            "tuple(round(x, 6) for x in colorsys.hsv_to_rgb(0.5, 0.5, 0.4))",
            "tuple(round(x, 6) for x in colorsys.rgb_to_hls(0.1, 0.9, 0.3))",
            "tuple(round(x, 6) for x in colorsys.hls_to_rgb(0.3, 0.4, 0.8))",
            "tuple(round(x, 6) for x in colorsys.rgb_to_yiq(0.1, 0.2, 0.3))",
            "colorsys.rgb_to_hsv(0.5, 0.5, 0.5)",
        ),
    ),
    Target(
        "fnmatch",
        (
            "fnmatch.fnmatchcase('abc.py', '*.py')",
            "fnmatch.fnmatchcase('a', '[!a]')",
            "fnmatch.filter(['a', 'b.c', 'd'], '?')",
            "fnmatch.translate('a*b?c')",
            "fnmatch.fnmatchcase('x-1', 'x-[0-9]')",
            "fnmatch.translate('[z-a]x')",
        ),
    ),
)

_SWAP: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


class _Mutator(ast.NodeTransformer):
    """Changes the n-th place that can be changed."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.seen, self.line = wanted, 0, 0

    def _here(self, line: int) -> bool:
        self.seen += 1
        if self.seen - 1 == self.wanted:
            self.line = line
            return True
        return False

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if type(node.ops[0]) in _SWAP and self._here(node.lineno):
            node.ops[0] = _SWAP[type(node.ops[0])]()  # type: ignore[call-overload]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in _SWAP and self._here(node.lineno):
            node.op = _SWAP[type(node.op)]()  # type: ignore[assignment]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._here(node.lineno):
            node.op = _SWAP[type(node.op)]()  # type: ignore[assignment]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self._here(node.lineno):
            return ast.copy_location(ast.Constant(node.value + 1), node)
        return node


def source_of(module: str) -> str:
    """The module without its C twin: lines that import `_module` over the Python code are dropped."""
    text = inspect.getsource(importlib.import_module(module))
    tree = ast.parse(text)
    own = f"_{module}"
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Try) and any(isinstance(x, ast.ImportFrom) and x.module == own for x in node.body))
        and not (isinstance(node, ast.If) and "__main__" in ast.unparse(node.test))
    ]
    return ast.unparse(ast.Module(kept, []))


_RUNNER = f"""
import sys, json
sys.modules.pop({{module!r}}, None)
sys.path.insert(0, ".")
import importlib
module = importlib.import_module("candidate")
scope = {{{{{{module!r}}: module}}}}
print({MARK!r})
for line in json.loads(sys.stdin.read()):
    try:
        print(repr(eval(line, dict(scope))))
    except Exception as error:
        print("!" + type(error).__name__)
"""


def run_calls(box: Box, target: Target, source: str, limits: Limits = LIMITS) -> list[str] | None:
    """What each call gives, as text; None when the module does not even import.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    runner = _RUNNER.format(module=target.module)
    job = Job(source=runner, files={"candidate.py": source}, stdin=json.dumps(list(target.calls)), limits=limits)
    outcome = box.run(job)
    if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
        raise SandboxError(f"{target.module}: {outcome.detail}")
    _, marked, text = outcome.stdout.rpartition(f"{MARK}\n")
    lines = text.splitlines()
    return lines if marked and len(lines) == len(target.calls) else None


def mutants(source: str, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """(mutated source, line) in random order."""
    tree = ast.parse(source)
    counter = _Mutator(-1)
    counter.visit(copy.deepcopy(tree))
    for number in rng.permutation(counter.seen).tolist():
        mutator = _Mutator(number)
        changed = mutator.visit(copy.deepcopy(tree))
        yield ast.unparse(ast.fix_missing_locations(changed)), mutator.line


class Repair:
    """One mutated module a task; the answer is the whole repaired file `candidate.py`."""

    name = "repair"

    def __init__(self, box: Box) -> None:
        self.box = box
        self._originals: dict[str, tuple[str, list[str]]] = {}

    def _original(self, target: Target) -> tuple[str, list[str]]:
        if target.module not in self._originals:
            source = source_of(target.module)
            results = run_calls(self.box, target, source)
            if results is None or any(line.startswith("!") for line in results):
                raise RuntimeError(f"{target.module}: its own tests don't pass: {results}")
            self._originals[target.module] = (source, results)
        return self._originals[target.module]

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """Proven mutants; difficulty is the share of tests that still pass."""
        rng = np.random.default_rng([seed, 67])
        tasks: list[Task] = []
        while len(tasks) < n:
            target = TARGETS[int(rng.integers(len(TARGETS)))]
            source, wanted = self._original(target)
            for mutated, line in mutants(source, rng):
                results = run_calls(self.box, target, mutated, TRIAL)
                if results is None:
                    continue
                fails = [k for k, (a, b) in enumerate(zip(results, wanted, strict=True)) if a != b]
                if not fails or len(fails) == len(wanted):
                    continue
                tasks.append(self._task(target, mutated, line, fails, results, wanted, seed, len(tasks)))
                break
        return tasks

    def _task(
        self,
        target: Target,
        mutated: str,
        line: int,
        fails: Sequence[int],
        results: Sequence[str],
        wanted: Sequence[str],
        seed: int,
        number: int,
    ) -> Task:
        first = fails[0]
        text = (
            f"The module in candidate.py (a copy of Python's {target.module}) has a bug. "
            f"{target.calls[first]} gives {results[first]}. Repair the file."
        )
        return Task(
            id=f"repair-{seed}-{number}",
            taskset=self.name,
            seed=seed,
            difficulty=1 - len(fails) / len(wanted),
            domain="swe",
            messages=({"role": "user", "content": text},),
            token_budget=4000,
            payload={
                "module": target.module,
                "files": {"candidate.py": mutated},
                "line": line,
                "FAIL_TO_PASS": [target.calls[k] for k in fails],
                "PASS_TO_PASS": [call for k, call in enumerate(target.calls) if k not in fails],
                "expected": dict(zip(target.calls, wanted, strict=True)),
            },
        )

    def score(self, task: Task, answer_text: str) -> Result:
        """Runs every test on the repaired file in a fresh sandbox; the expected values stay here."""
        if not answer_text.strip():
            return Result(0.0, Status.NO_ANSWER, "no file")
        expected: Mapping[str, Any] = task.payload["expected"]
        target = Target(task.payload["module"], tuple(expected))
        try:
            results = run_calls(self.box, target, answer_text)
        except SandboxError as error:
            return Result(None, Status.VERIFIER_ERROR, str(error))
        if results is None:
            return Result(0.0, Status.SCORED, "the file does not import")
        right = {call for call, line in zip(expected, results, strict=True) if line == expected[call]}
        missed = [call for call in [*task.payload["FAIL_TO_PASS"], *task.payload["PASS_TO_PASS"]] if call not in right]
        return Result(float(not missed), Status.SCORED, f"fails {missed[0][:80]}" if missed else "all tests pass")


_CHECK = '''"""Runs the module's tests: python tests/check.py"""

import sys

sys.path.insert(0, ".")
import candidate

TESTS = [
{tests}
]

failed = 0
for call, expected in TESTS:
    try:
        found = repr(eval(call, {{{module!r}: candidate}}))
    except Exception as error:
        found = f"{{type(error).__name__}}: {{error}}"
    if found != expected:
        failed += 1
        print(f"FAIL {{call}}\\n  expected {{expected}}\\n  found    {{found}}")
print(f"{{len(TESTS) - failed}} passed, {{failed}} failed")
sys.exit(failed > 0)
'''


def repository(task: Task) -> dict[str, bytes]:
    """The files of a repair task as an agent gets them: the module, a note, and the tests that are no secret."""
    payload = task.payload
    passing = [call for index, call in enumerate(payload["PASS_TO_PASS"]) if index % HIDDEN != HIDDEN - 1]
    tests = [f"    ({call!r}, {payload['expected'][call]!r})," for call in [*passing, payload["FAIL_TO_PASS"][0]]]
    check = _CHECK.format(tests="\n".join(tests), module=payload["module"])
    note = f"# candidate\n\nA pure Python copy of `{payload['module']}`. Tests: `python {TESTS}`.\n"
    return {MODULE: payload["files"][MODULE].encode(), TESTS: check.encode(), "README.md": note.encode()}
