"""Which tasks an iteration trains on: neither solved nor hopeless, the harder ones more often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TRIED = 16  # samples before a task can be called solved or hopeless


@dataclass
class Pool:
    """The tasks of one family and how often samples of each succeeded."""

    tries: list[int]
    wins: list[float]

    @classmethod
    def fresh(cls, size: int) -> "Pool":
        return cls([0] * size, [0.0] * size)

    def rate(self, index: int) -> float:
        """Pass rate with one success and one failure added."""
        return (self.wins[index] + 1) / (self.tries[index] + 2)

    def moderate(self) -> list[int]:
        """Tasks that were not always solved and not always failed (K2 report §3.2.1); all when none is left."""
        size = len(self.tries)
        found = [k for k in range(size) if self.tries[k] < TRIED or 0 < self.wins[k] < self.tries[k]]
        return found or list(range(size))

    def choose(self, n: int, rng: np.random.Generator) -> list[int]:
        """`n` tasks, different while there are enough, with weight 1 − pass rate (K1.5 report §2.3.4)."""
        candidates = self.moderate()
        weights = np.asarray([1 - self.rate(k) for k in candidates])
        chosen = rng.choice(len(candidates), n, replace=n > len(candidates), p=weights / weights.sum())
        return [candidates[k] for k in chosen.tolist()]

    def record(self, index: int, scores: Sequence[float]) -> None:
        self.tries[index] += len(scores)
        self.wins[index] += float(sum(scores))


def shares(total: int, families: Sequence[str]) -> dict[str, int]:
    """How many prompts each family gets: equal, the first ones get what is left over."""
    base, extra = divmod(total, len(families))
    return {family: base + (place < extra) for place, family in enumerate(families)}
