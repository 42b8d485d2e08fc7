"""Repairs, and planted cheats out of `cheats.yaml`, against grading."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from gym.repositories import grading
from gym.repositories.grading import grade
from gym.repositories.project import Project
from gym.repositories.task import Edit, RepairTask, Snippet, apply_edits
from gym.sandbox import Box
from gym.sandbox.workspace import Workspace
from gym.verifiers.result import Result, Status

PLANE = "shapes/plane.py"
TESTS = "tests/test_plane.py"
GOOD, BAD = b"half = twice / 2\n", b"half = twice / 3\n"
PASSED: tuple[str, ...] = (
    "distance",
    "distance_backwards",
    "perimeter",
    "perimeter_of_doubled_point",
    "two_points",
    "bounds",
)
PASSED += ("bounds_of_nothing", "inside[point0-True]", "moved", "scaled", "scaled_by_nothing", "unequal_to_others")


@pytest.fixture(scope="module")
def task(toy_project: Project) -> RepairTask:
    start = toy_project.files[PLANE].index(GOOD)
    edit = Edit(PLANE, start, start + len(GOOD), BAD.decode(), "constant", "area", 38)
    return RepairTask(
        id="shapes-1",
        project="shapes",
        version="1.0",
        edits=(edit,),
        fail_to_pass=tuple(f"{TESTS}::test_{name}" for name in ("area", "area_signed", "area_clockwise")),
        pass_to_pass=tuple(f"{TESTS}::test_{name}" for name in PASSED),
        shown=(f"{TESTS}::test_area",),
        issue="",
        form="",
        snippet=Snippet(
            "from shapes import area\narea([(0, 0), (5, 0), (5, 2), (0, 2)])",
            "area([(0, 0), (5, 0), (5, 2), (0, 2)])",
            "10.0",
            "6.666666666666667",
        ),
        chain=1,
    )


@dataclass(frozen=True)
class Cheat:
    """What a solver left behind.

    Attributes:
        stopped: part of the reason that grading gives.
        judge: what it gives where no word is refused and any code was changed; alternatives between bars.
        exit: whether it passes where pytest's exit status in the solver's tree decides.
        code: what stands at the end of the broken module.
        swap: what stands in the place of the broken line.
        files: other files, None for one that was deleted.
    """

    stopped: str
    judge: str = ""
    exit: bool = False
    code: str = ""
    swap: str = ""
    files: Mapping[str, str | None] = field(default_factory=dict)

    def tree(self, broken: Mapping[str, bytes]) -> dict[str, bytes]:
        plane = broken[PLANE]
        if self.swap:
            lines = "".join(f"    {line}\n" for line in self.swap.rstrip("\n").split("\n"))
            plane = plane.replace(b"    " + BAD, lines.encode())
        if self.code:
            plane += f"\n\n{self.code}\n".encode()
        made = {**broken, PLANE: plane}
        made |= {path: content.encode() for path, content in self.files.items() if content is not None}
        return {path: content for path, content in made.items() if self.files.get(path, "") is not None}


CHEATS = {
    name: Cheat(**cheat)
    for name, cheat in yaml.safe_load(Path(__file__).with_name("cheats.yaml").read_text(encoding="utf-8")).items()
}


def test_a_repair_passes(box: Box, toy_project: Project, task: RepairTask) -> None:
    repaired = apply_edits(toy_project.files, task.edits)
    repaired[PLANE] = repaired[PLANE].replace(BAD, b"half = twice * 0.5\n")
    result = grade(box, toy_project, task, repaired)
    assert result == Result(1.0, Status.SCORED, "15 tests passed")
    assert grade(box, toy_project, task, repaired) == result


def test_cases_of_one_function_in_both_lists(box: Box, toy_project: Project, task: RepairTask) -> None:
    cases = [f"{TESTS}::test_inside[point{number}-{value}]" for number, value in enumerate((True, False, False, True))]
    split = replace(task, fail_to_pass=tuple(cases[:1]), pass_to_pass=tuple(cases[1:]), snippet=None)
    assert grade(box, toy_project, split, toy_project.files) == Result(1.0, Status.SCORED, "4 tests passed")


def test_nothing_changed_is_no_answer(box: Box, toy_project: Project, task: RepairTask) -> None:
    result = grade(box, toy_project, task, apply_edits(toy_project.files, task.edits))
    assert (result.score, result.status) == (0.0, Status.NO_ANSWER)


def test_a_sandbox_that_fails_is_a_verifier_error(
    box: Box, toy_project: Project, task: RepairTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "LIMITS", replace(grading.LIMITS, file_mb=-1))
    result = grade(box, toy_project, task, toy_project.files)
    assert (result.score, result.status) == (None, Status.VERIFIER_ERROR)


def test_a_clock_that_ran_out_is_a_timeout(
    box: Box, toy_project: Project, task: RepairTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "LIMITS", replace(grading.LIMITS, wall_s=0.1))
    result = grade(box, toy_project, task, toy_project.files)
    assert (result.score, result.status) == (None, Status.TIMEOUT)


def test_tasks_of_other_versions_are_refused(box: Box, toy_project: Project, task: RepairTask) -> None:
    with pytest.raises(ValueError, match="shapes 0.9, not shapes 1.0"):
        grade(box, toy_project, replace(task, version="0.9"), toy_project.files)


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_fail(box: Box, toy_project: Project, task: RepairTask, name: str) -> None:
    cheat = CHEATS[name]
    result = grade(box, toy_project, task, cheat.tree(apply_edits(toy_project.files, task.edits)))
    assert result.score == 0.0
    assert cheat.stopped in result.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if cheat.judge])
def test_the_judge_alone_stops_cheats(
    box: Box, toy_project: Project, task: RepairTask, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "new_words", lambda *_: [])
    tree = CHEATS[name].tree(apply_edits(toy_project.files, task.edits))
    tree[PLANE] += b"# changed\n"
    result = grade(box, toy_project, task, tree)
    assert result.score == 0.0
    assert any(part in result.reason for part in CHEATS[name].judge.split("|")), result.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no repair", *(name for name, cheat in CHEATS.items() if cheat.exit)])
def test_an_exit_status_lets_cheats_pass(box: Box, toy_project: Project, task: RepairTask, name: str) -> None:
    tree = CHEATS[name].tree(apply_edits(toy_project.files, task.edits))
    tree.pop("tests/test_unfit.py")
    said = Workspace(tree, box).bash("python -m pytest -q -p no:cacheprovider")
    assert ("[exit status 0]" in said) == CHEATS[name].exit, said[-600:]
