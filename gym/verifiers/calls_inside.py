"""Runs inside a sandbox: calls a candidate's function with many arguments and writes what it gave. Standard library.

`python main.py FUNCTION NONCE SECONDS`: `candidate.py` and `before.py` lie beside it, standard input is a JSON list of
Python literals, each the arguments of a call. Values are written as JSON in which lists, tuples, dictionaries, large
integers and floats that aren't finite are told apart (`gym/verifiers/code.py` reads them).
"""

import json
import math
import signal
import sys
from types import FrameType
from typing import Any

DEEPEST = 60
MAX_DIGITS = 50_000  # of an integer that the candidate turns into text, as LiveCodeBench allows


class TimeLimit(Exception):
    """A call took more processor time than it may."""


def _stop(signum: int, frame: FrameType | None) -> None:
    raise TimeLimit


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON: itself where that says it all, else [kind, content]; what has no plain form is `other`."""
    if depth > DEEPEST:
        return ["other", "too deep"]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__int__(value)
        return number if abs(number) < 1 << 62 else ["int", hex(number)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else ["float", repr(float(value))]
    if isinstance(value, list | tuple | set):
        kind = "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "set"
        return [kind, [plain(item, depth + 1) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[plain(key, depth + 1), plain(item, depth + 1)] for key, item in value.items()]]
    return ["other", type(value).__name__]


def main() -> None:
    function, nonce, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    calls, out = json.load(sys.stdin), sys.stdout
    sys.stdout = sys.stderr
    sys.set_int_max_str_digits(MAX_DIGITS)
    scope: dict[str, Any] = {"__name__": "candidate"}
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    for name in ("before.py", "candidate.py"):
        with open(name, encoding="utf-8") as handle:
            exec(compile(handle.read(), name, "exec", dont_inherit=True), scope)
    solution = scope.get("Solution")
    target = getattr(solution(), function) if solution is not None and hasattr(solution, function) else scope[function]
    answers: list[dict[str, Any]] = []
    for arguments in calls:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            answers.append({"value": plain(target(*eval(arguments)))})
        except Exception as error:  # noqa: BLE001  the candidate's own
            answers.append({"error": type(error).__name__})
            if isinstance(error, TimeLimit):
                break
    signal.setitimer(signal.ITIMER_PROF, 0)
    out.write(f"\n{nonce}\n{json.dumps(answers)}")
    out.flush()


if __name__ == "__main__":
    main()
