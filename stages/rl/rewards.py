"""From a verifier's verdict to the reward that the objective sees, with K2's controls."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass
class Parts:
    """A rollout's reward, term by term; `total` is their sum."""

    task: float = 0.0
    length: float = 0.0
    budget: float = 0.0
    repeat: float = 0.0

    @property
    def total(self) -> float:
        return self.task + self.length + self.budget + self.repeat

    def record(self) -> dict[str, float]:
        return {f"reward_{key}": value for key, value in asdict(self).items()} | {"reward": self.total}


def length_rewards(lengths: Sequence[int], correct: Sequence[bool]) -> list[float]:
    """K1.5's length reward over the rollouts of one prompt (K1.5 report §2.3.3).

    λ = 0.5 − (len − min) / (max − min): λ for a correct answer, min(0, λ) for a wrong one, 0 when all are as long.
    """
    shortest, longest = min(lengths), max(lengths)
    if shortest == longest:
        return [0.0] * len(lengths)
    scores = [0.5 - (length - shortest) / (longest - shortest) for length in lengths]
    return [score if good else min(0.0, score) for score, good in zip(scores, correct, strict=True)]


def repeats(ids: Sequence[int], width: int = 4, times: int = 4) -> bool:
    """True when the last `width` tokens or fewer stand `times` times in a row at the end: a loop."""
    tail = list(ids[-width * times :])
    return any(len(tail) >= n * times and tail[-n:] * times == tail[-n * times :] for n in range(1, width + 1))


@dataclass(frozen=True)
class Toggle:
    """K2.5's Toggle: every `every` iterations change between a budgeted and a plain phase.

    In a budgeted phase a rollout keeps its reward only when the group's accuracy is below `accuracy` or its length is
    within `budget` tokens (K2.5 report §4.4; the budget is a percentile of correct lengths, fixed at the start).
    """

    every: int
    accuracy: float
    budget: int

    def keeps(self, iteration: int, group_accuracy: float, length: int) -> bool:
        budgeted = (iteration // self.every) % 2 == 0
        return not budgeted or group_accuracy < self.accuracy or length <= self.budget


def budget_from(correct_lengths: Sequence[int], percentile: float) -> int:
    """Toggle's budget: the percentile of the lengths of correct answers."""
    return int(np.percentile(np.asarray(correct_lengths), percentile))
