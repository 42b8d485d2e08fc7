"""A table of repair tasks of the made-up package `shapes`, and its project, as the stage `repositories` leaves them."""

from dataclasses import replace
from pathlib import Path

from gym.repositories.project import Project
from gym.repositories.store import write_project
from gym.repositories.task import Edit, RepairTask, Snippet
from stages.harness.tables import REPAIRS, write_table

PLANE, TESTS = "shapes/plane.py", "tests/test_plane.py"
HALF = ("half = twice / 2\n", "half = twice / 3\n", "constant", "area")
AREA = "area([(0, 0), (5, 0), (5, 2), (0, 2)])"
FAILS = ("area", "area_signed", "area_clockwise")
PASSES = ("distance", "distance_backwards", "perimeter", "bounds", "moved", "scaled")


def half(project: Project) -> RepairTask:
    """A wrong divisor in `area`; one of its three failing tests stays in the solver's tree."""
    old, new, kind, function = HALF
    source = project.files[PLANE]
    start = source.index(old.encode())
    edit = Edit(PLANE, start, start + len(old), new, kind, function, source.count(b"\n", 0, start) + 1)
    return RepairTask(
        id="shapes-half",
        project=project.name,
        version=project.version,
        edits=(edit,),
        fail_to_pass=tuple(f"{TESTS}::test_{name}" for name in FAILS),
        pass_to_pass=tuple(f"{TESTS}::test_{name}" for name in PASSES),
        shown=tuple(f"{TESTS}::test_{name}" for name in ("area", *PASSES)),
        issue=f"# `area` is too small\n\n{AREA} gives 6.666666666666667, it should give 10.0",
        form="session",
        snippet=Snippet(f"from shapes import area\n{AREA}", AREA, "10.0", "6.666666666666667"),
        chain=1,
    )


def blank(project: Project) -> RepairTask:
    """`distance` without its body."""
    source = project.files[PLANE]
    body = b"return math.hypot(second[0] - first[0], second[1] - first[1])"
    start = source.index(body)
    edit = Edit(PLANE, start, start + len(body), "raise NotImplementedError", "blank_body", "distance", 12)
    fails = tuple(f"{TESTS}::test_{name}" for name in ("distance", "distance_backwards"))
    passes = tuple(f"{TESTS}::test_{name}" for name in ("area", "bounds", "inside[point0-True]"))
    task = replace(half(project), id="shapes-blank", edits=(edit,), fail_to_pass=fails, pass_to_pass=passes)
    return replace(task, shown=passes, issue="# `distance` fails", snippet=None)


def write_stored(folder: Path, project: Project, libraries: Path, held: tuple[bool, bool] = (True, True)) -> Path:
    """The table's path; `half` and `blank` on the sides of `held`."""
    write_project(folder / "repositories", project, libraries)
    rows = [task.row() | {"held": side} for task, side in zip((half(project), blank(project)), held, strict=True)]
    write_table(folder / "repairs.parquet", rows, REPAIRS)
    return folder / "repairs.parquet"
