"""Hidden tests are gone from the tree, and what is left is still a suite."""

import numpy as np
import pytest

from gym.repositories.hidden import choose_shown, definitions, without_tests

TESTS = """import unittest

import pytest


def helper():
    return 1


def test_plain():
    assert helper()


@pytest.mark.parametrize(
    "a", [1, 2]
)
def test_many(a):
    # of many
    assert a


class Shared:
    def test_shared(self):
        assert self.value


class TestOne(Shared):
    value = 1


class TestTwo(Shared):
    value = 2

    def test_own(self):
        assert self.value == 2


class TestAlone(unittest.TestCase):
    @unittest.skipIf(False, "")
    def test_only(self):
        assert True


def test_called():
    assert True


def test_calls():
    test_called()


test_made = lambda: None
"""
FILES = {"tests/test_a.py": TESTS.encode(), "code.py": b"a = 1\n"}


def ids(*names: str) -> list[str]:
    return [f"tests/test_a.py::{name}" for name in names]


def without(hidden: list[str], shown: list[str]) -> str:
    made = without_tests(FILES, hidden, shown)
    assert made["code.py"] == FILES["code.py"]
    text = made["tests/test_a.py"].decode()
    compile(text, "test_a.py", "exec")
    return text


def test_a_function_goes_with_its_decorators_and_nothing_else() -> None:
    text = without(ids("test_many[1]", "test_many[2]", "TestTwo::test_own"), ids("test_plain"))
    many, own = TESTS.index("@pytest.mark"), TESTS.index("    def test_own")
    after_many, after_own = TESTS.index("\n\nclass Shared"), TESTS.index("\n\nclass TestAlone")
    assert text == TESTS[:many] + TESTS[after_many:own] + TESTS[after_own:]


def test_one_shown_case_keeps_the_function() -> None:
    assert without(ids("test_many[1]"), ids("test_many[2]")) == TESTS
    assert without(ids("TestOne::test_shared"), ids("TestTwo::test_shared")) == TESTS


def test_an_inherited_test_goes_from_its_base_and_an_emptied_class_passes() -> None:
    text = without(ids("TestOne::test_shared", "TestTwo::test_shared", "TestAlone::test_only"), [])
    assert "test_shared" not in text and "test_only" not in text
    assert "class Shared:\n    pass\n" in text
    assert "class TestAlone(unittest.TestCase):\n    pass\n" in text


def test_what_other_code_mentions_or_no_def_defines_cannot_be_hidden() -> None:
    assert not definitions(FILES, ids("test_called", "test_made", "TestNone::test_x"))
    assert without(ids("test_called", "test_made"), []) == TESTS


def test_about_half_of_the_tasks_show_one_failing_function_and_two_thirds_of_the_others_stay() -> None:
    many = "\n".join(f"def test_{number}():\n    pass\n" for number in range(60))
    names = [f"test_b.py::test_{number}" for number in range(60)]
    failing, passing = names[:5], names[5:]
    counts, kept = [], []
    for seed in range(80):
        shown = choose_shown({"test_b.py": many.encode()}, failing, passing, np.random.default_rng(seed))
        assert list(shown) == [name for name in names if name in shown]
        counts.append(len(set(shown) & set(failing)))
        kept.append(len(set(shown) & set(passing)) / len(passing))
    assert set(counts) == {0, 1}
    assert 0.3 < np.mean(counts) < 0.7
    assert np.mean(kept) == pytest.approx(2 / 3, abs=0.05)


def test_a_failing_case_hides_the_passing_ones_of_its_function() -> None:
    shown = {
        choose_shown(FILES, ids("test_many[1]"), ids("test_many[2]", "test_called"), np.random.default_rng(seed))
        for seed in range(20)
    }
    assert shown == {tuple(ids("test_called")), tuple(ids("test_many[1]", "test_many[2]", "test_called"))}


def test_a_class_named_like_its_base_is_none_of_itself() -> None:
    """pyflakes has `class Test(TestCase)` below an import of the name; a redefinition may even name itself."""
    text = b"class Test(Test):\n    def test_a(self):\n        pass\n\n\n"
    text += text.strip().replace(b"test_a", b"test_b")
    places = definitions({"t.py": text}, ["t.py::Test::test_a", "t.py::Test::test_b"])
    assert places["t.py::Test::test_a"].first == 2 and places["t.py::Test::test_b"].first == 7
