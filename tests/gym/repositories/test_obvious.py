"""Too easy is what a linter reports, and only what it did not report before."""

import pytest

from gym.repositories.obvious import obvious
from gym.repositories.parsed import Source
from gym.repositories.task import Edit

TEXT = """import os
LIMIT = 3


def f(a, b):
    spare = 1
    c = a + 1
    d = c
    if c == b:
        return d
    return [os.path.join(one, LIMIT) for one in range(c)]


def g():
    global MADE
    MADE = later()
    return MADE


def later():
    return __file__
"""


def judged(old: str, new: str, text: str = TEXT, kind: str = "x") -> bool:
    start = text.encode().index(old.encode())
    return obvious(Source("m.py", text.encode()), Edit("m.py", start, start + len(old.encode()), new, kind, "f", 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    c = a + 1\n", ""),  # c is bound nowhere
        ("return d", "return a"),  # d is never read
        ("c == b", "c == c"),
        ("range(c)", "range(e)"),
    ],
)
def test_a_linter_reports_it(old: str, new: str) -> None:
    assert judged(old, new)


@pytest.mark.parametrize(
    ("old", "new"), [("a + 1", "a - 1"), ("c == b", "c != b"), ("LIMIT", "os"), ("return MADE", "return later")]
)
def test_a_linter_reports_nothing(old: str, new: str) -> None:
    assert not judged(old, new)


def test_a_body_that_is_left_out_is_asked_for() -> None:
    start, end = TEXT.index("    spare"), TEXT.index("\n\n\ndef g")
    assert not judged(TEXT[start:end].strip(), "raise NotImplementedError", kind="blank_body")


def test_names_of_a_starred_import_are_not_known() -> None:
    assert not judged("range(c)", "range(c * e)", "from os import *\n" + TEXT)
    assert judged("range(c)", "range(c * e)")
