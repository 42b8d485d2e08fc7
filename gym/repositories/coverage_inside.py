"""Runs inside a sandbox that has coverage: which of the given tests run which lines, into `coverage.json`.

Standard input is what to run, as JSON. Lines that run while modules are imported belong to no test.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import coverage
import pytest

TREE = "tree"


class Contexts:
    """Tells coverage which test runs; leaves out those that aren't wanted."""

    def __init__(self, measured: coverage.Coverage, tests: set[str]) -> None:
        self.measured, self.tests = measured, tests
        self.tracer: object = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.tests]
        self.tracer = sys.gettrace()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if sys.gettrace() is not self.tracer:  # the last test had one of its own
            self.measured.stop()
            self.measured.start()
            self.tracer = sys.gettrace()
        self.measured.switch_context(item.nodeid)
        result = yield
        self.measured.switch_context("")
        return result


def tests_by_line(data: coverage.CoverageData, tests: list[str]) -> dict[str, Any]:
    """`groups` of tests by their numbers, and for each file the group of each line."""
    numbers = {test: number for number, test in enumerate(tests)}
    groups: dict[tuple[int, ...], int] = {}
    lines: dict[str, dict[int, int]] = {}
    for path in sorted(data.measured_files()):
        found = {}
        for line, contexts in sorted(data.contexts_by_lineno(path).items()):
            group = tuple(sorted(numbers[context] for context in contexts if context))
            if group:
                found[line] = groups.setdefault(group, len(groups))
        if found:
            lines[os.path.relpath(path)] = found
    return {"groups": list(groups), "lines": lines}


def main() -> None:
    run = json.loads(sys.stdin.read())
    place = os.getcwd()
    nothing = os.open(os.devnull, os.O_RDWR)
    for target in range(3):
        os.dup2(nothing, target)
    os.mkdir("temporary")
    os.environ |= {"TMPDIR": f"{place}/temporary", "TZ": "UTC", **run["environment"]}
    os.chdir(TREE)
    roots = [os.path.normpath(os.path.join(os.getcwd(), root)) for root in run["roots"]]
    sys.path[:] = [*roots, *sys.path[1:]]
    os.environ["PYTHONPATH"] = ":".join(roots)
    sys.argv = ["pytest"]
    code = [os.path.abspath(path) for path in run["code"]]
    measured = coverage.Coverage(data_file=None, include=code, config_file=False, messages=False)
    measured.start()
    pytest.main(run["arguments"], plugins=[Contexts(measured, set(run["tests"]))])
    measured.stop()
    os.chdir(f"{place}/{TREE}")
    found = tests_by_line(measured.get_data(), run["tests"])
    with open(f"{place}/coverage.json", "w", encoding="utf-8") as handle:
        json.dump(found, handle)


main()
