from typing import Any

import numpy as np
import pytest

from gym.javascript.issues import write_issue
from gym.javascript.project import Project

TEST = """const test = require('tape');
const { add, take } = require('..');
const helper = require('../lib/helper');
const given = 3;
test('adds, as always', (t) => {
  t.equal(add(1, [2, ')'].length), 3, 'x');
  t.equal(add(given, 1), 4);
  t.equal(helper.inc(1), 2);
  t.end();
});
"""
LONG = TEST.replace("  t.end();\n", "  t.ok(1);\n" * 40 + "  t.end();\n")
NAME, PLACES = "test/a.js: adds, as always", {"test/a.js: adds, as always": ("test/a.js", 5, 1)}


def _issue(line: int, text: str = TEST, seed: int = 0, **changed: str) -> tuple[str, str | None] | None:
    project = Project("adder", "1.2", {"test/a.js": text.encode()}, {}, ("lib/add.js",), ("test/a.js",))
    failing: dict[str, Any] = {"op": "equal", "at": ["test/a.js", line, 5], "actual": "-7", "expected": "'%s{}'"}
    return write_issue(project, [NAME], {NAME: [failing | changed]}, PLACES, np.random.default_rng(seed))


def test_a_call_that_anybody_can_repeat_is_told() -> None:
    texts = {text for seed in range(20) if (found := _issue(6, seed=seed)) for text in [found[0]] if found[1] is None}
    assert len(texts) == 4
    for text in texts:
        assert "add(1, [2, ')'].length)" in text and "-7" in text and "'%s{}'" in text
        assert "lib" not in text and "test/a.js" not in text


@pytest.mark.parametrize("line", [7, 8])  # a name of the test's own, and a file of the package
def test_else_a_short_test_is_quoted(line: int) -> None:
    found = _issue(line)
    assert found is not None and found[1] == NAME
    assert "test('adds, as always', (t) => {\n  t.equal(add(1" in found[0] and "`-7`" in found[0]
    assert "require" not in found[0]
    thrown = _issue(line, op="exception", actual="an error, TypeError: x", expected="no error")
    assert thrown is not None and "an error, TypeError: x" in thrown[0] and "no error" in thrown[0]


def test_what_can_not_be_told() -> None:
    assert _issue(7, text=LONG) is None
    assert _issue(7, text=TEST.replace("t.end", "require('../lib/add'); t.end")) is None
    assert _issue(6, actual="x" * 500) is None
    assert _issue(6, actual="'\x07'") is None
    assert _issue(6, op="ok") is None


def test_equal_seeds_give_equal_texts() -> None:
    assert _issue(6, seed=3) == _issue(6, seed=3)
