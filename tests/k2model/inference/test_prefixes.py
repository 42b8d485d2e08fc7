"""The bookkeeping of rows, against lists that are compared token by token."""

import random

import pytest

from k2model.inference.prefixes import (
    LEAST_PREFIX,
    Awaited,
    FreeRows,
    Reading,
    await_prefix,
    common_prefix,
    longest_prefix,
)


def _sequences(rng: random.Random, count: int) -> list[list[int]]:
    """Branches of each other, so that long prefixes are common."""
    found: list[list[int]] = [[]]
    for _ in range(count):
        parent = rng.choice(found)
        found.append([*parent[: rng.randrange(len(parent) + 1)], *rng.choices(range(3), k=rng.randrange(40))])
    return found[1:]


def _common(first: list[int], second: list[int]) -> int:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return length


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_prefix_is_that_of_a_plain_comparison(seed: int) -> None:
    rng = random.Random(seed)
    prompt, *others = _sequences(rng, 12)
    prompt = [*prompt, 1]
    held = dict(enumerate(others))
    lengths = {row: _common(prompt[:-1], ids) for row, ids in held.items()}
    assert lengths == {row: common_prefix(prompt[:-1], ids) for row, ids in held.items()}
    row, length = longest_prefix(prompt, held)
    if row is None:
        assert length == 0 and max(lengths.values()) < LEAST_PREFIX
    else:
        assert length == lengths[row] == max(lengths.values()) >= LEAST_PREFIX
        assert len(held[row]) == min(len(held[other]) for other in held if lengths[other] == length)


def test_the_last_token_is_always_read() -> None:
    prompt = list(range(LEAST_PREFIX + 1))
    assert longest_prefix(prompt, {4: [*prompt, 9]}) == (4, LEAST_PREFIX)
    assert longest_prefix(prompt[:-1], {4: prompt}) == (None, 0)


def test_a_prefix_is_awaited_as_far_as_both_go_and_if_it_saves_enough() -> None:
    prompt = list(range(100))
    near = Reading(0, (*range(50), 7, 7), [1])
    far = Reading(1, (*range(80), 7, 7), [2], read=40)
    assert await_prefix(prompt, 0, [near, far]) == Awaited(far, 80)
    assert await_prefix(prompt, 40, [near]) is None
    assert await_prefix(prompt, 80 - LEAST_PREFIX, [near, far]) == Awaited(far, 80)
    assert await_prefix(prompt, 81 - LEAST_PREFIX, [near, far]) is None
    wait = Awaited(far, 80)
    assert not wait.over
    far.read = 80
    assert wait.over
    far.read, far.rows = 79, []  # everybody who asked has gone
    assert wait.over


def test_the_least_recently_used_row_is_taken_and_empty_ones_before() -> None:
    free = FreeRows(3)
    assert [free.take() for _ in range(3)] == [0, 1, 2]
    for row, ids in ((1, [1] * 9), (0, [2] * 9), (2, [])):
        free.add(row, ids)
    assert list(free) == [2, 1, 0] and len(free) == 3
    assert [free.take() for _ in range(3)] == [2, 1, 0]
    assert not free


@pytest.mark.parametrize(
    ("source", "length", "taken", "left"),
    [
        (None, 0, 0, [1, 2]),
        (7, 30, 0, [1, 2]),  # it is active: its prefix is copied
        (1, 40, 1, [0, 2]),  # it is continued
        (1, 36, 1, [0, 2]),  # 4 tokens get lost, as many as by a copy over row 0
        (1, 35, 0, [2, 1]),  # a copy loses less, and row 1 was used last
        (0, 2, 0, [1, 2]),
    ],
)
def test_a_prefix_is_continued_in_its_row_unless_a_copy_loses_less(
    source: int | None, length: int, taken: int, left: list[int]
) -> None:
    free = FreeRows(0)
    for row, size in ((0, 4), (1, 40), (2, 20)):
        free.add(row, [row] * size)
    assert free.take(source, length) == taken
    assert list(free) == left


def test_what_is_forgotten_is_found_no_more() -> None:
    free = FreeRows(2)
    free.add(free.take(), list(range(40)))
    assert longest_prefix(range(50), free.ids_by_row) == (0, 40)
    free.forget()
    assert longest_prefix(range(50), free.ids_by_row) == (None, 0)
    assert sorted(free) == [0, 1]
