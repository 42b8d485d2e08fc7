"""Runs inside a sandbox: a LiveCodeBench program on one standard input. Only the standard library.

`python main.py official` does what upstream's `testing_util.py` does: imports to the front, everything else into one
function, stand-ins for standard input and output, any exit status ignored. `python main.py program` runs the program
as a file of its own, with the same names imported before it.
"""

import ast
import builtins
import contextlib
import io
import sys
from types import ModuleType

STARRED = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json "
    "builtins typing"
).split()
PLAIN = [name for name in STARRED if name not in ("builtins", "typing")]
RECURSION = 50_000
PREAMBLE = "\n".join(
    [f"from {name} import *" for name in STARRED]
    + [f"import {name}" for name in PLAIN]
    + [f"sys.setrecursionlimit({RECURSION})", ""]
)
MAX_DIGITS = 50_000  # of an integer that is printed or read, as upstream allows


def as_function(source: str) -> ast.Module:
    """The program as upstream changes it: the preamble, its own imports, and a function `wrapped_function` of the rest.

    Raises:
        SyntaxError, ValueError: it is no program, or has nothing but imports.
    """
    body = ast.parse(source).body
    last = body[-1] if body else None
    if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
        body = [*body[:-1], *last.body]
    imports: list[ast.stmt] = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    function = ast.parse("def wrapped_function(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = rest
    return ast.Module([*ast.parse(PREAMBLE).body, *imports, function], type_ignores=[])


def official(source: str) -> str:
    """What the program prints when it runs as upstream runs it."""
    written = io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(sys.stdin.buffer.read()), "utf-8")
    builtins.quit = None  # type: ignore[assignment]  # as upstream
    module = ModuleType("tmp_sol")
    exec(compile(as_function(source), "program.py", "exec"), module.__dict__)
    real, sys.stdout = sys.stdout, written
    with contextlib.suppress(SystemExit):
        module.__dict__["wrapped_function"]()
    sys.stdout = real
    return written.getvalue()


def program(source: str) -> None:
    """Runs the program as `python program.py` would, but for the preamble and the exit status."""
    scope = sys.modules["__main__"].__dict__
    exec(PREAMBLE, scope)
    with contextlib.suppress(SystemExit):
        exec(compile(source, "program.py", "exec", dont_inherit=True), scope)


def main() -> None:
    sys.set_int_max_str_digits(MAX_DIGITS)
    with open("program.py", encoding="utf-8") as handle:
        source = handle.read()
    try:
        if sys.argv[1] == "official":
            sys.stdout.write(official(source))
        else:
            program(source)
    except Exception as error:  # noqa: BLE001  the program's own; a traceback 50,000 calls deep takes seconds to write
        sys.stderr.write(f"{type(error).__name__}: {error}"[:500])
        sys.exit(1)


if __name__ == "__main__":
    main()
