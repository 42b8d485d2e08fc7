"""Several kinds of examples as rows of packed ones, by shares, in an order that a seed fixes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gym.decontaminate import Index
from gym.tasksets.open_damage import LEARNED, answered, known_pairs
from gym.tasksets.shown import open_shown
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.errors import InputError
from stages.harness.seeds import rng, seed32
from stages.posttraining.comparison import Comparison
from stages.posttraining.conversations import Conversation, clean, compared, comparison, demonstration, encode
from stages.posttraining.packing import Example, plan


@dataclass(frozen=True)
class Pool:
    """Examples of one kind, and the share of the rows that hold them."""

    kind: str
    examples: Sequence[Example]
    share: float


@dataclass(frozen=True)
class Row:
    """Examples of one kind that fit a row together."""

    kind: str
    examples: list[Example]


class Mixture:
    """Rows of packed examples in a seeded order: row `n` is the same in every run.

    A row holds examples of one pool; each pool is packed anew per epoch. Pools without examples or without a share are
    left out, and the others keep their proportions.

    Raises:
        InputError: all pools are left out.
    """

    def __init__(self, pools: Sequence[Pool], length: int, seed: int) -> None:
        self.pools = [pool for pool in pools if pool.examples and pool.share > 0]
        if not self.pools:
            kinds = " and no ".join(pool.kind for pool in pools if pool.share > 0)
            raise InputError(f"nothing to learn from: no {kinds} fits {length} tokens")
        self.length, self.seed = length, seed
        self._drawn = [0] * len(self.pools)
        self._order: list[tuple[int, int]] = []  # of each row: pool, and which of the pool's rows
        self._plans: dict[tuple[int, int], list[list[int]]] = {}

    def row(self, number: int) -> Row:
        while len(self._order) <= number:
            self._next()
        pool, drawn = self._order[number]
        epoch = 0
        while drawn >= len(self._plan(pool, epoch)):
            drawn -= len(self._plan(pool, epoch))
            epoch += 1
        examples = self.pools[pool].examples
        return Row(self.pools[pool].kind, [examples[k] for k in self._plan(pool, epoch)[drawn]])

    def _next(self) -> None:
        """Gives the next row to the pool that is furthest behind its share."""
        total, rows = sum(pool.share for pool in self.pools), len(self._order) + 1
        behind = [pool.share / total * rows - drawn for pool, drawn in zip(self.pools, self._drawn, strict=True)]
        pool = max(range(len(behind)), key=lambda k: (round(behind[k], 9), -k))
        self._order.append((pool, self._drawn[pool]))
        self._drawn[pool] += 1

    def _plan(self, pool: int, epoch: int) -> list[list[int]]:
        key = (pool, epoch)
        if key not in self._plans:
            rng = np.random.default_rng([self.seed, pool, epoch])
            self._plans[key] = plan([example.inputs for example in self.pools[pool].examples], self.length, rng)
        return self._plans[key]


def demonstrate(
    tokenizer: K2Tokenizer,
    counts: Mapping[str, int],
    difficulty: float,
    longest: int,
    seed: int,
    index: Index | None = None,
) -> tuple[list[Example], int]:
    """For each family so many tasks with their answers; with known wrong ones each also as a comparison for the critic.

    Args:
        index: benchmarks' texts; what overlaps is left out and counted in the second result.
    """
    conversations: list[Conversation] = []
    for family, count in counts.items():
        draw = rng(seed, "critic", family)
        taskset = open_shown(family)
        # Twice as many, of which the held side falls out.
        drawn = taskset.tasks(2 * count, seed32(seed, "demonstrations", family), difficulty)
        own = [task for task in drawn if task.side == "train"]
        for task in own[:count]:
            conversations.append(demonstration(taskset, task))
            if "wrong" in task.payload:
                conversations.append(comparison(task, draw))
    conversations, dropped = clean(conversations, index or Index())
    return encode(tokenizer, conversations, longest)[0], dropped


def compare_open(
    tokenizer: K2Tokenizer, count: int, longest: int, seed: int, index: Index | None = None
) -> tuple[list[Example], int]:
    """So many comparisons about open prompts for the critic: a written answer beside a damaged one.

    Args:
        index: benchmarks' texts; what overlaps is left out and counted in the second result.
    """
    draw = rng(seed, "critic", "open")
    pairs = known_pairs(answered("train"), LEARNED, count, seed32(seed, "comparisons"))
    conversations, dropped = clean([compared(Comparison.of(pair), draw) for pair in pairs], index or Index())
    return encode(tokenizer, conversations, longest)[0], dropped
