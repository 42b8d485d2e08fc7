"""Runs inside a sandbox: collects a suite once, then tries each candidate in a fork with its functions' code swapped.

The repository lies in `tree`, standard input is JSON of `search.py`. A line of JSON comes back for each candidate. Only
pytest and the standard library.
"""

import ast
import contextlib
import gc
import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Key = tuple[str, int]  # qualified name, and which of those of that name
Swap = tuple[FunctionType, CodeType, Any, Any]
WALL = 6.0  # times the limit of processor time: a test may also sleep, or the machine be busy
STATUS_ENDLESS = -signal.SIGPROF


class NotSwapped(Exception):
    """Why a candidate can't be tried in memory."""


def codes_in(code: CodeType, found: dict[str, list[CodeType]]) -> dict[str, list[CodeType]]:
    """Code objects of functions by qualified name, in the order of the text."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.setdefault(constant.co_qualname, []).append(constant)
            codes_in(constant, found)
    return found


def nodes_in(node: ast.AST, prefix: str, found: dict[str, list[FunctionNode]]) -> dict[str, list[FunctionNode]]:
    """The same for definitions."""
    for child in ast.iter_child_nodes(node):
        below = prefix
        if isinstance(child, FunctionNode):
            found.setdefault(prefix + child.name, []).append(child)
            below = f"{prefix}{child.name}.<locals>."
        elif isinstance(child, ast.ClassDef):
            below = f"{prefix}{child.name}."
        nodes_in(child, below, found)
    return found


def keep_cells(node: FunctionNode, names: tuple[str, ...]) -> None:
    """Mentions outer variables where nothing runs: a function keeps its cells, or no other code fits it."""
    at = node.body[-1]
    reads: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in names]
    node.body.append(ast.fix_missing_locations(ast.copy_location(ast.If(ast.Constant(0), reads, []), at)))


def changed(values: tuple[Any, ...], old: list[ast.expr], new: list[ast.expr]) -> tuple[Any, ...]:
    if len(old) != len(new) or len(old) != len(values):
        raise NotSwapped("other arguments")
    try:
        pairs = zip(values, old, new)
        return tuple(v if ast.dump(a) == ast.dump(b) else ast.literal_eval(b) for v, a, b in pairs)
    except ValueError as error:
        raise NotSwapped("a default that is no literal") from error


class Functions:
    """The living functions of the repository, by file, qualified name and line."""

    def __init__(self) -> None:
        gc.collect()
        self.living: dict[tuple[str, str, int], list[FunctionType]] = {}
        inside = os.getcwd() + "/"
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(inside):
                code = one.__code__
                path = code.co_filename.removeprefix(inside)
                self.living.setdefault((path, code.co_qualname, code.co_firstlineno), []).append(one)

    def swaps(self, part: dict[str, Any]) -> Iterator[Swap]:
        """What to give to which function, for one edit: `old` and `new` text of a statement of the module."""
        trees = [ast.increment_lineno(ast.parse(part[which]), part["line"] - 1) for which in ("old", "new")]
        path, flags = part["path"], part["flags"]
        absolute = os.path.join(os.getcwd(), path)
        old_nodes, new_nodes = (nodes_in(tree, "", {}) for tree in trees)
        old = codes_in(compile(trees[0], absolute, "exec", flags, dont_inherit=True), {})
        for name, codes in old.items():
            for code, node in zip(codes, new_nodes.get(name, [])):
                if code.co_freevars:
                    keep_cells(node, code.co_freevars)
        new = codes_in(compile(trees[1], absolute, "exec", flags, dont_inherit=True), {})
        for name, codes in old.items():
            own = name == part["name"] or name.startswith(f"{part['name']}.<locals>.")
            if not own or len(codes) != len(new.get(name, [])):
                continue
            for place, (was, code) in enumerate(zip(codes, new[name])):
                for function in self.living.get((path, name, was.co_firstlineno), []):
                    if code.co_freevars != was.co_freevars:
                        raise NotSwapped("other cells")
                    values: Any = function.__defaults__
                    named: Any = function.__kwdefaults__
                    if name in old_nodes:
                        a, b = old_nodes[name][place].args, new_nodes[name][place].args
                        if ast.dump(a) != ast.dump(b):
                            values = changed(values or (), a.defaults, b.defaults) or None
                            keys = [one.arg for one, default in zip(a.kwonlyargs, a.kw_defaults) if default]
                            sides = [[one for one in side.kw_defaults if one] for side in (a, b)]
                            named = dict(zip(keys, changed(tuple((named or {}).values()), *sides))) or None
                    yield function, code, values, named


class Search:
    """A plugin of pytest: serves candidates in the place of the loop over the tests."""

    def __init__(self, candidates: list[dict[str, Any]], out: int) -> None:
        self.candidates, self.out = candidates, out
        self.failed: set[str] = set()
        self.pipe = -1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed" and report.nodeid not in self.failed:
            self.failed.add(report.nodeid)
            write(self.pipe, report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items: dict[str, pytest.Item] = {}
        for item in session.items:
            items.setdefault(item.nodeid, item)
        functions = Functions()
        gc.freeze()
        for candidate in self.candidates:
            try:
                swaps = [swap for part in candidate["parts"] for swap in functions.swaps(part)]
                answer = self.tried(items, candidate, swaps) if swaps else {"status": "unswapped", "why": "not found"}
            except (NotSwapped, SyntaxError, ValueError) as error:
                answer = {"status": "unswapped", "why": str(error)}
            write(self.out, answer)
        return True

    def tried(self, items: dict[str, pytest.Item], candidate: dict[str, Any], swaps: list[Swap]) -> dict[str, Any]:
        chosen = [items[test] for test in candidate["tests"] if test in items]
        if not chosen:
            return {"status": "untested", "why": "its tests were not collected"}
        read, pipe = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self.become(chosen, swaps, candidate, pipe)
        os.close(pipe)
        failed, late = told(read, time.monotonic() + WALL * candidate["limit"] + 5.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL) if late else None
        _, wait_status, usage = os.wait4(pid, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what its tests left running
        status = os.waitstatus_to_exitcode(wait_status)
        if late or status == STATUS_ENDLESS:
            verdict = "endless"
        elif status or not failed or failed[-1] is not None:
            verdict = "died"
        else:
            verdict = "failed" if failed[:-1] else "survived"
            verdict = "fails too much" if len(failed) - 1 > candidate["most"] else verdict
        named = sorted({test for test in failed if test is not None})
        return {"status": verdict, "failed": named, "cpu_s": usage.ru_utime + usage.ru_stime}

    def become(self, chosen: list[pytest.Item], swaps: list[Swap], candidate: dict[str, Any], pipe: int) -> None:
        """Runs tests until too many of them failed; never returns."""
        status = 1
        try:
            os.setsid()
            self.pipe = pipe
            for function, code, values, named in swaps:
                function.__code__, function.__defaults__, function.__kwdefaults__ = code, values, named
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, candidate["limit"])
            for item, following in zip(chosen, [*chosen[1:], None]):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if len(self.failed) > candidate["most"]:
                    break
            write(pipe, None)
            status = 0
        finally:
            os._exit(status)


def write(fd: int, value: Any) -> None:
    data = (json.dumps(value) + "\n").encode()
    while data:
        data = data[os.write(fd, data) :]


def told(fd: int, deadline: float) -> tuple[list[str | None], bool]:
    """Lines of a pipe until its end, and whether the time was up before it."""
    data = bytearray()
    late = False
    while not late:
        left = deadline - time.monotonic()
        late = left <= 0
        if not late and select.select([fd], [], [], left)[0]:
            more = os.read(fd, 1 << 16)
            if not more:
                break
            data += more
    os.close(fd)
    return [json.loads(line) for line in data.split(b"\n")[:-1]], late


def main() -> None:
    job = json.load(sys.stdin)
    out = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    place = os.getcwd()
    os.mkdir("temporary")
    os.environ |= {"PYTHONHASHSEED": "0", "TMPDIR": f"{place}/temporary", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
    os.environ |= job["environment"]
    sys.dont_write_bytecode = True
    os.chdir("tree")
    roots = [os.path.normpath(os.path.join(os.getcwd(), root)) for root in job["roots"]]
    sys.path[:] = [*roots, *(path for path in sys.path[1:] if path not in roots)]
    os.environ["PYTHONPATH"] = ":".join(roots)
    sys.argv = ["pytest"]
    random.seed(0)
    sys.exit(pytest.main(job["arguments"], plugins=[Search(job["candidates"], out)]))


if __name__ == "__main__":
    main()
