"""A search in memory says of each candidate what a run of the whole suite on the broken files says."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gym.repositories import search as search_module
from gym.repositories.baseline import Baseline
from gym.repositories.draw import parse_code
from gym.repositories.mutations import mutations
from gym.repositories.project import Project
from gym.repositories.search import search
from gym.repositories.suite import run_suite
from gym.repositories.task import Edit, apply_edits
from gym.sandbox import Box, SandboxError

CODE = '''from __future__ import annotations

import functools
import os


def logged(function):
    @functools.wraps(function)
    def inner(*arguments, **named):
        return function(*arguments, **named)

    return inner


@logged
@functools.lru_cache
def decorated(number, step=1, *, factor=2):
    """Of a number."""
    doubled = number * factor
    return doubled + step


def counter(start):
    def count(step=1):
        nonlocal start
        start += step
        return start

    return count


FIRST, SECOND = counter(10), counter(20)


class Base:
    def name(self):
        text = "base"
        return text


class Child(Base):
    def __init__(self, size):
        self._size = size

    @property
    def size(self):
        return self._size + 1

    @size.setter
    def size(self, value):
        self._size = value * 2

    def name(self):
        text = super().name()
        return text + "!"

    @staticmethod
    def numbers(count):
        yield from (number * number for number in range(count))

    plus = staticmethod(lambda a, b: a + b)


def at_import():
    total = 1 + 2
    return total


TOTAL = at_import()
del at_import


def typed(a):
    def inner(b: Unknown) -> Unknown:
        return a - b

    return inner(1)


def unused(a):
    b = a + 1
    return b
'''
TESTS = """import code_of_it as c


def test_decorated():
    assert c.decorated(3) == 7


def test_step():
    assert c.decorated(3, 2, factor=3) == 11


def test_counters():
    assert c.FIRST() == 11
    assert c.SECOND(2) == 22


def test_child():
    child = c.Child(1)
    assert child.size == 2
    child.size = 4
    assert child.size == 9


def test_name():
    assert c.Child(1).name() == "base!"


def test_numbers():
    assert list(c.Child.numbers(3)) == [0, 1, 4]


def test_plus():
    assert c.Child.plus(1, 2) == 3


def test_typed():
    assert c.typed(3) == 2


def test_total():
    assert c.TOTAL == 3
"""
PROJECT = Project(
    name="code_of_it",
    version="1",
    files={"src/code_of_it.py": CODE.encode(), "tests/test_it.py": TESTS.encode()},
    roots=("src",),
    code=("src/code_of_it.py",),
    tests=("tests",),
)


def all_run_all(box: Box, project: Project) -> Baseline:
    """As if every test ran every line of the code."""
    run = run_suite(box, project, project.files)
    tests = tuple(test for test, outcome in run.outcomes.items() if outcome == "passed")
    lines = {path: dict.fromkeys(range(1, project.files[path].count(b"\n") + 1), 0) for path in project.code}
    return Baseline(tests, run.seconds, (tuple(range(len(tests))),), lines, {}, run.cpu_s)


def replaced(project: Project, old: str, new: str) -> Edit:
    """An edit of the one place where `old` stands."""
    [(path, content)] = [(path, project.files[path]) for path in project.code if old.encode() in project.files[path]]
    assert content.count(old.encode()) == 1
    start = content.index(old.encode())
    return Edit(path, start, start + len(old.encode()), new, "by hand", "", content.count(b"\n", 0, start) + 1)


def failing(box: Box, project: Project, baseline: Baseline, edit: Edit) -> list[str]:
    run = run_suite(box, project, apply_edits(project.files, (edit,)), baseline.tests)
    return sorted(test for test in baseline.tests if run.outcomes.get(test) != "passed")


@pytest.fixture(scope="module")
def measured(box: Box) -> Baseline:
    return all_run_all(box, PROJECT)


BUGS: Mapping[str, tuple[str, str, list[str]]] = {
    "behind two decorators": ("number * factor", "number + factor", ["test_decorated", "test_step"]),
    "default": ("step=1, *", "step=2, *", ["test_decorated"]),
    "keyword default": ("factor=2", "factor=3", ["test_decorated"]),
    "two closures of one code": ("start += step", "start -= step", ["test_counters"]),
    "default of a closure": ("count(step=1)", "count(step=2)", ["test_counters"]),
    "blanked closure": (
        "nonlocal start\n        start += step\n        return start",
        "raise OSError",
        ["test_counters"],
    ),
    "property": ("self._size + 1", "self._size", ["test_child"]),
    "its setter": ("value * 2", "value", ["test_child"]),
    "with super": ('text + "!"', "text", ["test_name"]),
    "blanked with super": ('text = super().name()\n        return text + "!"', "raise OSError", ["test_name"]),
    "shorter": ('        text = "base"\n', '        text = ""\n', ["test_name"]),
    "comprehension in a generator": ("number * number", "number", ["test_numbers"]),
    "annotations that are never evaluated": ("a - b", "-b + a", []),
    "harmless": ("number * factor", "factor * number", []),
}


def test_swapped_code_fails_the_tests_that_the_file_on_disk_fails(box: Box, measured: Baseline) -> None:
    edits = [replaced(PROJECT, old, new) for old, new, _ in BUGS.values()]
    trials, cpu_s = search(box, PROJECT, measured, [(edit,) for edit in edits], parse_code(PROJECT))
    assert cpu_s > sum(trial.cpu_s for trial in trials) > 0
    for (name, (_, _, expected)), trial in zip(BUGS.items(), trials):
        assert trial.status == ("failed" if expected else "survived"), (name, trial)
        assert trial.failed == tuple(f"tests/test_it.py::{test}" for test in expected), name
    for edit, trial in list(zip(edits, trials))[:6]:
        assert failing(box, PROJECT, measured, edit) == list(trial.failed)


def test_two_edits_at_once(box: Box, measured: Baseline) -> None:
    pair = (replaced(PROJECT, "self._size + 1", "self._size"), replaced(PROJECT, "number * number", "number"))
    [trial], _ = search(box, PROJECT, measured, [pair], parse_code(PROJECT))
    assert trial.failed == ("tests/test_it.py::test_child", "tests/test_it.py::test_numbers")


def test_what_cannot_be_told_in_memory_is_said(box: Box, measured: Baseline) -> None:
    sources = parse_code(PROJECT)
    gone = replaced(PROJECT, "1 + 2", "1 - 2")
    cells = replaced(PROJECT, "nonlocal start\n", "start = 0\n")
    ends = replaced(PROJECT, "doubled = number * factor", "os._exit(0)")
    nothing = replaced(PROJECT, "b = a + 1", "b = a - 1")
    line = nothing.line
    lines = {path: {n: group for n, group in of.items() if n != line} for path, of in measured.lines.items()}
    candidates = [(gone,), (cells,), (ends,), (nothing,)]
    trials, _ = search(box, PROJECT, replace(measured, lines=lines), candidates, sources)
    assert [trial.status for trial in trials] == ["unswapped", "unswapped", "died", "untested"]


def test_a_loop_without_end_is_stopped_and_the_search_goes_on(
    box: Box, measured: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "START_S", 0.4)
    endless = replaced(PROJECT, "doubled = number * factor", "while True: pass")
    after = replaced(PROJECT, "self._size + 1", "self._size")
    trials, _ = search(box, PROJECT, measured, [(endless,), (after,)], parse_code(PROJECT))
    assert [trial.status for trial in trials] == ["endless", "failed"]
    assert 0.2 < trials[0].cpu_s < 2.0


def test_a_bug_that_fails_more_tests_than_a_task_may_is_left_early(
    box: Box, measured: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "MOST_FAILURES", 1)
    two, one = replaced(PROJECT, "number * factor", "number"), replaced(PROJECT, "number * number", "number")
    trials, _ = search(box, PROJECT, measured, [(two,), (one,)], parse_code(PROJECT))
    assert [trial.status for trial in trials] == ["fails too much", "failed"]


def test_a_suite_that_is_not_collected_stops_the_search(box: Box, measured: Baseline) -> None:
    broken = replace(PROJECT, tests=("nowhere",))
    with pytest.raises(SandboxError, match="code_of_it: no search"):
        search(box, broken, measured, [(replaced(PROJECT, "number * number", "number"),)], parse_code(PROJECT))


def agreement(box: Box, project: Project, every: int) -> int:
    sources = parse_code(project)
    measured = all_run_all(box, project)
    edits = [edit for source in sources.values() for edit in mutations(source)][::every]
    trials, _ = search(box, project, measured, [(edit,) for edit in edits], sources)
    for edit, trial in zip(edits, trials):
        assert trial.status in ("failed", "survived"), (trial, edit)
        assert failing(box, project, measured, edit) == list(trial.failed), edit
    return len(edits)


def good(project: Project) -> Project:
    return replace(project, options=("--ignore=tests/test_unfit.py",))


def test_search_and_disk_agree(box: Box, toy_project: Project) -> None:
    assert agreement(box, good(toy_project), 8) > 30
