import numpy as np
import pytest

from gym.javascript.hidden import choose_hidden, without_tests

TEXT = b"""test('one (', (t) => {
  t.test('a', (st) => {
    st.end();
  })
  t.test('b', (st) => { st.end(); });
  t.end();
});
for (const n of [1, 2]) test(`two ${n}`, (t) => t.end());
test('three', (t) => t.end()); test('four', (t) => t.end());
// test('none', (t) => {
x.y.test('five', () => { /[)]/; })
"""
ONE, A, B, TWO, THREE, FIVE = (("t.js", *at) for at in ((1, 1), (2, 5), (5, 5), (8, 25), (9, 1), (11, 5)))


def _left(gone: list[tuple[str, int, int]], kept: list[tuple[str, int, int]] | None = None) -> str:
    return without_tests({"t.js": TEXT}, gone, kept or [])["t.js"].decode()


def test_calls_are_cut_with_their_lines() -> None:
    lines = TEXT.decode().splitlines(keepends=True)
    assert _left([A]) == "".join([lines[0], *lines[4:]])
    assert _left([B]) == "".join([*lines[:4], *lines[5:]])
    assert _left([ONE, A]) == "".join(lines[7:])
    assert _left([FIVE]) == "".join(lines[:-1])


@pytest.mark.parametrize("place", [TWO, THREE])
def test_calls_that_share_a_line_stay(place: tuple[str, int, int]) -> None:
    assert _left([place]) == TEXT.decode()


def test_a_call_stays_around_one_that_is_kept() -> None:
    assert _left([ONE, A], kept=[B]) == _left([A])
    assert _left([A], kept=[A]) == TEXT.decode()


def test_what_is_hidden() -> None:
    places = {name: ("t.js", number, 1) for number, name in enumerate("abcdefghijkl")}
    rng = np.random.default_rng(0)
    alone = choose_hidden(["a"], "bcdefghijkl", places, None, rng)
    assert "a" in alone and 1 < len(alone) < 9
    some = choose_hidden("abc", "defghijkl", places, None, rng)
    assert len({"a", "b", "c"} & set(some)) == 2  # one of several is shown
    assert {"a", "c"} < set(choose_hidden("abc", "defghijkl", places, "b", rng))  # the one that the issue quotes
    assert choose_hidden(["unknown"], [], places, None, rng) == ()
