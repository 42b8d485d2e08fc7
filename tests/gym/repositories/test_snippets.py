"""Calls out of failing tests: what is found, and what is refused."""

from dataclasses import replace

import pytest

from gym.repositories.project import Project
from gym.repositories.snippets import Candidate, Failure, ProvenCall, describe, merged, prove, run_snippets
from gym.repositories.task import Edit, Snippet, apply_edits
from gym.sandbox import Box

TEST = "tests/test_more.py"


def edit_of(project: Project, path: str, old: str, new: str, function: str, kind: str = "constant") -> Edit:
    content = project.files[path]
    assert content.count(old.encode()) == 1, old
    start = content.index(old.encode())
    line = content.count(b"\n", 0, start) + 1
    return Edit(path, start, start + len(old.encode()), new, kind, function, line)


def with_tests(project: Project, text: str) -> Project:
    return replace(project, files={**project.files, TEST: text.encode()})


def found(box: Box, project: Project, edit: Edit, *tests: str) -> tuple[list[Failure], list[ProvenCall]]:
    broken = apply_edits(project.files, (edit,))
    failures = describe(box, project, broken, tests, (edit,))
    candidates = [candidate for failure in failures for candidate in failure.candidates]
    return failures, [one for one in prove(box, project, broken, candidates, (edit,)) if one is not None]


def codes(proven: list[ProvenCall]) -> list[str]:
    return [one.snippet.code for one in proven]


@pytest.fixture(scope="module")
def no_abs(toy_project: Project) -> Edit:
    return edit_of(toy_project, "shapes/plane.py", "return abs(half)", "return half", "area", "removed_call")


def test_a_comparison(box: Box, toy_project: Project, no_abs: Edit) -> None:
    failures, proven = found(box, toy_project, no_abs, "tests/test_plane.py::test_area_clockwise")
    code = "from shapes import area\n\nSQUARE = [(0, 0), (2, 0), (2, 2), (0, 2)]\narea(SQUARE[::-1])".replace(
        "\n\n", "\n"
    )
    assert proven[0].snippet == Snippet(code, "area(SQUARE[::-1])", "4.0", "-4.0")
    assert (proven[0].chain, proven[0].symptom) == (1, "wrong")
    assert failures[0].source == "def test_area_clockwise():\n    assert area(SQUARE[::-1]) == 4.0"


def test_only_failing_tests_are_told(box: Box, toy_project: Project, no_abs: Edit) -> None:
    failures, _ = found(box, toy_project, no_abs, "tests/test_plane.py::test_area", "tests/test_plane.py::test_bounds")
    assert [failure.test for failure in failures] == [""]  # what the documentation says


def test_a_private_helper_is_reported_by_its_callers(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/plane.py", "(number + 1) %", "(number + 2) %", "_edges", "off_by_one")
    _, proven = found(box, toy_project, edit, "tests/test_plane.py::test_perimeter")
    assert all("_edges" not in code for code in codes(proven))
    assert proven[0].chain == 2


def test_a_missing_exception(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/plane.py", "if len(points) < 3", "if len(points) < 2", "_edges")
    _, proven = found(box, toy_project, edit, "tests/test_plane.py::test_two_points")
    assert proven[0].snippet.code == "from shapes import area\narea([(0, 0), (1, 1)])"
    assert proven[0].snippet.good == "!ValueError: a polygon has three points or more, not 2"
    assert (proven[0].snippet.broken, proven[0].symptom) == ("0.0", "silent")


def test_unittest_and_its_set_up(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/layout.py", "total += gap", "pass", "fit")
    _, proven = found(box, toy_project, edit, "tests/test_layout.py::FitTest::test_fit_in_rows")
    assert proven[0].snippet.code == "from shapes import Box, fit\nfit([Box(6, 2), Box(3, 5)], 7, gap=1)"
    assert (proven[0].snippet.good, proven[0].snippet.broken) == ("6", "5")
    edit = edit_of(toy_project, "shapes/layout.py", "if width <= 0 or", "if", "Box.__init__")
    _, proven = found(box, toy_project, edit, "tests/test_layout.py::FitTest::test_no_negative_side")
    assert codes(proven) == []  # what it gives has an address


def test_parameters_stand_as_values(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/plane.py", "return found", "return not found", "inside")
    _, proven = found(box, toy_project, edit, "tests/test_plane.py::test_inside[point1-False]")
    assert proven[0].snippet.expression == "inside((3, 1), SQUARE)"
    assert (proven[0].snippet.good, proven[0].snippet.broken) == ("False", "True")


def test_an_exception_in_the_code(box: Box, toy_project: Project) -> None:
    edit = edit_of(
        toy_project, "shapes/plane.py", "return half\n    return abs", "return halves\n    return abs", "area"
    )
    _, proven = found(box, toy_project, edit, "tests/test_plane.py::test_area_signed")
    assert proven[0].snippet.good == "4.0"
    assert proven[0].snippet.broken == "!NameError: name 'halves' is not defined"
    assert [frame[0] for frame in proven[0].frames] == ["report.py", "shapes/plane.py"]


def test_documentation(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/layout.py", "* UNITS[unit]", "+ UNITS[unit]", "parse_size")
    _, proven = found(box, toy_project, edit, "tests/test_layout.py::test_parse_size")
    documented = [one for one in proven if one.relation == "documented"]
    assert codes(documented) == ["from shapes import parse_size\nparse_size('12 cm')"]
    assert (documented[0].snippet.good, documented[0].snippet.broken) == ("120", "22")


TESTS = {
    "a local variable set once": (
        "    square = [(0, 0), (0, 2), (2, 2)]\n    result = area(square)\n    assert result == 2.0\n",
        "from shapes import area\narea([(0, 0), (0, 2), (2, 2)])",
    ),
    "the expected side first": ("    assert 2.0 == area([(0, 0), (0, 2), (2, 2)])\n", "area([(0, 0), (0, 2), (2, 2)])"),
    "a variable that is changed in place": (
        "    points = [(0, 0)]\n    points.append((0, 2))\n    points.append((2, 2))\n    assert area(points) == 2.0\n",
        "points = [(0, 0)]\npoints.append((0, 2))\npoints.append((2, 2))\narea(points)",
    ),
    "a variable that is set anew": (
        "    p = area\n    p = [(0, 0), (0, 1), (1, 1)]\n    p.pop()\n    p = ((0, 0), (0, 2), (2, 2))\n"
        "    assert area(p) == 2.0\n",
        "from shapes import area\narea(((0, 0), (0, 2), (2, 2)))",
    ),
    "a loop": (
        "    for size in (0, 2):\n        assert area([(0, 0), (0, size), (size, size)]) == size\n",
        "area([(0, 0), (0, 2), (2, 2)])",
    ),
    "a claim that can't be asked of the wrong value": (
        "    side = area([(0, 0), (0, 2), (2, 2)]) ** 0.5\n    assert side > 1\n",
        "area([(0, 0), (0, 2), (2, 2)]) ** 0.5",
    ),
    "a statement that fails before the assertion": (
        "    some = iter(range(int(math.sqrt(area([(0, 0), (0, 2), (2, 2)])))))\n    assert next(some) == 0\n",
        "next(iter(range(int(math.sqrt(area([(0, 0), (0, 2), (2, 2)]))))))",
    ),
    "a helper": (
        "    def check(points, due):\n        assert area(points) == due\n    check([(0, 0), (0, 2), (2, 2)], 2.0)\n",
        "area([(0, 0), (0, 2), (2, 2)])",
    ),
    "a helper that compares": ("    same(2.0, area([(0, 0), (0, 2), (2, 2)]))\n", "area([(0, 0), (0, 2), (2, 2)])"),
    "a helper that makes": (
        "    assert area(twice([(0, 0), (0, 1), (1, 1)])) == 2.0\n",
        "area(twice([(0, 0), (0, 1), (1, 1)]))",
    ),
    "a fixture": (
        "    assert area(corner.points) == 2.0\n",
        "start = [(0, 0), (0, 2)]\ncorner = Polygon(start + [(2, 2)])\narea(corner.points)",
    ),
    "a lambda": (
        "    scaled = lambda k, **more: area([(0, 0), (0, k), (k, k)], **more)\n    assert scaled(2) == 2.0\n",
        "scaled = lambda k, **more: area([(0, 0), (0, k), (k, k)], **more)\nscaled(2)",
    ),
    "a plain lambda": (
        "    scaled = lambda k: area([(0, 0), (0, k), (k, k)], **{'signed': False})\n    assert scaled(*[2]) == 2.0\n",
        "from shapes import area\narea([(0, 0), (0, 2), (2, 2)], signed=False)",
    ),
    "a type": (
        "    assert isinstance(math.sqrt(area([(0, 0), (0, 2), (2, 2)])), float)\n",
        "from shapes import area\nmath.sqrt(area([(0, 0), (0, 2), (2, 2)]))",
    ),
    "what was made for a helper that judges": (
        "    def check(value):\n        assert value > 0\n    check(math.sqrt(area([(0, 0), (0, 2), (2, 2)])))\n",
        "from shapes import area\nmath.sqrt(area([(0, 0), (0, 2), (2, 2)]))",
    ),
    "a name of a starred import": (
        "    assert [area([(0, 0), (0, 2), (2, 2)]), parse_size('1')] == [2.0, 1]\n",
        "from shapes import area, parse_size\n[area([(0, 0), (0, 2), (2, 2)]), parse_size('1')]",
    ),
    "a mocked module": ("    import unittest.mock as m\n    assert area(m.MagicMock()) == 2.0\n", None),
}


@pytest.fixture(scope="module")
def more(toy_project: Project) -> Project:
    head = "import math\n\nimport pytest\n\nfrom shapes import Polygon, area\nfrom shapes.layout import *\n\n\n"
    head += "@pytest.fixture\ndef corner():\n"
    head += "    start = [(0, 0), (0, 2)]\n    return Polygon(start + [(2, 2)])\n\n\n"
    head += "def same(expected, value):\n    assert expected == value\n\n\n"
    head += "def twice(points):\n    return [(2 * x, 2 * y) for x, y in points]\n"
    bodies = [
        f"\n\ndef test_{number}({'corner' if name == 'a fixture' else ''}):\n{body}"
        for number, (name, (body, _)) in enumerate(TESTS.items())
    ]
    return with_tests(toy_project, head + "".join(bodies))


@pytest.fixture(scope="module")
def all_found(box: Box, more: Project, no_abs: Edit) -> dict[str, list[str]]:
    """Proven programs by number of the test."""
    tests = [f"{TEST}::test_{number}" for number in range(len(TESTS))]
    broken = apply_edits(more.files, (no_abs,))
    failures = {failure.test: failure for failure in describe(box, more, broken, tests, (no_abs,))}
    kept = [(test, candidate) for test, failure in failures.items() for candidate in failure.candidates]
    proven = prove(box, more, broken, [candidate for _, candidate in kept], (no_abs,))
    made: dict[str, list[str]] = {test: [] for test in tests}
    for (test, _), one in zip(kept, proven):
        if one is not None and test:
            made[test].append(one.snippet.code)
    return made


@pytest.mark.parametrize("name", TESTS)
def test_ways_to_write_a_test(all_found: dict[str, list[str]], name: str) -> None:
    made = all_found[f"{TEST}::test_{list(TESTS).index(name)}"]
    expected = TESTS[name][1]
    if expected is None:
        assert made == []
    else:
        assert made and any(code.endswith(expected) for code in made), made


def candidate(
    expression: str, *setup: str, holds: str = "value", imports: str = "from shapes import area"
) -> Candidate:
    return Candidate((imports,), setup, expression, "condition", holds, "", ())


REFUSED = {
    "the same value": candidate("area([(0, 0), (2, 0), (2, 2)])", holds="value == 2.0"),
    "not what the test expects": candidate("area([(0, 0), (0, 2), (2, 2)])", holds="value == 5"),
    "an address": candidate("(object(), area([(0, 0), (0, 2), (2, 2)]))", holds="value[1] > 0"),
    "the time": candidate("(area([(0, 0), (0, 2), (2, 2)]), time.time() // 1)", "import time", holds="value[0] > 0"),
    "the day": candidate(
        "(area([(0, 0), (0, 2), (2, 2)]), date.today().year)", "from datetime import date", holds="value[0] > 0"
    ),
    "the order of a set": candidate("({'a', 'b'}, area([(0, 0), (0, 2), (2, 2)]))", holds="value[1] > 0"),
    "the place of the files": candidate(
        "(shapes.__file__, area([(0, 0), (0, 2), (2, 2)]))", "import shapes", holds="value[1] > 0"
    ),
    "set-up that fails": candidate("area([(0, 0), (0, 2), (2, 2)])", "none_of_it", holds="value == 2.0"),
}


def test_refused(box: Box, toy_project: Project, no_abs: Edit) -> None:
    broken = apply_edits(toy_project.files, (no_abs,))
    good = candidate("area([(0, 0), (0, 2), (2, 2)])", holds="value == 2.0")
    proven = prove(box, toy_project, broken, [good, *REFUSED.values()], (no_abs,))
    assert proven[0] is not None
    assert {name: one for name, one in zip(REFUSED, proven[1:]) if one is not None} == {}


def test_a_set_is_sorted(box: Box, toy_project: Project, no_abs: Edit) -> None:
    broken = apply_edits(toy_project.files, (no_abs,))
    made = candidate("{'a', str(area([(0, 0), (0, 2), (2, 2)]))}", holds="value == {'a', '2.0'}")
    proven = prove(box, toy_project, broken, [made], (no_abs,))[0]
    assert proven is not None
    assert proven.snippet.expression == "sorted({'a', str(area([(0, 0), (0, 2), (2, 2)]))})"
    assert (proven.snippet.good, proven.snippet.broken) == ("['2.0', 'a']", "['-2.0', 'a']")


@pytest.mark.slow
def test_endless(box: Box, toy_project: Project) -> None:
    edit = edit_of(toy_project, "shapes/plane.py", "total = 0.0", "while True:\n        pass", "perimeter")
    broken = apply_edits(toy_project.files, (edit,))
    made = candidate(
        "perimeter([(0, 0), (3, 0), (3, 4)])", holds="value == 12.0", imports="from shapes import perimeter"
    )
    proven = prove(box, toy_project, broken, [made], (edit,))[0]
    assert proven is not None
    assert proven.symptom == "endless"


def test_snippets_run_again_as_they_were_proven(box: Box, toy_project: Project, no_abs: Edit) -> None:
    _, proven = found(box, toy_project, no_abs, "tests/test_plane.py::test_area_clockwise")
    snippets = [one.snippet for one in proven]
    broken = apply_edits(toy_project.files, (no_abs,))
    assert run_snippets(box, toy_project, toy_project.files, snippets) == [snippet.good for snippet in snippets]
    assert run_snippets(box, toy_project, broken, snippets) == [snippet.broken for snippet in snippets]


def test_merged() -> None:
    lines = ["from b import y", "import a", "from b import x", "from a import z as w"]
    assert merged(lines) == ("import a", "from a import z as w", "from b import x, y")
