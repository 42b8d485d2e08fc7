"""Repair tasks on the made-up package `shapes`, and sessions on them."""

from collections.abc import Callable

import pytest

from agents.coding.sessions import CodingSessions
from agents.conversations.agents import Agent
from gym.repositories.project import Project
from gym.repositories.suite import run_suite
from gym.repositories.task import Edit, RepairTask, Snippet, apply_edits
from gym.sandbox import Box

EDGES = ("shapes/plane.py", "if following == point:", "if following != point:", "reversed_comparison", "_edges")
SIDES = (
    "shapes/layout.py",
    "if width <= 0 or height <= 0:",
    "if width <= 0 or height >= 0:",
    "comparison",
    "Box.__init__",
)
SIZE = (
    "shapes/layout.py",
    "if cleaned.endswith(unit):",
    "if not cleaned.endswith(unit):",
    "inverted_condition",
    "parse_size",
)
HALF = ("shapes/plane.py", "half = twice / 2", "half = twice / 3", "constant", "area")

ISSUE = """# Odd result from `{name}`

```pycon
{session}
{got}
```

I would expect `{want}`."""


def bug(project: Project, path: str, old: str, new: str, kind: str, function: str) -> Edit:
    source = project.files[path]
    start = source.index(old.encode())
    return Edit(path, start, start + len(old.encode()), new, kind, function, source.count(b"\n", 0, start) + 1)


@pytest.fixture(scope="session")
def coding(toy_project: Project, toy_box: Box) -> CodingSessions:
    return CodingSessions(toy_project, toy_box)


Maker = Callable[..., RepairTask]
SUITE = ("tests/test_layout.py", "tests/test_plane.py")


@pytest.fixture(scope="session")
def good_tests(coding: CodingSessions) -> list[str]:
    """Tests that pass on the good files."""
    run = run_suite(coding.box, coding.project, coding.project.files, SUITE)
    return [test for test, outcome in run.outcomes.items() if outcome == "passed"]


@pytest.fixture(scope="session")
def make_task(coding: CodingSessions, toy_project: Project, good_tests: list[str]) -> Maker:
    """A proven task: bugs, the report's example, what it gives and should give, and names of failing tests to show."""

    def make(bugs: list[tuple[str, str, str, str, str]], code: str, good: str, broken: str, *shown: str) -> RepairTask:
        edits = tuple(bug(toy_project, *one) for one in bugs)
        run = run_suite(coding.box, toy_project, apply_edits(toy_project.files, edits), SUITE)
        failing = tuple(test for test in good_tests if run.outcomes.get(test) != "passed")
        passing = tuple(test for test in good_tests if test not in failing)
        assert failing and passing
        lines = code.split("\n")
        got = f"Traceback (most recent call last):\n  ...\n{broken[1:]}" if broken.startswith("!") else broken
        issue = ISSUE.format(
            name=lines[0].split()[-1], session="\n".join(f">>> {line}" for line in lines), got=got, want=good
        )
        seen = tuple(test for test in failing if test.split("::")[-1] in shown)
        assert len(seen) == len(shown)
        snippet = Snippet(code, lines[-1], good, broken)
        return RepairTask(
            f"shapes-{bugs[0][-1]}",
            "shapes",
            "1.0",
            edits,
            failing,
            passing,
            (*seen, *passing),
            issue,
            "session",
            snippet,
            1,
        )

    return make


@pytest.fixture(scope="session")
def tasks(make_task: Maker) -> list[RepairTask]:
    """A bug that a call leads to, one that ends in a traceback, and one in the reported function."""
    square = "from shapes import area\nsquare = [(0, 0), (2, 0), (2, 2), (0, 2)]\narea(square)"
    boxes = "from shapes import Box, fit\nfit([Box(6, 2), Box(3, 5)], 20)"
    return [
        make_task([EDGES], square, "4.0", "0.0", "test_perimeter"),
        make_task([SIDES], boxes, "3", "!ValueError: sides 6 and 2: both must be above 0"),
        make_task([SIZE], "from shapes import parse_size\nparse_size('1.5m')", "1500", "1"),
    ]


@pytest.fixture(scope="session")
def pair(make_task: Maker) -> RepairTask:
    """Two bugs: the report tells of one, a test that is there of the other."""
    size = "from shapes import parse_size\nparse_size('1.5m')"
    return make_task([SIZE, HALF], size, "1500", "1", "test_area")


def agent(slip: float = 0.0, recover: float = 1.0, *, thinks: bool = True, together: bool = False) -> Agent:
    return Agent("a", "", "", 0, (), slip=slip, recover=recover, thinks=thinks, together=together)
