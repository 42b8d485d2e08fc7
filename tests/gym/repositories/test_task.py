"""A repair task comes back from its row, and its edits break what they name."""

import pytest

from gym.repositories.task import Edit, RepairTask, Snippet, apply_edits

EDIT = Edit("a.py", 4, 7, "two", "constant", "f", 1)


@pytest.mark.parametrize("snippet", [None, Snippet("import a", "a.f()", "1", "!ValueError: é")])
@pytest.mark.parametrize("chain", [None, 0, 3])
def test_a_task_comes_back_from_its_row(snippet: Snippet | None, chain: int | None) -> None:
    task = RepairTask(
        "t", "p", "1.0", (EDIT,), ("tests/a.py::x[é]",), ("tests/a.py::y",), (), "it fails", "prose", snippet, chain
    )
    row = task.row() | {"held": True}
    assert RepairTask.from_row(row) == task
    assert all(isinstance(value, str | int | bool) for value in row.values())


def test_edits_of_one_file_keep_each_others_places() -> None:
    files = {"a.py": b"x = one + one  # \xc3\xa9\n", "b.py": b"pass\n"}
    edits = (EDIT, Edit("a.py", 10, 13, "sixteen", "constant", "f", 1), Edit("b.py", 0, 4, "...", "x", "g", 1))
    broken = apply_edits(files, edits)
    assert broken["a.py"] == b"x = two + sixteen  # \xc3\xa9\n" and broken["b.py"] == b"...\n"
    assert apply_edits(files, tuple(reversed(edits))) == broken
    assert files["b.py"] == b"pass\n"
