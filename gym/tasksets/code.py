"""Small programming tasks with generated hidden tests: expected values come from a reference, edge cases included."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gym.sandbox import Box
from gym.tasksets.task import Task
from gym.verifiers.code import CallTest, by_calls
from gym.verifiers.code_text import program
from gym.verifiers.result import Result

TESTS = 24


@dataclass(frozen=True)
class Spec:
    """A function to write: its words, a reference, and a source of arguments that begins with the edge cases."""

    name: str
    text: str
    reference: Callable[..., Any]
    edges: Sequence[tuple[Any, ...]]
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    difficulty: float


def _ints(rng: np.random.Generator, low: int = -20, high: int = 21) -> list[int]:
    return [int(n) for n in rng.integers(low, high, int(rng.integers(0, 9)))]


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("abcdeABC 12"), int(rng.integers(0, 10))).tolist())


def _run_lengths(text: str) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1][1] += 1
        else:
            runs.append([letter, 1])
    return runs


def _longest_rise(numbers: list[int]) -> int:
    best = run = 0
    for index, number in enumerate(numbers):
        run = run + 1 if index and number > numbers[index - 1] else 1
        best = max(best, run)
    return best


def _balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0


SPECS = (
    Spec("add_all", "the sum of a list of integers (0 when empty)", lambda xs: sum(xs), [([],), ([5],)], lambda r: (_ints(r),), 0.1),
    Spec("count_vowels", "how many letters of a text are vowels (a, e, i, o, u in either case)",
         lambda s: sum(c in "aeiouAEIOU" for c in s), [("",), ("AEIOU",)], lambda r: (_word(r),), 0.2),
    Spec("only_even", "the even numbers of a list, in order", lambda xs: [x for x in xs if x % 2 == 0], [([],), ([1],)],
         lambda r: (_ints(r),), 0.2),
    Spec("second_largest", "the second largest different number of a list, or None when there is none",
         lambda xs: sorted(set(xs))[-2] if len(set(xs)) > 1 else None, [([],), ([3, 3],)], lambda r: (_ints(r),), 0.4),
    Spec("run_lengths", "the runs of equal letters of a text as [letter, length] pairs", _run_lengths, [("",), ("aab",)],
         lambda r: (_word(r),), 0.5),
    Spec("longest_rise", "the length of the longest strictly rising run of neighbours in a list", _longest_rise, [([],), ([2, 2],)],
         lambda r: (_ints(r),), 0.6),
    Spec("is_balanced", "whether the round brackets of a text are balanced", _balanced, [("",), (")(",)],
         lambda r: ("".join(r.choice(list("()a"), int(r.integers(0, 9))).tolist()),), 0.5),
    Spec("merge_sorted", "one sorted list out of two sorted lists", lambda a, b: sorted(a + b), [([], []), ([1], [])],
         lambda r: (sorted(_ints(r)), sorted(_ints(r))), 0.4),
    Spec("digit_sum", "the sum of the decimal digits of an integer, without its sign",
         lambda n: sum(map(int, str(abs(n)))), [(0,), (-19,)], lambda r: (int(r.integers(-9999, 9999)),), 0.3),
    Spec("rotate", "a list rotated to the right by k places (k may be larger than the list)",
         lambda xs, k: xs[-(k % len(xs)):] + xs[: -(k % len(xs))] if xs and k % len(xs) else list(xs), [([], 3), ([1, 2], 2)],
         lambda r: (_ints(r), int(r.integers(0, 12))), 0.6),
)  # fmt: skip


class Code:
    """Function tasks; scoring needs an open sandbox."""

    name = "code"

    def __init__(self, box: Box) -> None:
        self.box = box

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """Tasks whose difficulty is near the wanted one, each with its own hidden tests."""
        rng = np.random.default_rng([seed, 61])
        near = sorted(SPECS, key=lambda spec: (abs(spec.difficulty - difficulty), spec.name))[:6]
        tasks = []
        for number in range(n):
            spec = near[int(rng.integers(len(near)))]
            arguments = [*spec.edges, *(spec.draw(rng) for _ in range(TESTS - len(spec.edges)))]
            tests = [{"arguments": list(values), "expected": spec.reference(*values)} for values in arguments]
            text = f"Write a Python function {spec.name} that returns {spec.text}. Answer with the code alone."
            tasks.append(
                Task(
                    id=f"code-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=spec.difficulty,
                    domain="code",
                    messages=({"role": "user", "content": text},),
                    token_budget=300,
                    payload={"function": spec.name, "tests": tests},
                )
            )
        return tasks

    def score(self, task: Task, answer_text: str) -> Result:
        tests = [CallTest(test["arguments"], test["expected"]) for test in task.payload["tests"]]
        function = task.payload["function"]
        return by_calls(self.box, program(answer_text, function), function, tests, nonce=f"end-of-{task.id}")
