"""Edits as an agent writes them."""

import numpy as np
import pytest

from agents.coding.code_map import CodeMap
from agents.coding.fixes import Change, broken_files, misremembered, print_change, right_change, wrong_change
from agents.coding.wording import told
from gym.repositories.project import Project
from gym.repositories.task import Edit

HALF = b"def %s(n):\n    if n < %d:\n        return 1\n    return 2\n"
GOOD = HALF % (b"first", 3) + b"\n\n" + HALF % (b"last", 5)
PROJECT = Project("p", "1", {"p.py": GOOD}, ("",), ("p.py",), ())


def edit(old: bytes, new: str, after: int = 0) -> Edit:
    start = GOOD.index(old, after)
    return Edit("p.py", start, start + len(old), new, "comparison", "f", 1)


def applied(text: str, change: Change) -> str:
    assert text.count(change.old) == 1
    lines = text.split("\n")
    assert "\n".join(lines[change.first - 1 : change.last]) == change.old, "first and last are its lines"
    return text.replace(change.old, change.new)


BUGS = (
    edit(b"n < 5", "n <= 5"),
    edit(b"    return 2\n", "", after=80),
    edit(b"if n < 3:\n        return 1\n    return 2", "raise NotImplementedError"),
)


@pytest.mark.parametrize("around", [0, 1, 4])
@pytest.mark.parametrize("bug", BUGS)
def test_the_right_change_mends_the_bug_and_is_undone(bug: Edit, around: int) -> None:
    broken = broken_files(PROJECT, (bug,))["p.py"].decode()
    change = right_change(PROJECT, (bug,), bug, around)
    assert applied(broken, change) == GOOD.decode()
    assert applied(GOOD.decode(), change.undone) == broken


def test_one_of_two_bugs_is_mended_alone() -> None:
    pair = (BUGS[0], BUGS[2])
    text = broken_files(PROJECT, pair)["p.py"].decode()
    text = applied(text, right_change(PROJECT, pair, BUGS[2]))
    assert applied(text, right_change(PROJECT, (BUGS[0],), BUGS[0])) == GOOD.decode()


def test_what_was_wrong_is_told_by_the_change() -> None:
    said = [told(right_change(PROJECT, (bug,), bug)) for bug in BUGS]
    assert said[0] == "`if n <= 5:` had to be `if n < 5:`"
    assert said[1] == "`return 2` was missing"
    assert said[2] == "the body was missing, and I wrote it"


def test_a_wrong_change_is_another_change_of_the_function() -> None:
    broken = broken_files(PROJECT, BUGS[:1])["p.py"]
    where = CodeMap({"p.py": broken}, ["p.py"]).by_name["last"][0]
    made = set()
    for seed in range(30):
        change = wrong_change(broken, GOOD, where, range(7, 11), np.random.default_rng(seed))
        assert change is not None and where.first <= change.first <= change.last <= where.last + 1
        text = applied(broken.decode(), change)
        compile(text, "p.py", "exec")
        made.add(text)
    assert len(made) > 2 and GOOD.decode() not in made
    assert wrong_change(broken, GOOD, where, range(7, 8), np.random.default_rng(0)) is None


def test_a_misremembered_text_is_not_in_the_file() -> None:
    broken = broken_files(PROJECT, BUGS[:1])["p.py"].decode()
    change = misremembered(right_change(PROJECT, BUGS[:1], BUGS[0]), np.random.default_rng(0))
    assert broken.count(change.old) == 0


def test_a_print_shows_what_a_function_is_given() -> None:
    where = CodeMap({"p.py": GOOD}, ["p.py"]).by_name["last"][0]
    change = print_change(GOOD, where)
    text = applied(GOOD.decode(), change)
    assert 'def last(n):\n    print("last", n)\n    if n < 5:' in text
    assert applied(text, change.undone) == GOOD.decode()
