"""Elementary tasks that a model of a few million parameters can learn: short prompts, short exact answers.

Each family generates a problem from random numbers. A problem belongs to the `train` or the `held` side by the hash
of its text, so no held problem is ever trained on, whatever the seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gym.tasksets.sides import Side, side_of
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

SYSTEM = {"role": "system", "content": "task"}  # a few tokens instead of the default text of many
WORDS = (
    "apple bird boat book bread cloud coat dog door farm field fish flower garden glass grass hand hill horse house "
    "island king lake lamp leaf milk moon mountain paper river road salt school ship snow star stone sugar sun table "
    "tree wall water wind window wine winter wood"
).split()


@dataclass(frozen=True)
class Exercise:
    """A question, its exact answer, and plausible wrong answers."""

    text: str
    answer: str
    wrong: tuple[str, ...]


def _number(rng: np.random.Generator, digits: int) -> int:
    return int(rng.integers(10 ** (digits - 1), 10**digits))


def larger(rng: np.random.Generator, difficulty: float) -> Exercise:
    """Which of two numbers is larger; difficulty adds digits."""
    digits = 1 + round(difficulty * 2)
    first, second = _number(rng, digits), _number(rng, digits)
    while first == second:
        second = _number(rng, digits)
    return Exercise(f"Which is larger: {first} or {second}?", str(max(first, second)), (str(min(first, second)),))


PARITY_FORMS = (
    "Is {n} even or odd?",
    "{n}: even or odd?",
    "Tell me if {n} is even or odd.",
    "Even or odd: {n}?",
    "The number {n}, is it even or odd?",
    "Say even or odd for {n}.",
)
SIZE_FORMS = (
    "Below five is small. Is {n} small or big?",
    "{n}: small or big?",
    "Small or big: {n}?",
    "Say small or big for {n}.",
    "The number {n}, is it small or big?",
    "Tell me if {n} is small or big.",
)
COMPARE_FORMS = (
    "Is {a} more than {b}?",
    "{a} is more than {b}, yes or no?",
    "Yes or no: {a} beats {b}?",
    "Does {a} come after {b}?",
    "Say yes if {a} is over {b}, else no.",
    "{a} over {b}?",
)


def _form(rng: np.random.Generator, forms: tuple[str, ...]) -> str:
    return forms[int(rng.integers(len(forms)))]


def parity(rng: np.random.Generator, difficulty: float) -> Exercise:
    """Whether a number is even or odd; difficulty adds digits."""
    number = _number(rng, 1 + round(difficulty * 3))
    names = ("even", "odd")
    return Exercise(_form(rng, PARITY_FORMS).format(n=number), names[number % 2], (names[1 - number % 2],))


def size(rng: np.random.Generator, difficulty: float) -> Exercise:
    """Whether a digit (or, with difficulty, a number's first digit) is below five."""
    number = _number(rng, 1 + round(difficulty * 3))
    names = ("small", "big")
    big = int(str(number)[0]) >= 5
    return Exercise(_form(rng, SIZE_FORMS).format(n=number), names[big], (names[not big],))


def compare(rng: np.random.Generator, difficulty: float) -> Exercise:
    """Whether one number is more than another; difficulty adds digits."""
    digits = 1 + round(difficulty * 2)
    first, second = _number(rng, digits), _number(rng, digits)
    names = ("no", "yes")
    more = first > second
    return Exercise(_form(rng, COMPARE_FORMS).format(a=first, b=second), names[more], (names[not more],))


def addition(rng: np.random.Generator, difficulty: float) -> Exercise:
    """A sum; difficulty raises the largest summand from 4 to 49."""
    top = 5 + round(difficulty * 45)
    first, second = int(rng.integers(top)), int(rng.integers(top))
    total = first + second
    return Exercise(f"What is {first} + {second}?", str(total), (str(total + 1), str(total + 2)))


def counting(rng: np.random.Generator, difficulty: float) -> Exercise:
    """How many words stand in a list; difficulty makes it longer."""
    count = int(rng.integers(1, 4 + round(difficulty * 6)))
    words = " ".join(rng.choice(WORDS, count, replace=False).tolist())
    return Exercise(f"How many words are here: {words}?", str(count), (str(count + 1), str(count + 2)))


def last_word(rng: np.random.Generator, difficulty: float) -> Exercise:
    """The last word of a list; difficulty makes it longer."""
    words = rng.choice(WORDS, 2 + round(difficulty * 4), replace=False).tolist()
    return Exercise(f"Which word is last: {' '.join(words)}?", words[-1], tuple(words[:-1]))


CLASSES = {
    "animal": "cat dog horse cow bird fish lion bear wolf sheep goat mouse rabbit snake tiger duck".split(),
    "plant": "tree rose grass oak wheat rice corn apple lemon potato onion cotton tea tulip pine palm".split(),
    "place": "city river lake island mountain desert forest village country street valley coast beach park".split(),
    "tool": "hammer knife saw pen brush needle axe spoon shovel drill rope ladder key lamp clock wheel".split(),
}
OPPOSITES = (
    "hot cold, big small, day night, up down, left right, open closed, old new, rich poor, strong weak, fast slow, "
    "high low, long short, light dark, wet dry, full empty, north south, east west, early late, good bad, true false"
)
CLASS_FORMS = (
    "What is a {word}?",
    "A {word} is a kind of what?",
    "Name the class of {word}.",
    "To which group does {word} belong?",
    "{word}: which class?",
    "Say what a {word} is.",
)
OPPOSITE_FORMS = (
    "What is the opposite of {word}?",
    "Opposite of {word}?",
    "Give the opposite of {word}.",
    "Not {word} but what?",
    "{word}: the opposite?",
    "Turn {word} around.",
)


def category(rng: np.random.Generator, difficulty: float) -> Exercise:
    """The class of a word, one of four; difficulty draws from more words."""
    names = list(CLASSES)
    right = names[int(rng.integers(len(names)))]
    words = CLASSES[right][: 6 + round(difficulty * 10)]
    form = _form(rng, CLASS_FORMS)
    wrong = tuple(name for name in names if name != right)
    return Exercise(form.format(word=str(rng.choice(words))), right, wrong)


def opposite(rng: np.random.Generator, difficulty: float) -> Exercise:
    """The opposite of a word; difficulty draws from more pairs."""
    pairs = [pair.split() for pair in OPPOSITES.split(", ")][: 8 + round(difficulty * 12)]
    pair = pairs[int(rng.integers(len(pairs)))]
    word, answer = pair if rng.integers(2) else pair[::-1]
    other = pairs[(pairs.index(pair) + 1) % len(pairs)]
    form = _form(rng, OPPOSITE_FORMS)
    return Exercise(form.format(word=word), answer, (word, other[0]))


FAMILIES: dict[str, Callable[[np.random.Generator, float], Exercise]] = {
    "larger": larger,
    "parity": parity,
    "size": size,
    "compare": compare,
    "addition": addition,
    "counting": counting,
    "last_word": last_word,
    "category": category,
    "opposite": opposite,
}


@dataclass(frozen=True)
class Elementary:
    """One family as a taskset.

    Attributes:
        family: a key of `FAMILIES`.
        side: which problems it draws.
    """

    family: str
    side: Side = "train"

    @property
    def name(self) -> str:
        return self.family

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, repeated problems allowed; equal for equal arguments."""
        make = FAMILIES[self.family]
        rng = np.random.default_rng([seed, *self.family.encode()])
        tasks: list[Task] = []
        while len(tasks) < n:
            problem = make(rng, difficulty)
            if side_of(problem.text) != self.side:
                continue
            tasks.append(
                Task(
                    id=f"{self.family}-{self.side}-{seed}-{len(tasks)}",
                    taskset=self.family,
                    seed=seed,
                    difficulty=difficulty,
                    domain="elementary",
                    messages=(SYSTEM, {"role": "user", "content": problem.text}),
                    token_budget=12,
                    payload={"answer": problem.answer, "wrong": list(problem.wrong)},
                )
            )
        return tasks

    def score(self, task: Task, answer_text: str) -> Result:
        """1.0 for the exact answer (case and a final full stop aside), else 0.0."""
        answer = answer_text.strip().rstrip(".").lower()
        if not answer:
            return Result(0.0, Status.NO_ANSWER, "empty answer")
        if answer == task.payload["answer"].lower():
            return Result(1.0, Status.SCORED, "exact match")
        return Result(0.0, Status.SCORED, "a different answer")

    def demonstration(self, task: Task) -> str:
        """What a perfect assistant says."""
        return str(task.payload["answer"])
