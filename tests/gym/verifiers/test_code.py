"""Code verdicts, and candidates that try to pass without solving anything."""

from collections.abc import Iterator

import pytest

from gym.sandbox import Limits, Sandbox, open_sandbox
from gym.verifiers.code import CallTest, by_assertions, by_calls
from gym.verifiers.result import Status

FAST = Limits(cpu_s=2.0, wall_s=5.0)
SQUARES = [CallTest([n], n * n) for n in range(5)]
CHECK = "def check(candidate):\n" + "".join(f"    assert candidate({n}) == {n * n}\n" for n in range(5))


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox("fork", workers=1) as sandbox:
        yield sandbox


def test_right_and_wrong_programs(box: Sandbox) -> None:
    assert by_calls(box, " ", "sq", SQUARES, "n0", FAST).status is Status.NO_ANSWER
    looped = by_calls(box, "def sq(n):\n  while True: pass", "sq", SQUARES, "n0", Limits(cpu_s=1.0, wall_s=20.0))
    assert "cpu_limit" in looped.reason
    assert by_calls(box, "def sq(n): return n * n", "sq", SQUARES, "n0", FAST).score == 1.0
    assert by_calls(box, "class Solution:\n  def sq(self, n): return n * n", "sq", SQUARES, "n0", FAST).score == 1.0
    assert by_calls(box, "def sq(n): return n + n", "sq", SQUARES, "n0", FAST).score == 0.0
    assert by_assertions(box, "def sq(n): return n * n", "sq", CHECK, "n0", FAST).score == 1.0
    assert by_assertions(box, "def sq(n): return n + n", "sq", CHECK, "n0", FAST).score == 0.0


@pytest.mark.parametrize(
    "source",
    [
        "import os\nprint('PASSED')\nos._exit(0)",
        "import sys\nprint('5 tests passed')\nsys.exit(0)",
        "class Always:\n  def __eq__(self, other): return True\ndef sq(n): return Always()",
        "import sys, builtins\nbuiltins.AssertionError = Exception\ndef sq(n): return 0",
        "import gc\ndef sq(n):\n  return 16 if any(isinstance(o, list) and 16 in o for o in gc.get_objects()) else 0",
        "import sys\ndef sq(n):\n  f = sys._getframe(1)\n  return f.f_globals.get('_expected', [0] * 9)[n]",
        "def sq(n):\n  return open('tests.py').read()",
        "import unittest.mock, json\njson.dumps = lambda *a, **k: '[]'\ndef sq(n): return 0",
        "import atexit, sys\natexit.register(lambda: sys.stdout.write('PASSED'))\ndef sq(n): return 1",
        "def sq(n): raise SystemExit(0)",
    ],
)
def test_a_candidate_that_cheats_fails(box: Sandbox, source: str) -> None:
    for found in (
        by_calls(box, source, "sq", SQUARES, "nonce7", FAST),
        by_assertions(box, source, "sq", CHECK, "nonce7", FAST),
    ):
        assert found.score != 1.0, found


def test_expected_values_are_never_inside(box: Sandbox) -> None:
    spy = (
        "import os, sys, gc\ndef sq(n):\n"
        "  seen = str(os.listdir('.')) + str(sys.argv) + str(dict(os.environ))\n"
        "  seen += ''.join(str(open(f).read()) for f in os.listdir('.'))\n"
        "  seen += ''.join(repr(o) for o in gc.get_objects() if isinstance(o, (list, dict)) and len(repr(o)) < 5000)\n"
        "  return 'FOUND' if '7' * 6 in seen else 'clean'"
    )
    found = by_calls(box, spy, "sq", [CallTest([3], 777777), CallTest([4], "clean")], "n", FAST)
    assert found.reason == "test 0: another value"
    found = by_calls(box, spy, "sq", [CallTest([3], "clean")], "n", FAST)
    assert found.score == 1.0


def test_tests_that_do_not_run_are_no_verdict(box: Sandbox) -> None:
    assert by_assertions(box, "def f(): pass", "f", "not python", "n", FAST).status is Status.VERIFIER_ERROR


def test_answers_of_another_type_are_wrong_and_no_escape_from_a_score(box: Sandbox) -> None:
    check = "def check(candidate):\n    assert abs(candidate(3) - 9) < 1e-6\n    assert candidate(4)[0] == 1"
    for answer in ("None", "'text'", "[]"):
        found = by_assertions(box, f"def sq(n): return {answer}", "sq", check, "n", FAST)
        assert (found.score, found.status) == (0.0, Status.SCORED)


@pytest.mark.parametrize(
    ("answer", "value", "right"),
    [
        ("(1, [2, (3,)])", (1, [2, (3,)]), True),
        ("{'a': {1: 2}}", {"a": {1: 2}}, True),
        ("10 ** 400", 10**400, True),
        ("-(2 ** 62)", -(2**62), True),
        ("float('inf')", 1.0, False),
        ("[float('nan')]", [1.0], False),
        ("__import__('collections').Counter('aa')", {"a": 2}, True),
        ("'\\ud800'", "\ud800", False),
        ("10 ** 60000", 1, False),
        ("object()", None, False),
        ("[object()]", [None], False),
        ("{frozenset([1]): 2}", {1: 2}, False),
        ("lambda: 1", 1, False),
    ],
)
def test_every_value_comes_back_or_is_wrong(box: Sandbox, answer: str, value: object, right: bool) -> None:
    found = by_calls(box, f"def f(n): return {answer}", "f", [CallTest([0], value)], "n", FAST)
    assert (found.score, found.status) == (float(right), Status.SCORED)


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n  x = []\n  for _ in range(100000): x = [x]\n  return x",
        "def f(n):\n  x = []\n  x.append(x)\n  return x",
        "def f(n): raise BaseException",
        "def f(n): return f(n)",
        "def f(n):\n  import os; os.write(1, b'\\nn\\n[[[[')\n  os._exit(0)",
        "def f(n):\n  import os; os.write(1, b'\\nn\\n[{\"value\": [1, 2, 3]}]')\n  os._exit(0)",
        "def f(n):\n  import os; os.write(1, b'\\nn\\n{\"value\": 1}')\n  os._exit(0)",
        "def f(n):\n  import os; os.write(1, b'\\nn\\n' + b'[' * 5000)\n  os._exit(0)",
        "def f(n):\n  import os; os.write(1, b'\\nn\\n[{\"value\": ' + b'9' * 5000 + b'}]')\n  os._exit(0)",
        "class f:\n  def __init__(self, n): pass",
        "f = 3",
        "\x00",
        "def f(n): return '\ud800'",
    ],
)
def test_whatever_a_candidate_does_is_a_wrong_answer(box: Sandbox, source: str) -> None:
    for found in (
        by_calls(box, source, "f", [CallTest([0], 7)], "n", FAST),
        by_assertions(box, source, "f", "def check(candidate):\n    assert candidate(0) == 7", "n", FAST),
    ):
        assert (found.score, found.status) == (0.0, Status.SCORED), found
