"""Runs inside a sandbox: failing tests once, watched, so that each one's failing call can be told without the test.

Reads `ask.json`, writes `told.jsonl`: a line a failing test, then a line a changed function whose documentation holds
examples. The repository's files are below `tree`. Standard library and pytest only.
"""

import ast
import doctest
import json
import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from claims_inside import Claim, claims_of
from frames_inside import call_of, located, quoted, statement_text, substituted
from slice_inside import CannotSlice, Place, Slice
from statements_inside import free, judges, stores

TEST_S = 8  # processor seconds after which a test counts as endless
CANDIDATES = 4
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


class Endless(Exception):
    """A test that used up its time; raised where it was."""


def too_long(number: int, frame: FrameType | None) -> None:
    raise Endless(f"no end after {TEST_S} s")


class Watcher:
    """pytest plugin: sees the live frames of a failing test."""

    def __init__(self, ask: dict[str, Any], out: Any) -> None:
        self.ask, self.out, self.work = ask, out, os.getcwd()
        self.place = os.path.dirname(os.path.dirname(self.work))  # of the sandbox
        self.told: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Only the wanted ones: as arguments, one that is missing would keep all others from running."""
        items[:] = [item for item in items if item.nodeid in self.ask["tests"]]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, TEST_S)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if node.nodeid in self.told or call.when not in ("setup", "call"):
            return
        self.told.add(node.nodeid)
        error = call.excinfo.value
        told = [line for line in str(error)[:2000].splitlines() if self.place not in line and not ADDRESS.search(line)]
        message = "\n".join(told)
        record: dict[str, Any] = {"test": node.nodeid, "error": type(error).__name__, "message": message}
        record |= {"source": "", "candidates": [], "why": ""}
        frames = list(self.frames(call.excinfo.tb))
        if frames:
            record["source"] = quoted([frame for frame, _ in frames])
            record["statement"] = statement_text(frames)
            fixtures = getattr(getattr(node, "_fixtureinfo", None), "name2fixturedefs", {})
            makers = {name: getattr(made[-1].func, "__wrapped__", made[-1].func) for name, made in fixtures.items()}
            reasons: dict[str, None] = {}
            for level in reversed(range(len(frames))):
                for claim, place in self.claims(frames, level, makers):
                    self.candidate(claim, place, record["candidates"], reasons)
                if record["candidates"]:
                    break
            record["why"] = "; ".join(reasons)
        else:
            record["why"] = "no frame in a test"
        self.say(record)

    def say(self, record: dict[str, Any]) -> None:
        self.out.write(json.dumps(record) + "\n")
        self.out.flush()

    def frames(self, trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
        """The frames of the tests' own files down to the first of anything else."""
        started = False
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            mine = path.startswith(f"{self.work}/") and path[len(self.work) + 1 :] not in self.ask["code"]
            if started and not mine:
                return
            if mine:
                started = True
                yield trace.tb_frame, trace.tb_lineno
            trace = trace.tb_next

    def claims(
        self, frames: list[tuple[FrameType, int]], level: int, makers: dict[str, Any]
    ) -> Iterator[tuple[Claim, Place]]:
        """What the failing statement of a frame asserts; of a helper also in the words of its caller.

        A statement that failed before it could assert anything stands for the next assertion that uses what it made.
        """
        frame, line = frames[level]
        found = located(frame, line)
        if found is None:
            return
        before, statement, after, guards = found
        local = dict(frame.f_locals)
        owner = local.pop("self", None) or local.pop("cls", None)
        place = Place(frame.f_globals, before, local, makers, owner)
        made = list(claims_of(statement, guards))
        for claim in made:
            yield claim, place
        if isinstance(statement, ast.Assign) and not judges(statement):
            position = next((k for k, later in enumerate(after) if judges(later)), None)
            if position is not None and any(stores(statement, name) for name in free(after[position])):
                rest = Place(frame.f_globals, [*before, statement, *after[:position]], local, makers, owner)
                for claim in claims_of(after[position], []):
                    yield claim, rest
        if level and made:
            outer, outer_line = frames[level - 1]
            call = call_of(outer, outer_line, frame)
            above = located(outer, outer_line)
            if call is not None and above is not None:
                outer_local = dict(outer.f_locals)
                outer_owner = outer_local.pop("self", None)
                outer_place = Place(outer.f_globals, above[0], outer_local, makers, outer_owner)
                for expression, relation, holds, want in made:
                    put = [substituted(part, call) if part is not None else None for part in (expression, want)]
                    if put[0] is not None:
                        yield (put[0], relation, holds, put[1]), outer_place

    def candidate(self, claim: Claim, place: Place, into: list[dict[str, Any]], reasons: dict[str, None]) -> None:
        """A claim as a program: with the test's own statements, and with the values that its names had."""
        expression, relation, holds, want = claim
        for literal in (False, True):
            if len(into) >= CANDIDATES:
                return
            try:
                parts = Slice(place, self.work, self.ask["code"], self.ask["packages"], literal)
                text = parts.expression(expression)
                if not parts.uses_package:
                    raise CannotSlice("no call of the package")
                made = {"imports": sorted(set(parts.imports.values())), "setup": parts.setup(), "expression": text}
                expected = "" if want is None else parts.expression(want)
                extra = [*sorted(set(parts.imports.values()) - set(made["imports"]))]
                extra += [part for part in parts.setup() if part not in made["setup"]]
            except (CannotSlice, SyntaxError, OSError) as error:
                reasons[str(error)] = None
                continue
            made |= {"relation": relation, "holds": holds, "expected": expected, "extra": extra}
            if made not in into and not any("pytest" in line for line in made["imports"]):
                into.append(made)

    def documentation(self) -> None:
        """The examples in the documentation of the changed functions."""
        for path, name in self.ask["changed"]:
            place = f"{self.work}/{path}"
            module = next((held for held in list(sys.modules.values()) if getattr(held, "__file__", "") == place), None)
            found: Any = module
            for part in name.split("."):
                found = getattr(found, part, None)
            if module is None or not getattr(found, "__doc__", None):
                continue
            candidates: list[dict[str, Any]] = []
            before: list[ast.stmt] = []
            for example in examples(found.__doc__):
                try:
                    body = ast.parse(example.source).body
                except SyntaxError:
                    break
                if len(body) == 1 and isinstance(body[0], ast.Expr) and (example.want or example.exc_msg):
                    kind = ast.Name((example.exc_msg or "").split(":")[0].split(".")[-1].strip(), ast.Load())
                    claim: Claim = (body[0].value, "documented", f"repr(value) == {example.want.strip()!r}", None)
                    if example.exc_msg:
                        claim = (body[0].value, "raises", "isinstance(value, want)", kind)
                    self.candidate(claim, Place(vars(module), list(before)), candidates, {})
                for statement in body:
                    if not isinstance(statement, ast.Expr):
                        ast.increment_lineno(statement, 100 * len(before))
                        before.append(statement)
            self.say({"test": "", "function": name, "candidates": candidates})


def examples(text: str) -> list[doctest.Example]:
    try:
        return doctest.DocTestParser().get_examples(textwrap.dedent(text))
    except ValueError:
        return []


def main() -> None:
    import pytest

    with open("ask.json", encoding="utf-8") as handle:
        ask = json.load(handle)
    with open("told.jsonl", "w", encoding="utf-8") as out:
        os.chdir("tree")
        roots = [os.path.normpath(os.path.join(os.getcwd(), root)) for root in ask["roots"]]
        sys.path[:] = [*roots, *(path for path in sys.path[1:] if path not in roots)]
        sys.dont_write_bytecode = True
        signal.signal(signal.SIGPROF, too_long)
        watcher = Watcher(ask, out)
        paths = dict.fromkeys(test.partition("::")[0] for test in ask["tests"])
        sys.argv = ["pytest"]
        pytest.main([*ask["options"], *paths], plugins=[watcher])
        try:
            watcher.documentation()
        except Exception:  # noqa: BLE001  the package's own objects are asked here
            traceback.print_exc()


main()
