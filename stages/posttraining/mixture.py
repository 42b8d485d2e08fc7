"""Trajectories and demonstrations as rows of packed examples, in an order that a seed fixes."""

from collections.abc import Mapping

import numpy as np

from gym.decontaminate import Index
from gym.tasksets.elementary import Elementary
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.errors import InputError
from stages.harness.seeds import rng, seed32
from stages.posttraining.conversations import Conversation, clean, comparison, demonstration, encode
from stages.posttraining.packing import Example, plan


class Mixture:
    """Rows of packed examples in a seeded order: row `n` is the same in every run.

    `trajectory_share` of the rows hold trajectories, the others demonstrations; each pool is packed anew per epoch.
    A pool without examples gives its share to the other.

    Raises:
        InputError: both are without.
    """

    def __init__(
        self, trajectories: list[Example], demonstrations: list[Example], share: float, length: int, seed: int
    ) -> None:
        if not trajectories and not demonstrations:
            raise InputError(f"nothing to learn from: no trajectory and no demonstration fits {length} tokens")
        self.pools, self.length, self.seed = (trajectories, demonstrations), length, seed
        self.share = float(not demonstrations) if not (trajectories and demonstrations) else share
        self._plans: dict[tuple[int, int], list[list[int]]] = {}

    def row(self, number: int) -> list[Example]:
        before, after = int(number * self.share + 1e-9), int((number + 1) * self.share + 1e-9)
        pool, drawn = (0, before) if after > before else (1, number - before)
        epoch = 0
        while drawn >= len(self._plan(pool, epoch)):
            drawn -= len(self._plan(pool, epoch))
            epoch += 1
        return [self.pools[pool][k] for k in self._plan(pool, epoch)[drawn]]

    def _plan(self, pool: int, epoch: int) -> list[list[int]]:
        key = (pool, epoch)
        if key not in self._plans:
            rng = np.random.default_rng([self.seed, pool, epoch])
            self._plans[key] = plan([example.inputs for example in self.pools[pool]], self.length, rng)
        return self._plans[key]


def demonstrate(
    tokenizer: K2Tokenizer,
    counts: Mapping[str, int],
    difficulty: float,
    longest: int,
    seed: int,
    index: Index | None = None,
) -> tuple[list[Example], int]:
    """For each family so many tasks with their answers, each also as a comparison for the critic.

    Args:
        index: benchmarks' texts; what overlaps is left out and counted in the second result.
    """
    conversations: list[Conversation] = []
    for family, count in counts.items():
        draw = rng(seed, "critic", family)
        taskset = Elementary(family)
        for task in taskset.tasks(count, seed32(seed, "demonstrations", family), difficulty):
            conversations.append(demonstration(taskset, task))
            conversations.append(comparison(task, draw))
    conversations, dropped = clean(conversations, index or Index())
    return encode(tokenizer, conversations, longest)[0], dropped
