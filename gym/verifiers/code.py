"""Code by tests, with the tests and the gold answers outside the candidate's process.

A candidate is run in a sandbox with inputs alone; what it gives is compared here. For tests written as Python
assertions, the assertions run in a second sandbox in which the function under test is a table of the answers that
the candidate gave: it can't patch the grader, see an expected value, or print its way to a pass.
"""

import ast
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gym.sandbox import Box, Job, Limits, Verdict
from gym.verifiers.result import Result, Status
from k2model.chat.model_json import loads_model_json

INSIDE = Path(__file__).with_name("calls_inside.py")

LIMITS = Limits(cpu_s=6.0, wall_s=30.0, memory_mb=1024)


@dataclass(frozen=True)
class CallTest:
    """One call of a function: arguments and what it must return, as JSON values."""

    arguments: Sequence[Any]
    expected: Any


def _failure(verdict: Verdict, detail: str, which: str) -> Result:
    if verdict is Verdict.INFRASTRUCTURE_ERROR:
        return Result(None, Status.VERIFIER_ERROR, f"{which}: {detail}")
    return Result(0.0, Status.SCORED, f"{which}: {verdict.value} {detail}".strip()[:200])


def call_many(
    box: Box,
    source: str,
    function: str,
    arguments: Sequence[Sequence[Any]],
    nonce: str,
    limits: Limits = LIMITS,
    *,
    before: str = "",
    call_s: float = 3600.0,
) -> tuple[list[dict[str, Any]] | None, Result | None]:
    """What a candidate's function, or its class `Solution`'s method, returns for many arguments: {"value": …} or
    {"error": name} for each, fewer when a call took too long; or the failure of the whole.

    Args:
        before: a program that runs before the candidate, for the names that it may use.
        call_s: processor seconds of one call.
    """
    calls = json.dumps([repr(tuple(values)) for values in arguments])
    files = {"candidate.py": source, "before.py": before}
    job = Job(source=INSIDE.read_text(), files=files, stdin=calls, args=[function, nonce, str(call_s)], limits=limits)
    outcome = box.run(job)
    if outcome.verdict is not Verdict.OK:
        return None, _failure(outcome.verdict, outcome.detail, function)
    _, marked, text = outcome.stdout.rpartition(f"\n{nonce}\n")
    try:
        answers = [_answer(item) for item in loads_model_json(text)] if marked else None
    except (ValueError, TypeError, KeyError):  # a candidate may write over what the caller wrote
        return None, Result(0.0, Status.SCORED, f"{function} spoilt the record of its answers")
    late = bool(answers) and answers is not None and answers[-1].get("error") == "TimeLimit"
    if answers is None or len(answers) > len(arguments) or (len(answers) < len(arguments) and not late):
        return None, Result(0.0, Status.SCORED, f"{function} ended before all calls were answered")
    return answers, None


def _answer(item: dict[str, Any]) -> dict[str, Any]:
    return {"error": str(item["error"])} if "error" in item else {"value": _value(item["value"])}


class NoPlainValue:
    """What a candidate returned where it has no form as a plain value: equal to nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "no plain value"


def _value(written: Any) -> Any:
    """The value that `calls_inside.plain` wrote."""
    if not isinstance(written, list):
        return written
    kind, content = written
    if kind == "int":
        return int(content, 16)
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {_value(key): _value(item) for key, item in content}
    if kind in ("list", "tuple", "set"):
        items = [_value(item) for item in content]
        return items if kind == "list" else tuple(items) if kind == "tuple" else set(items)
    return NoPlainValue()


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, float) or isinstance(wanted, float):
        numbers = isinstance(value, (int, float)) and isinstance(wanted, (int, float))
        return numbers and math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(wanted)
            and all(_equal(a, b) for a, b in zip(value, wanted, strict=True))
        )
    return type(value) is type(wanted) and bool(value == wanted)


def by_calls(
    box: Box, source: str, function: str, tests: Sequence[CallTest], nonce: str, limits: Limits = LIMITS
) -> Result:
    """1.0 when the function returns what every test expects; expectations never enter the sandbox."""
    if not source.strip():
        return Result(0.0, Status.NO_ANSWER, "no program")
    answers, failure = call_many(box, source, function, [test.arguments for test in tests], nonce, limits)
    if failure is not None or answers is None:
        return failure or Result(None, Status.VERIFIER_ERROR, "no answers")
    for number, (answer, test) in enumerate(zip(answers, tests, strict=False)):  # the last may have taken too long
        if "error" in answer:
            return Result(0.0, Status.SCORED, f"test {number}: {answer['error']}")
        if not _equal(answer["value"], test.expected):
            return Result(0.0, Status.SCORED, f"test {number}: another value")
    return Result(1.0, Status.SCORED, f"{len(tests)} tests passed")


_RECORD = """
import json as _json, sys as _sys
class _Any:
    def __getattr__(self, name): return _Any()
    def __call__(self, *a, **k): return _Any()
    def __iter__(self): return iter(())
    def __getitem__(self, key): return _Any()
    def __len__(self): return 0
    def __float__(self): return 0.0
    def __int__(self): return 0
    def __index__(self): return 0
    def __bool__(self): return True
    def __hash__(self): return 0
    def __str__(self): return ""
for _name in ("eq ne lt le gt ge contains").split():
    setattr(_Any, f"__{_name}__", lambda self, *a: True)
for _name in ("add radd sub rsub mul rmul truediv rtruediv floordiv mod pow neg abs round and or xor").split():
    setattr(_Any, f"__{_name}__", lambda self, *a: _Any())
_seen = []
def _candidate(*arguments):
    _seen.append(repr(tuple(arguments)))
    return _Any()
_scope = {"__name__": "tests"}
exec(compile(open("tests.py").read(), "tests.py", "exec"), _scope)
try:
    _scope["check"](_candidate)
except Exception:  # the tests' own, on answers that are none: only what they asked counts
    pass
_sys.stdout.write(_json.dumps(_seen))
"""

_CHECK = """
import ast as _ast, json as _json, sys as _sys
_answers = _ast.literal_eval(open("answers.txt").read())
_table = {}
for _arguments, _answer in _answers:
    _table.setdefault(_arguments, _answer)
class _Unknown(Exception): pass
def _candidate(*arguments):
    key = repr(tuple(arguments))
    if key not in _table: raise _Unknown(key[:80])
    answer = _table[key]
    if "error" in answer: raise AssertionError(answer["error"])
    return answer["value"]
_scope = {"__name__": "tests"}
exec(compile(open("tests.py").read(), "tests.py", "exec"), _scope)
try:
    _scope["check"](_candidate)
except _Unknown as _error:
    print("UNKNOWN", _error)
except Exception:  # an answer of another type fails inside the tests' own arithmetic
    print("FAILED")
else:
    print("PASSED")
"""


def by_assertions(box: Box, source: str, function: str, tests: str, nonce: str, limits: Limits = LIMITS) -> Result:
    """`tests` defines `check(candidate)` with assertions, as HumanEval does.

    Three processes: one finds which arguments the tests use, one runs the candidate on them, one runs the tests on
    the answers. Tests whose arguments depend on the candidate's answers can't be judged so: a verifier error.
    """
    if not source.strip():
        return Result(0.0, Status.NO_ANSWER, "no program")
    trusted = replace(limits, cpu_s=limits.cpu_s + 5)
    recorded = box.run(Job(source=_RECORD, files={"tests.py": tests}, limits=trusted))
    if recorded.verdict is not Verdict.OK:
        return Result(None, Status.VERIFIER_ERROR, f"the tests don't run: {recorded.detail}"[:160])
    arguments = [ast.literal_eval(text) for text in dict.fromkeys(json.loads(recorded.stdout))]
    answers, failure = call_many(box, source, function, arguments, nonce, limits)
    if failure is not None or answers is None:
        return failure or Result(None, Status.VERIFIER_ERROR, "no answers")
    table = repr([(repr(tuple(values)), _literal(answer)) for values, answer in zip(arguments, answers, strict=False)])
    checked = box.run(Job(source=_CHECK, files={"tests.py": tests, "answers.txt": table}, limits=trusted))
    line = checked.stdout.strip().rsplit("\n", 1)[-1]
    if line == "PASSED":
        return Result(1.0, Status.SCORED, f"{len(arguments)} calls passed")
    if line == "FAILED":
        return Result(0.0, Status.SCORED, "an assertion failed")
    return Result(None, Status.VERIFIER_ERROR, f"the tests did not come to a verdict: {line or checked.detail}"[:160])


def _literal(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that can be written as a literal; the others fail their assertions."""
    try:
        ast.literal_eval(repr(answer))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"error": "no literal"}
    return answer
