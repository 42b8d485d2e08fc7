"""Arithmetic expressions and word problems, with exact answers that are computed, never written down."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from gym.tasksets.task import Task
from gym.verifiers.exact import numeric
from gym.verifiers.result import Result

END = "End with the answer alone on the last line."
NAMES = ("Ada", "Ben", "Chen", "Dora", "Emil", "Fatma", "Goran", "Hana")
THINGS = ("apples", "books", "stamps", "marbles", "candles", "coins", "shells", "tickets")
NUMBER = re.compile(r"\d+")
Kind = Literal["expressions", "words"]


def _draw(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def expression(rng: np.random.Generator, difficulty: float) -> tuple[str, Fraction]:
    """A nested expression of 2 to 8 numbers of 1 to 4 digits, and its value."""
    top = 10 ** (1 + round(3 * difficulty)) - 1

    def build(leaves: int) -> tuple[str, Fraction]:
        if leaves == 1:
            number = _draw(rng, 1, top)
            return str(number), Fraction(number)
        left = _draw(rng, 1, leaves - 1)
        (a, x), (b, y) = build(left), build(leaves - left)
        sign = "+-*"[_draw(rng, 0, 1 if leaves > 3 else 2)]
        value = {"+": x + y, "-": x - y, "*": x * y}[sign]
        return f"({a} {sign} {b})", value

    text, value = build(2 + round(6 * difficulty))
    return text[1:-1], value


@dataclass(frozen=True)
class Story:
    """A word problem and its answer, with a unit or none."""

    text: str
    value: Fraction
    unit: str


def shopping(rng: np.random.Generator, difficulty: float) -> Story:
    name, thing, top = str(rng.choice(NAMES)), str(rng.choice(THINGS)), 9 + round(90 * difficulty)
    text, total = [f"{name} has {(have := _draw(rng, 1, top))} {thing}."], have
    for _ in range(1 + round(3 * difficulty)):
        packs, each = _draw(rng, 2, 9), _draw(rng, 2, top)
        give = _draw(rng, 0, total)
        if rng.integers(2):
            text.append(f"{name} buys {packs} boxes of {each}.")
            total += packs * each
        else:
            text.append(f"Then {name} gives {give} away.")
            total -= give
    return Story(f"{' '.join(text)} How many {thing} does {name} have now?", Fraction(total), "")


def travel(rng: np.random.Generator, difficulty: float) -> Story:
    legs = [(_draw(rng, 2, 12) * 10, _draw(rng, 1, 6) * 30) for _ in range(1 + round(2 * difficulty))]
    parts = [f"at {speed} km/h for {minutes} minutes" for speed, minutes in legs]
    total = sum((Fraction(speed * minutes, 60) for speed, minutes in legs), Fraction(0))
    return Story(f"A train goes {', then '.join(parts)}. How far does it go? Give kilometres.", total, "km")


def sharing(rng: np.random.Generator, difficulty: float) -> Story:
    people, each = _draw(rng, 2, 5 + round(20 * difficulty)), _draw(rng, 2, 9 + round(40 * difficulty))
    rest = _draw(rng, 0, people - 1)
    thing = str(rng.choice(THINGS))
    text = f"{people * each + rest} {thing} are shared equally by {people} people, as many each as possible."
    return Story(f"{text} How many {thing} are left over?", Fraction(rest), "")


def weighing(rng: np.random.Generator, difficulty: float) -> Story:
    kilograms, grams = _draw(rng, 1, 9 + round(40 * difficulty)), _draw(rng, 1, 19) * 50
    count = _draw(rng, 2, 4 + round(8 * difficulty))
    text = f"A box of {kilograms} kg holds {count} jars of {grams} g each beside its own weight."
    return Story(f"{text} What do box and jars weigh? Give kilograms.", kilograms + Fraction(count * grams, 1000), "kg")


STORIES: tuple[Callable[[np.random.Generator, float], Story], ...] = (shopping, travel, sharing, weighing)


def plain(value: Fraction) -> str:
    """A decimal without an exponent; the values here have few digits behind the point."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10f}".rstrip("0")


@dataclass(frozen=True)
class Arithmetic:
    """Nested expressions or word problems."""

    kind: Kind = "words"

    @property
    def name(self) -> str:
        return f"arithmetic_{self.kind}"

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, equal for equal arguments."""
        rng = np.random.default_rng([seed, *self.kind.encode()])
        tasks = []
        for number in range(n):
            if self.kind == "expressions":
                text, value = expression(rng, difficulty)
                story = Story(f"What is {text}?", value, "")
            else:
                story = STORIES[_draw(rng, 0, len(STORIES) - 1)](rng, difficulty)
            tasks.append(
                Task(
                    id=f"{self.name}-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=difficulty,
                    domain="math",
                    messages=({"role": "user", "content": f"{story.text} {END}"},),
                    token_budget=64 + round(192 * difficulty),
                    payload={"answer": f"{plain(story.value)} {story.unit}".strip()},
                    entity=" ".join(NUMBER.findall(story.text)),  # whoever owns how many of what
                )
            )
        return tasks

    def demonstration(self, task: Task) -> str:
        """The answer alone."""
        return str(task.payload["answer"])

    def score(self, task: Task, answer_text: str) -> Result:
        """Compares the last number exactly; a unit must be there when the question asked for one."""
        return numeric(answer_text, task.payload["answer"], tolerance=0.0)
