"""Small functions to write, in many variants: their words, a reference, and arguments that begin with edge cases.

A variant is told by what it is about (which operation with which number), so that what is held differs in content.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class Spec:
    """A function to write: its words, a reference, and a source of arguments that begins with the edge cases."""

    name: str
    text: str
    reference: Callable[..., Any]
    edges: Sequence[tuple[Any, ...]]
    draw: Draw
    difficulty: float


def _ints(rng: np.random.Generator) -> list[int]:
    return [int(n) for n in rng.integers(-20, 21, int(rng.integers(0, 9)))]


def _text(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("abcdeABC 12"), int(rng.integers(0, 10))).tolist())


def _sentence(rng: np.random.Generator) -> str:
    words = ("the", "grey", "cat", "sees", "a", "mouse", "under", "mountain", "stairs", "yesterday")
    return " ".join(rng.choice(words, int(rng.integers(0, 7))).tolist())


def numbers(rng: np.random.Generator) -> tuple[Any, ...]:
    """A list of integers."""
    return (_ints(rng),)


def one(rng: np.random.Generator) -> tuple[Any, ...]:
    """An integer."""
    return (int(rng.integers(-200, 201)),)


def two(rng: np.random.Generator) -> tuple[Any, ...]:
    """Two integers."""
    return int(rng.integers(-50, 51)), int(rng.integers(-50, 51))


def text(rng: np.random.Generator) -> tuple[Any, ...]:
    """Letters, digits and spaces."""
    return (_text(rng),)


def sentence(rng: np.random.Generator) -> tuple[Any, ...]:
    """Words with a space between them."""
    return (_sentence(rng),)


LIST_EDGES: tuple[tuple[Any, ...], ...] = (([],), ([0],), ([7, 7],))
TEXT_EDGES: tuple[tuple[Any, ...], ...] = (("",), ("a",), ("aA",))
ONE_EDGES: tuple[tuple[Any, ...], ...] = ((0,), (1,), (-1,))


def _of_a_number() -> Iterator[Spec]:
    for k in range(2, 14):
        yield Spec(f"add_{k}", f"a number plus {k}", lambda n, k=k: n + k, ONE_EDGES, one, 0.0)
        yield Spec(f"times_{k}", f"a number times {k}", lambda n, k=k: n * k, ONE_EDGES, one, 0.0)
        yield Spec(
            f"is_multiple_of_{k}",
            f"whether an integer is divisible by {k}",
            lambda n, k=k: n % k == 0,
            ONE_EDGES,
            one,
            0.1,
        )
        yield Spec(
            f"at_least_{k}", f"the larger one of an integer and {k}", lambda n, k=k: max(n, k), ONE_EDGES, one, 0.1
        )
        yield Spec(f"double_plus_{k}", f"twice a number, plus {k}", lambda n, k=k: 2 * n + k, ONE_EDGES, one, 0.1)
        yield Spec(
            f"distance_to_{k}",
            f"how far an integer is from {k}, never negative",
            lambda n, k=k: abs(n - k),
            ONE_EDGES,
            one,
            0.2,
        )


def _of_two() -> Iterator[Spec]:
    edges = ((0, 0), (1, -1))
    for k in range(2, 8):
        yield Spec(
            f"sum_times_{k}", f"the sum of two numbers, times {k}", lambda a, b, k=k: (a + b) * k, edges, two, 0.1
        )
        yield Spec(
            f"larger_plus_{k}",
            f"the larger one of two numbers, plus {k}",
            lambda a, b, k=k: max(a, b) + k,
            edges,
            two,
            0.2,
        )
    yield Spec("difference", "the first number minus the second", lambda a, b: a - b, edges, two, 0.0)
    yield Spec(
        "same_sign", "whether two integers are both positive or both negative", lambda a, b: a * b > 0, edges, two, 0.3
    )


def _of_a_list() -> Iterator[Spec]:
    for k in range(2, 12):
        for name, words, reference, difficulty in (
            (f"add_{k}_to_each", f"a list with {k} added to each number", lambda xs, k=k: [x + k for x in xs], 0.1),
            (f"multiply_each_by_{k}", f"a list with each number times {k}", lambda xs, k=k: [x * k for x in xs], 0.1),
            (
                f"greater_than_{k}",
                f"the numbers of a list that are greater than {k}, in order",
                lambda xs, k=k: [x for x in xs if x > k],
                0.2,
            ),
            (
                f"count_above_{k}",
                f"how many numbers of a list are greater than {k}",
                lambda xs, k=k: sum(x > k for x in xs),
                0.2,
            ),
            (
                f"multiples_of_{k}",
                f"the numbers of a list that are divisible by {k}, in order",
                lambda xs, k=k: [x for x in xs if x % k == 0],
                0.2,
            ),
            (
                f"sum_of_multiples_of_{k}",
                f"the sum of those numbers of a list that are divisible by {k}",
                lambda xs, k=k: sum(x for x in xs if x % k == 0),
                0.3,
            ),
            (
                f"without_{k}",
                f"a list without the numbers that equal {k}",
                lambda xs, k=k: [x for x in xs if x != k],
                0.2,
            ),
            (
                f"first_{k}",
                f"the first {k} numbers of a list, all of them when there are fewer",
                lambda xs, k=k: xs[:k],
                0.2,
            ),
            (f"every_{k}", f"every {k}th number of a list, beginning with the first", lambda xs, k=k: xs[::k], 0.4),
        ):
            yield Spec(name, words, reference, LIST_EDGES, numbers, difficulty)


def _of_a_text() -> Iterator[Spec]:
    for letter in "abcde":
        edges = (*TEXT_EDGES, (letter,), (f"{letter} 1",), (f"2{letter}",))
        yield Spec(
            f"count_{letter}",
            f"how often the letter {letter} stands in a text",
            lambda s, c=letter: s.count(c),
            edges,
            text,
            0.1,
        )
        yield Spec(
            f"without_{letter}",
            f"a text without the letter {letter}",
            lambda s, c=letter: s.replace(c, ""),
            edges,
            text,
            0.2,
        )
        yield Spec(
            f"starts_with_{letter}",
            f"whether a text begins with the letter {letter}",
            lambda s, c=letter: s.startswith(c),
            edges,
            text,
            0.1,
        )
        yield Spec(
            f"place_of_{letter}",
            f"at which index the letter {letter} stands first in a text, -1 when it does not",
            lambda s, c=letter: s.find(c),
            edges,
            text,
            0.3,
        )
    for k in range(2, 7):
        yield Spec(
            f"repeat_{k}", f"a text {k} times, without anything between", lambda s, k=k: s * k, TEXT_EDGES, text, 0.1
        )
        yield Spec(
            f"last_{k}_letters",
            f"the last {k} characters of a text, all of them when there are fewer",
            lambda s, k=k: s[-k:],
            TEXT_EDGES,
            text,
            0.2,
        )
        yield Spec(
            f"longer_than_{k}",
            f"the words of a sentence that have more than {k} letters, as a list",
            lambda s, k=k: [w for w in s.split() if len(w) > k],
            TEXT_EDGES,
            sentence,
            0.3,
        )
    yield Spec("reverse", "a text from its end to its beginning", lambda s: s[::-1], TEXT_EDGES, text, 0.1)
    yield Spec(
        "shout",
        "a text in capital letters, with an exclamation mark after it",
        lambda s: s.upper() + "!",
        TEXT_EDGES,
        text,
        0.2,
    )
    yield Spec("count_words", "how many words a sentence has", lambda s: len(s.split()), TEXT_EDGES, sentence, 0.2)
    yield Spec(
        "longest_word",
        "the first of the longest words of a sentence, an empty text when it has none",
        lambda s: max(s.split(), key=len, default=""),
        TEXT_EDGES,
        sentence,
        0.4,
    )
    yield Spec(
        "initials",
        "the first letters of the words of a sentence, as one text",
        lambda s: "".join(w[0] for w in s.split()),
        TEXT_EDGES,
        sentence,
        0.4,
    )
    yield Spec(
        "count_vowels",
        "how many letters of a text are vowels (a, e, i, o, u in either case)",
        lambda s: sum(c in "aeiouAEIOU" for c in s),
        TEXT_EDGES,
        text,
        0.3,
    )


def _run_lengths(letters: str) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for letter in letters:
        if runs and runs[-1][0] == letter:
            runs[-1][1] += 1
        else:
            runs.append([letter, 1])
    return runs


def _longest_rise(xs: list[int]) -> int:
    best = run = 0
    for index, number in enumerate(xs):
        run = run + 1 if index and number > xs[index - 1] else 1
        best = max(best, run)
    return best


def _balanced(brackets: str) -> bool:
    depth = 0
    for letter in brackets:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0


def _rotated(xs: list[int], k: int) -> list[int]:
    k = k % len(xs) if xs else 0
    return xs[-k:] + xs[:-k] if k else list(xs)


HARDER = (
    Spec("add_all", "the sum of a list of integers (0 when empty)", sum, LIST_EDGES, numbers, 0.1),
    Spec(
        "only_even",
        "the even numbers of a list, in order",
        lambda xs: [x for x in xs if x % 2 == 0],
        LIST_EDGES,
        numbers,
        0.2,
    ),
    Spec(
        "digit_sum",
        "the sum of the decimal digits of an integer, without its sign",
        lambda n: sum(map(int, str(abs(n)))),
        ((0,), (-19,)),
        one,
        0.4,
    ),
    Spec(
        "second_largest",
        "the second largest different number of a list, or None when there is none",
        lambda xs: sorted(set(xs))[-2] if len(set(xs)) > 1 else None,
        LIST_EDGES,
        numbers,
        0.5,
    ),
    Spec(
        "merge_sorted",
        "one sorted list out of two sorted lists",
        lambda a, b: sorted(a + b),
        (([], []), ([1], [])),
        lambda r: (sorted(_ints(r)), sorted(_ints(r))),
        0.5,
    ),
    Spec(
        "is_balanced",
        "whether the round brackets of a text are balanced",
        _balanced,
        (("",), (")(",)),
        lambda r: ("".join(r.choice(list("()a"), int(r.integers(0, 9))).tolist()),),
        0.6,
    ),
    Spec(
        "run_lengths",
        "the runs of equal letters of a text as [letter, length] pairs",
        _run_lengths,
        TEXT_EDGES,
        text,
        0.7,
    ),
    Spec(
        "longest_rise",
        "the length of the longest strictly rising run of neighbours in a list",
        _longest_rise,
        LIST_EDGES,
        numbers,
        0.7,
    ),
    Spec(
        "rotate",
        "a list rotated to the right by k places (k may be larger than the list)",
        _rotated,
        (([], 3), ([1, 2], 2)),
        lambda r: (_ints(r), int(r.integers(0, 12))),
        0.7,
    ),
)
SPECS = (*_of_a_number(), *_of_two(), *_of_a_list(), *_of_a_text(), *HARDER)
