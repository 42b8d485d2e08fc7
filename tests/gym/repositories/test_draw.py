"""Candidates are even over kinds and functions, come in combinations, and are the same for the same seed."""

from collections import Counter
from dataclasses import replace

from gym.repositories.baseline import Baseline
from gym.repositories.draw import PER_FUNCTION, Draw, parse_code
from gym.repositories.project import Project
from gym.repositories.task import Edit, apply_edits


def drawn(project: Project, seed: int, lines: range = range(1, 500)) -> list[tuple[Edit, ...]]:
    """As if one test ran these lines of each file."""
    covered = {path: dict.fromkeys(lines, 0) for path in project.code}
    baseline = Baseline(("tests/test_a.py::test",), {"tests/test_a.py::test": 0.1}, ((0,),), covered, {}, 1.0)
    return list(Draw(project, baseline, parse_code(project), seed))


def test_only_what_a_test_runs_is_drawn(toy_project: Project) -> None:
    edits = [edit for one in drawn(toy_project, 1, range(40, 43)) for edit in one]
    assert {edit.function for edit in edits} == {"area", "rows"}


def test_equal_seeds_give_equal_candidates(toy_project: Project) -> None:
    assert drawn(toy_project, 1) == drawn(toy_project, 1)
    assert drawn(toy_project, 1) != drawn(toy_project, 2)


def test_no_edit_comes_twice_and_a_function_has_its_share(toy_project: Project) -> None:
    edits = [edit for candidate in drawn(toy_project, 3) for edit in candidate]
    assert len(set(edits)) == len(edits)
    counts = Counter((edit.path, edit.function) for edit in edits)
    assert max(counts.values()) == PER_FUNCTION
    assert len(counts) > 15


def test_functions_take_turns(toy_project: Project) -> None:
    singles = [candidate for candidate in drawn(toy_project, 4) if len(candidate) == 1][:12]
    counts = Counter(edit.function for (edit,) in singles)
    assert max(counts.values()) <= 2


def test_combinations_lie_in_different_functions_and_all_edits_hold_together(toy_project: Project) -> None:
    combined = [one for seed in range(4) for one in drawn(toy_project, seed) if len(one) > 1]
    assert {len(one) for one in combined} == {2, 3}
    assert {len({edit.path for edit in one}) for one in combined} == {1, 2}
    for candidate in combined:
        assert len({edit.function for edit in candidate}) == len(candidate)
        for path, content in apply_edits(toy_project.files, candidate).items():
            if path.endswith(".py"):
                compile(content, path, "exec")


def test_about_a_seventh_are_blanked_and_a_seventh_combined(toy_project: Project) -> None:
    first = [one for seed in range(15) for one in drawn(toy_project, seed)[:30]]
    blanked = sum(one[0].kind == "blank_body" for one in first if len(one) == 1) / len(first)
    combined = sum(len(one) > 1 for one in first) / len(first)
    assert 0.08 < blanked < 0.2
    assert 0.1 < combined < 0.2


def test_a_body_that_stands_elsewhere_too_is_left_alone(toy_project: Project) -> None:
    def blanked(project: Project) -> set[str]:
        edits = [edit for seed in range(6) for one in drawn(project, seed) for edit in one]
        return {edit.function for edit in edits if edit.kind == "blank_body"}

    assert {"rows", "area", "inside"} <= blanked(toy_project)
    rows = toy_project.files["shapes/layout.py"].split(b"def rows")[1].split(b"def fit")[0]
    files = {
        **toy_project.files,
        "build/lib.py": b"def other(boxes, width, gap):\n    # the same program\n" + rows.split(b'"""')[2],
        "docs/recipe.txt": b"> " + b"\n".join(toy_project.files["shapes/plane.py"].split(b"\n")[35:50]),
    }
    assert b"x0 * y1" in files["docs/recipe.txt"]
    twins = replace(toy_project, files=files)
    assert blanked(toy_project) - blanked(twins) == {"rows", "area"}
    changed = {edit.function for seed in range(6) for one in drawn(twins, seed) for edit in one}
    assert not {"rows", "area"} & changed and "distance" in changed


def test_a_file_that_stands_there_twice_gives_no_bug(toy_project: Project) -> None:
    """As a link in a repository is read: as another file of code."""
    layout = "shapes/layout.py"
    files = {**toy_project.files, "shapes/alias.py": toy_project.files[layout]}
    twins = replace(toy_project, files=files, code=(*toy_project.code, "shapes/alias.py"))
    longer = {edit.function for one in drawn(twins, 1) for edit in one if edit.path != "shapes/plane.py"}
    assert not {"rows", "fit", "parse_size", "Box.__init__"} & longer
