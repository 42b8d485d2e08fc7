import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from gym.repositories.canaries import canaries, changed

_SOURCE = b'''import unittest
import pytest

def double(n):
    return 2 * n

def test_equal():
    """Caf\xc3\xa9."""
    assert double(2) == 4, "message"

def test_written_first():
    assert [4] == [double(2)]

def test_lines():
    assert double(
        2  # two
    ) == {
        "a": 1,
    }.get("a") * 4

def test_true():
    assert double(1)

def test_raises():
    with pytest.raises(TypeError):
        double(None)

def test_early():
    if double(0) == 0:
        return
    assert double(1) == 3

def test_no_statement():
    double(2)

async def test_later():
    assert double(2) == 4

class TestKind(unittest.TestCase):
    def test_pair(self):
        self.assertEqual(double(3), 6)

    def test_flag(self):
        self.assertTrue(double(3))

    def test_error(self):
        with self.assertRaises(TypeError):
            double(None)
'''
_NAMES = ["test_equal", "test_written_first", "test_lines", "test_true", "test_raises"]
_NAMES += ["TestKind::test_pair", "TestKind::test_flag", "TestKind::test_error"]


def test_every_canary_fails_and_only_it(tmp_path: Path) -> None:
    """Of every kind that there is, over many draws; the other tests of the file still pass."""
    seen: set[bytes] = set()
    for seed in range(12):
        planted = canaries("test_a.py", _SOURCE, _NAMES, len(_NAMES), np.random.default_rng(seed))
        assert sorted(canary.function for canary in planted) == sorted(_NAMES)
        text = changed(_SOURCE, planted)
        if text not in seen:
            (tmp_path / f"test_{len(seen)}.py").write_bytes(text)
        seen.add(text)
    assert len(seen) > 2
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "--tb=no"]
    said = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    for name in [*_NAMES, "test_later"]:  # pytest runs no coroutine
        assert len(re.findall(f"^FAILED .*::{name} ", said, re.MULTILINE)) == len(seen), name
    assert said.count("PASSED") == 2 * len(seen)  # test_early, test_no_statement


def test_values_of_the_same_type() -> None:
    planted = canaries("a", b"def test_a():\n    assert f() == 'text'\n", ["test_a"], 1, np.random.default_rng(1))
    others = [
        canary.new
        for seed in range(8)
        for canary in canaries(
            "a", b"def test_a():\n    assert f() == 'text'\n", ["test_a"], 1, np.random.default_rng(seed)
        )
    ]
    assert planted
    assert set(others) == {"assert not (f() == 'text')", "assert (f()) == 'textt'"}


def test_functions_that_have_none() -> None:
    names = ["test_early", "test_no_statement", "test_later", "TestKind::test_inherited", "test_absent"]
    assert canaries("a", _SOURCE, names, 5, np.random.default_rng(0)) == []


def test_statements_that_would_not_parse_are_left() -> None:
    source = b"def test_a():\n    with (pytest.raises(ValueError)):\n        f()\n    assert g()\n"
    for seed in range(6):
        planted = canaries("a", source, ["test_a"], 1, np.random.default_rng(seed))
        ast.parse(changed(source, planted))
