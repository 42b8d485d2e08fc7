"""A function leaves its file and comes back, with the rest of the file untouched."""

import shlex
import textwrap
from pathlib import Path

import pytest

from gym.repositories.functions import function_text, with_function
from gym.repositories.parsed import Source

FILE = b'''"""A module."""
import functools


def plain(a):  # \xc3\xa9
    return a


class Box:
    size = 1

    @property
    @functools.lru_cache
    def area(self):
        """Of it."""
        return self.size ** 2

    def after(self):
        return 0
'''


def test_a_function_is_taken_without_its_indent() -> None:
    assert function_text("m.py", FILE, "plain") == "def plain(a):  # é\n    return a\n"
    area = function_text("m.py", FILE, "Box.area")
    assert area is not None and area.startswith("@property\n@functools") and "\n    return self" in area
    assert function_text("m.py", FILE, "Box.missing") is None
    low = b'class A:\n    def f(self):\n        return """\nx\n"""\n'
    assert function_text("m.py", low, "A.f") is None


def test_another_text_takes_its_place() -> None:
    made = with_function("m.py", FILE, "Box.area", "@property\ndef area(self):\n    return 4\n")
    assert made is not None
    assert (
        b"    @property\n    def area(self):\n        return 4\n\n    def after" in made and b"lru_cache\n" not in made
    )
    assert with_function("m.py", FILE, "plain", "\n    def plain(a):\n        return -a") is not None


@pytest.mark.parametrize(
    "text", ["", "def other(a): return a", "def plain(a): return a\nx = 1", "def plain(a", "class plain: pass", "a = 1"]
)
def test_what_is_not_this_function_takes_no_place(text: str) -> None:
    assert with_function("m.py", FILE, "plain", text) is None


@pytest.mark.parametrize("module", [textwrap, shlex])
def test_every_function_of_a_module_comes_back_as_it_was(module: object) -> None:
    path = str(module.__file__)  # type: ignore[attr-defined]
    content = Path(path).read_bytes()
    for function in Source(path, content).functions:
        text = function_text(path, content, function.name)
        assert text is not None
        assert with_function(path, content, function.name, text) == content, function.name
