"""Plugin: a small package with a suite of every kind of test that a repository may hold, and a sandbox for it."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.repositories.libraries import library_path, open_project, write_tar
from gym.repositories.packages import tool
from gym.repositories.project import Project
from gym.sandbox import Box

_INIT = '''"""Polygons in the plane, and boxes in rows."""

from shapes.layout import Box, fit, parse_size, rows
from shapes.plane import Polygon, area, bounds, distance, inside, perimeter

__all__ = ["Box", "Polygon", "area", "bounds", "distance", "fit", "inside", "parse_size", "perimeter", "rows"]
'''

_PLANE = '''"""Points are pairs of numbers; a polygon is a list of them, its last joined to its first."""

import math


def distance(first, second):
    """The straight way from one point to another.

    >>> distance((0, 0), (3, 4))
    5.0
    """
    return math.hypot(second[0] - first[0], second[1] - first[1])


def _edges(points):
    """Pairs of neighbours, the closing one last; ValueError below three points."""
    if len(points) < 3:
        raise ValueError(f"a polygon has three points or more, not {len(points)}")
    pairs = []
    for number, point in enumerate(points):
        following = points[(number + 1) % len(points)]
        if following == point:
            continue
        pairs.append((point, following))
    return pairs


def perimeter(points):
    """The length of all edges together."""
    total = 0.0
    for start, end in _edges(points):
        total += distance(start, end)
    return total


def area(points, signed=False):
    """The enclosed area; with `signed` it is negative for points in clockwise order."""
    twice = 0
    for (x0, y0), (x1, y1) in _edges(points):
        twice += x0 * y1 - x1 * y0
    half = twice / 2
    if signed:
        return half
    return abs(half)


def bounds(points):
    """The smallest box around the points as (left, bottom, right, top)."""
    if not points:
        raise ValueError("no points, so no box")
    across = [x for x, _ in points]
    up = [y for _, y in points]
    return min(across), min(up), max(across), max(up)


def inside(point, points):
    """Whether a point lies in a polygon; points on the left and lower edges do."""
    x, y = point
    found = False
    for (x0, y0), (x1, y1) in _edges(points):
        if (y0 > y) != (y1 > y):
            crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            if x < crossing:
                found = not found
    return found


class Polygon:
    """A polygon that can be moved and scaled; every change gives a new one."""

    def __init__(self, points, name="polygon"):
        self.points = [tuple(point) for point in points]
        self.name = name

    def __eq__(self, other):
        if not isinstance(other, Polygon):
            return NotImplemented
        return self.points == other.points

    def __repr__(self):
        return f"Polygon({self.points!r})"

    def moved(self, right=0, up=0):
        """The same polygon at another place."""
        return Polygon([(x + right, y + up) for x, y in self.points], self.name)

    def scaled(self, factor):
        """Every edge grows by the factor; the first point stays where it is."""
        if factor <= 0:
            raise ValueError(f"factor {factor}: must be above 0")
        x0, y0 = self.points[0]
        return Polygon([(x0 + (x - x0) * factor, y0 + (y - y0) * factor) for x, y in self.points], self.name)

    def describe(self):
        """One line for a person."""
        left, bottom, right, top = bounds(self.points)
        kind = {3: "triangle", 4: "quadrangle"}.get(len(self.points), f"{len(self.points)} corners")
        return f"{self.name}: {kind}, {right - left} wide, {top - bottom} high"
'''

_LAYOUT = '''"""Boxes that stand beside each other in rows."""

UNITS = {"mm": 1, "cm": 10, "m": 1000}


class Box:
    """A box with whole numbers as sides, in millimetres."""

    def __init__(self, width, height):
        if width <= 0 or height <= 0:
            raise ValueError(f"sides {width} and {height}: both must be above 0")
        self.width = width
        self.height = height

    def turned(self):
        """Lying on its other side."""
        return Box(self.height, self.width)

    @property
    def flat(self):
        return self.width > self.height


def parse_size(text):
    """Millimetres out of a text such as `12 cm`; a bare number is millimetres already.

    >>> parse_size("12 cm")
    120
    """
    cleaned = text.strip().lower()
    for unit in sorted(UNITS, key=len, reverse=True):
        if cleaned.endswith(unit):
            number = cleaned[: -len(unit)].strip()
            return int(float(number) * UNITS[unit])
    return int(cleaned)


def rows(boxes, width, gap=0):
    """Boxes in their order, as many in a row as its width takes; a wider box has a row of its own."""
    made = []
    current = []
    used = 0
    for box in boxes:
        needed = box.width if not current else used + gap + box.width
        if current and needed > width:
            made.append(current)
            current = []
            needed = box.width
        current.append(box)
        used = needed
    if current:
        made.append(current)
    return made


def fit(boxes, width, gap=0):
    """The height of all rows together; every box is turned to its flat side first."""
    flat = [box if box.flat else box.turned() for box in boxes]
    total = 0
    for number, row in enumerate(rows(flat, width, gap)):
        if number > 0:
            total += gap
        total += max(box.height for box in row)
    return total
'''

_TEST_PLANE = """import pytest

from shapes import Polygon, area, bounds, distance, inside, perimeter

SQUARE = [(0, 0), (2, 0), (2, 2), (0, 2)]


def test_distance():
    assert distance((0, 0), (3, 4)) == 5.0


def test_distance_backwards():
    assert distance((3, 4), (0, 0)) == 5.0


def test_perimeter():
    assert perimeter(SQUARE) == 8.0


def test_perimeter_of_doubled_point():
    assert perimeter([(0, 0), (0, 0), (3, 0), (3, 4)]) == 12.0


def test_area():
    assert area(SQUARE) == 4.0


def test_area_signed():
    assert area(SQUARE, signed=True) == 4.0
    assert area(SQUARE[::-1], signed=True) == -4.0


def test_area_clockwise():
    assert area(SQUARE[::-1]) == 4.0


def test_two_points():
    with pytest.raises(ValueError, match="not 2"):
        area([(0, 0), (1, 1)])


def test_bounds():
    assert bounds([(1, 5), (-2, 3), (0, 0)]) == (-2, 0, 1, 5)


def test_bounds_of_nothing():
    with pytest.raises(ValueError):
        bounds([])


@pytest.mark.parametrize(("point", "expected"), [((1, 1), True), ((3, 1), False), ((1, -1), False), ((0, 1), True)])
def test_inside(point, expected):
    assert inside(point, SQUARE) is expected


def test_moved():
    assert Polygon(SQUARE).moved(right=1, up=-1) == Polygon([(1, -1), (3, -1), (3, 1), (1, 1)])


def test_scaled():
    assert Polygon([(1, 1), (2, 1), (2, 3)]).scaled(2).points == [(1, 1), (3, 1), (3, 5)]


def test_scaled_by_nothing():
    with pytest.raises(ValueError, match="factor 0"):
        Polygon(SQUARE).scaled(0)


def test_describe():
    assert Polygon(SQUARE, "tile").describe() == "tile: quadrangle, 2 wide, 2 high"
    assert Polygon([(0, 0), (4, 0), (0, 1)]).describe() == "polygon: triangle, 4 wide, 1 high"


def test_unequal_to_others():
    assert Polygon(SQUARE) != SQUARE
"""

_TEST_LAYOUT = """import unittest

from shapes import Box, fit, parse_size, rows


def test_parse_size():
    assert parse_size("12 cm") == 120


def test_parse_size_bare():
    assert parse_size(" 7 ") == 7


def test_parse_size_metres():
    assert parse_size("1.5m") == 1500


def widths(found):
    return [[box.width for box in row] for row in found]


def test_rows():
    boxes = [Box(4, 1), Box(5, 2), Box(3, 3), Box(9, 1)]
    assert widths(rows(boxes, 10)) == [[4, 5], [3], [9]]


def test_rows_with_gap():
    assert widths(rows([Box(5, 1), Box(5, 1)], 10, gap=1)) == [[5], [5]]
    assert widths(rows([Box(5, 1), Box(4, 1)], 10, gap=1)) == [[5, 4]]


def test_rows_of_nothing():
    assert rows([], 10) == []


class FitTest(unittest.TestCase):
    def setUp(self):
        self.boxes = [Box(6, 2), Box(3, 5)]

    def test_fit(self):
        self.assertEqual(fit(self.boxes, 20), 3)

    def test_fit_in_rows(self):
        self.assertEqual(fit(self.boxes, 7, gap=1), 6)

    def test_no_negative_side(self):
        with self.assertRaises(ValueError):
            Box(-1, 2)
"""

_TEST_UNFIT = '''"""Tests that no verdict may rest on."""

import random
import socket
import time

import pytest

from shapes import area


def test_flaky():
    assert random.SystemRandom().random() < 0.5


@pytest.mark.slow
def test_slow():
    time.sleep(1.2)
    assert area([(0, 0), (1, 0), (0, 1)]) == 0.5


def test_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", 0))


@pytest.mark.skip(reason="not written yet")
def test_skipped():
    raise AssertionError


def test_always_fails():
    assert area([(0, 0), (1, 0), (0, 1)]) == 1


@pytest.mark.parametrize("moment", [time.time_ns()])
def test_named_after_the_time(moment):
    assert moment > 0
'''

_PYPROJECT = """[project]
name = "shapes"
version = "1.0"

[tool.pytest.ini_options]
testpaths = ["tests"]
markers = ["slow: more than a second"]
"""

TOY_FILES = {
    "pyproject.toml": _PYPROJECT.encode(),
    "README.md": b"# shapes\n\nPolygons in the plane, and boxes in rows.\n",
    "shapes/__init__.py": _INIT.encode(),
    "shapes/layout.py": _LAYOUT.encode(),
    "shapes/plane.py": _PLANE.encode(),
    "tests/test_layout.py": _TEST_LAYOUT.encode(),
    "tests/test_plane.py": _TEST_PLANE.encode(),
    "tests/test_unfit.py": _TEST_UNFIT.encode(),
}


@pytest.fixture(scope="session")
def toy_project() -> Project:
    """`shapes`: 28 good tests, and one each that is flaky, slow, opens a socket, is skipped, fails, changes its id."""
    return Project(
        name="shapes",
        version="1.0",
        files=TOY_FILES,
        roots=("",),
        code=("shapes/__init__.py", "shapes/layout.py", "shapes/plane.py"),
        tests=("tests",),
    )


@pytest.fixture(scope="session")
def library_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of library folders that holds pytest, as it is installed here: no network is needed."""
    store = tmp_path_factory.mktemp("libraries")
    files = {}
    for line in tool("pytest"):
        for path in importlib.metadata.files(line.split("==")[0]) or ():
            if ".." not in path.parts and path.suffix != ".pyc":
                files[str(path)] = Path(str(path.locate())).read_bytes()
    write_tar(library_path(tool("pytest"), store), files)
    return store


@pytest.fixture(scope="session")
def toy_box(toy_project: Project, library_store: Path) -> Iterator[Box]:
    """A sandbox with pytest and nothing else to import: opening one takes seconds, and jobs leave nothing in it."""
    with open_project(toy_project, library_store, workers=2) as box:
        yield box
