"""Small functions to write, in many variants: their words, a right one, and arguments that begin with edge cases.

A variant is told by what it is about (which operation with which number), so that what is held differs in content.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class Spec:
    """A function to write.

    Attributes:
        source: one that is right; its results are what a candidate's must be.
        edges: arguments that are always tried, before those of `draw`.
    """

    name: str
    text: str
    source: str
    edges: Sequence[tuple[Any, ...]]
    draw: Draw
    difficulty: float

    def reference(self) -> Callable[..., Any]:
        """The right function, of our own source."""
        names: dict[str, Any] = {}
        exec(self.source, names)
        found: Callable[..., Any] = names[self.name]
        return found


def _ints(rng: np.random.Generator) -> list[int]:
    return [int(n) for n in rng.integers(-20, 21, int(rng.integers(0, 9)))]


def _numbers(rng: np.random.Generator) -> tuple[Any, ...]:
    return (_ints(rng),)


def _one(rng: np.random.Generator) -> tuple[Any, ...]:
    return (int(rng.integers(-200, 201)),)


def _two(rng: np.random.Generator) -> tuple[Any, ...]:
    return int(rng.integers(-50, 51)), int(rng.integers(-50, 51))


def _text(rng: np.random.Generator) -> tuple[Any, ...]:
    return ("".join(rng.choice(list("abcdeABC 12"), int(rng.integers(0, 10))).tolist()),)


def _sentence(rng: np.random.Generator) -> tuple[Any, ...]:
    words = ("the", "grey", "cat", "sees", "a", "mouse", "under", "mountain", "stairs", "yesterday")
    return (" ".join(rng.choice(words, int(rng.integers(0, 7))).tolist()),)


LISTS: tuple[tuple[Any, ...], ...] = (([],), ([0],), ([7, 7],))
TEXTS: tuple[tuple[Any, ...], ...] = (("",), ("a",), ("aA",))
ONES: tuple[tuple[Any, ...], ...] = ((0,), (1,), (-1,))
TWOS: tuple[tuple[Any, ...], ...] = ((0, 0), (1, -1))


def _line(
    name: str, given: str, text: str, value: str, edges: Sequence[tuple[Any, ...]], draw: Draw, hard: float
) -> Spec:
    """A function of one line."""
    return Spec(name, text, f"def {name}({given}):\n    return {value}", edges, draw, hard)


def _of_a_number(k: int) -> Iterator[Spec]:
    for name, text, value, hard in (
        (f"add_{k}", f"a number plus {k}", f"n + {k}", 0.0),
        (f"times_{k}", f"a number times {k}", f"n * {k}", 0.0),
        (f"is_multiple_of_{k}", f"whether an integer is divisible by {k}", f"n % {k} == 0", 0.1),
        (f"at_least_{k}", f"the larger one of an integer and {k}", f"max(n, {k})", 0.1),
        (f"double_plus_{k}", f"twice a number, plus {k}", f"2 * n + {k}", 0.1),
        (f"distance_to_{k}", f"how far an integer is from {k}, never negative", f"abs(n - {k})", 0.2),
    ):
        yield _line(name, "n", text, value, ONES, _one, hard)


def _of_two(k: int) -> Iterator[Spec]:
    yield _line(f"sum_times_{k}", "a, b", f"the sum of two numbers, times {k}", f"(a + b) * {k}", TWOS, _two, 0.1)
    yield _line(
        f"larger_plus_{k}", "a, b", f"the larger one of two numbers, plus {k}", f"max(a, b) + {k}", TWOS, _two, 0.2
    )


def _of_a_list(k: int) -> Iterator[Spec]:
    for name, text, value, hard in (
        (f"add_{k}_to_each", f"a list with {k} added to each number", f"[x + {k} for x in xs]", 0.1),
        (f"multiply_each_by_{k}", f"a list with each number times {k}", f"[x * {k} for x in xs]", 0.1),
        (f"greater_than_{k}", f"the numbers of a list that are greater than {k}, in order",
         f"[x for x in xs if x > {k}]", 0.2),
        (f"count_above_{k}", f"how many numbers of a list are greater than {k}", f"sum(x > {k} for x in xs)", 0.2),
        (f"multiples_of_{k}", f"the numbers of a list that are divisible by {k}, in order",
         f"[x for x in xs if x % {k} == 0]", 0.2),
        (f"sum_of_multiples_of_{k}", f"the sum of those numbers of a list that are divisible by {k}",
         f"sum(x for x in xs if x % {k} == 0)", 0.3),
        (f"without_{k}", f"a list without the numbers that equal {k}", f"[x for x in xs if x != {k}]", 0.2),
        (f"first_{k}", f"the first {k} numbers of a list, all of them when there are fewer", f"xs[:{k}]", 0.2),
        (f"every_{k}", f"every {k}th number of a list, beginning with the first", f"xs[::{k}]", 0.4),
    ):  # fmt: skip
        yield _line(name, "xs", text, value, LISTS, _numbers, hard)


def _of_a_letter(c: str) -> Iterator[Spec]:
    edges = (*TEXTS, (c,), (f"{c} 1",), (f"2{c}",))
    for name, text, value, hard in (
        (f"count_{c}", f"how often the letter {c} stands in a text", f's.count("{c}")', 0.1),
        (f"without_{c}", f"a text without the letter {c}", f's.replace("{c}", "")', 0.2),
        (f"starts_with_{c}", f"whether a text begins with the letter {c}", f's.startswith("{c}")', 0.1),
        (f"place_of_{c}", f"at which index the letter {c} stands first in a text, -1 when it does not",
         f's.find("{c}")', 0.3),
    ):  # fmt: skip
        yield _line(name, "s", text, value, edges, _text, hard)


def _of_a_text(k: int) -> Iterator[Spec]:
    yield _line(f"repeat_{k}", "s", f"a text {k} times, without anything between", f"s * {k}", TEXTS, _text, 0.1)
    yield _line(
        f"last_{k}_letters", "s", f"the last {k} characters of a text, all of them when there are fewer", f"s[-{k}:]",
        TEXTS, _text, 0.2,
    )  # fmt: skip
    yield _line(
        f"longer_than_{k}", "s", f"the words of a sentence that have more than {k} letters, as a list",
        f"[word for word in s.split() if len(word) > {k}]", TEXTS, _sentence, 0.3,
    )  # fmt: skip


def _two_lists(rng: np.random.Generator) -> tuple[Any, ...]:
    return sorted(_ints(rng)), sorted(_ints(rng))


def _brackets(rng: np.random.Generator) -> tuple[Any, ...]:
    return ("".join(rng.choice(list("()a"), int(rng.integers(0, 9))).tolist()),)


def _turned(rng: np.random.Generator) -> tuple[Any, ...]:
    return _ints(rng), int(rng.integers(0, 12))


ALONE = (
    _line("difference", "a, b", "the first number minus the second", "a - b", TWOS, _two, 0.0),
    _line("same_sign", "a, b", "whether two integers are both positive or both negative", "a * b > 0", TWOS, _two, 0.3),
    _line("reverse", "s", "a text from its end to its beginning", "s[::-1]", TEXTS, _text, 0.1),
    _line("shout", "s", "a text in capital letters, with an exclamation mark after it", 's.upper() + "!"', TEXTS,
          _text, 0.2),
    _line("count_words", "s", "how many words a sentence has", "len(s.split())", TEXTS, _sentence, 0.2),
    _line("longest_word", "s", "the first of the longest words of a sentence, an empty text when it has none",
          'max(s.split(), key=len, default="")', TEXTS, _sentence, 0.4),
    _line("initials", "s", "the first letters of the words of a sentence, as one text",
          '"".join(word[0] for word in s.split())', TEXTS, _sentence, 0.4),
    _line("count_vowels", "s", "how many letters of a text are vowels (a, e, i, o, u in either case)",
          'sum(letter in "aeiouAEIOU" for letter in s)', TEXTS, _text, 0.3),
    _line("add_all", "xs", "the sum of a list of integers (0 when empty)", "sum(xs)", LISTS, _numbers, 0.1),
    _line("only_even", "xs", "the even numbers of a list, in order", "[x for x in xs if x % 2 == 0]", LISTS,
          _numbers, 0.2),
    _line("digit_sum", "n", "the sum of the decimal digits of an integer, without its sign",
          "sum(int(digit) for digit in str(abs(n)))", ((0,), (-19,)), _one, 0.4),
    _line("merge_sorted", "a, b", "one sorted list out of two sorted lists", "sorted(a + b)", (([], []), ([1], [])),
          _two_lists, 0.5),
    Spec("second_largest", "the second largest different number of a list, or None when there is none",
         "def second_largest(xs):\n    different = sorted(set(xs))\n"
         "    return different[-2] if len(different) > 1 else None", LISTS, _numbers, 0.5),
    Spec("is_balanced", "whether the round brackets of a text are balanced",
         "def is_balanced(s):\n    depth = 0\n    for letter in s:\n"
         "        if letter == '(':\n            depth += 1\n"
         "        elif letter == ')':\n            depth -= 1\n        if depth < 0:\n            return False\n"
         "    return depth == 0", (("",), (")(",)), _brackets, 0.6),
    Spec("run_lengths", "the runs of equal letters of a text as [letter, length] pairs",
         "def run_lengths(s):\n    runs = []\n    for letter in s:\n        if runs and runs[-1][0] == letter:\n"
         "            runs[-1][1] += 1\n        else:\n            runs.append([letter, 1])\n    return runs",
         TEXTS, _text, 0.7),
    Spec("longest_rise", "the length of the longest strictly rising run of neighbours in a list",
         "def longest_rise(xs):\n    best = run = 0\n    for index, x in enumerate(xs):\n"
         "        run = run + 1 if index and x > xs[index - 1] else 1\n        best = max(best, run)\n    return best",
         LISTS, _numbers, 0.7),
    Spec("rotate", "a list rotated to the right by k places (k may be larger than the list)",
         "def rotate(xs, k):\n    k = k % len(xs) if xs else 0\n    return xs[-k:] + xs[:-k] if k else xs",
         (([], 3), ([1, 2], 2)), _turned, 0.7),
)  # fmt: skip
SPECS = (
    *(spec for k in range(2, 14) for spec in _of_a_number(k)),
    *(spec for k in range(2, 8) for spec in _of_two(k)),
    *(spec for k in range(2, 12) for spec in _of_a_list(k)),
    *(spec for letter in "abcde" for spec in _of_a_letter(letter)),
    *(spec for k in range(2, 7) for spec in _of_a_text(k)),
    *ALONE,
)
