"""Which tasks an iteration trains on: neither solved nor hopeless, the harder ones more often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FADE = 0.5  # what an older visit counts at each newer one
TRIED = 8.0  # samples, older ones faded, before a task can be called solved or hopeless
SETTLED = 0.02  # pass rates within this of 0 or 1
REST = 10  # iterations after which a solved or hopeless task is tried again: a policy forgets, and it learns


@dataclass
class Pool:
    """The tasks of one family: samples of each, how many succeeded, and the iteration of the last visit."""

    tries: list[float]
    wins: list[float]
    last: list[float]

    @classmethod
    def fresh(cls, size: int) -> "Pool":
        return cls([0.0] * size, [0.0] * size, [-1.0] * size)

    def rate(self, index: int) -> float:
        """Pass rate with one success and one failure added."""
        return (self.wins[index] + 1) / (self.tries[index] + 2)

    def moderate(self, candidates: Sequence[int], iteration: int) -> list[int]:
        """Those that are not always solved and not always failed (K2 report §3.2.1), or rested; all when none is."""
        unsettled = []
        for k in candidates:
            tries, wins = self.tries[k], self.wins[k]
            settled = tries >= TRIED and not SETTLED * tries < wins < (1 - SETTLED) * tries
            if not settled or iteration - self.last[k] >= REST:
                unsettled.append(k)
        return unsettled or list(candidates)

    def choose(self, n: int, iteration: int, answers: Sequence[str], rng: np.random.Generator) -> list[int]:
        """`n` tasks, different while there are enough, with weight 1 − pass rate (K1.5 report §2.3.4).

        Args:
            answers: the right answer of each task, "" where there is none. In a family of few answers each gets an
                equal share of the draw: else what pays is to say the commoner one whatever the question, and a policy
                that has settled on it gives no signal any more.
        """
        by_answer: dict[str, list[int]] = {}
        for k, answer in enumerate(answers):
            by_answer.setdefault(answer, []).append(k)
        strata = (
            [by_answer[answer] for answer in sorted(by_answer)]
            if 2 * len(by_answer) <= n
            else [list(range(len(answers)))]
        )
        order = rng.permutation(len(strata)).tolist()
        quota = {stratum: n // len(strata) + (turn < n % len(strata)) for turn, stratum in enumerate(order)}
        chosen: list[int] = []
        for stratum, tasks in enumerate(strata):
            candidates = self.moderate(tasks, iteration)
            weights = np.asarray([1 - self.rate(k) for k in candidates])
            few = quota[stratum] > len(candidates)
            drawn = rng.choice(len(candidates), quota[stratum], replace=few, p=weights / weights.sum())
            chosen += [candidates[k] for k in drawn.tolist()]
        return chosen

    def record(self, index: int, iteration: int, scores: Sequence[float]) -> None:
        self.tries[index] = FADE * self.tries[index] + len(scores)
        self.wins[index] = FADE * self.wins[index] + float(sum(scores))
        self.last[index] = float(iteration)


def shares(total: int, families: Sequence[str]) -> dict[str, int]:
    """How many prompts each family gets: equal, the first ones get what is left over."""
    base, extra = divmod(total, len(families))
    return {family: base + (index < extra) for index, family in enumerate(families)}
