"""Which rank owns which part of the optimizer's state, and how the others get what it computed.

Every matrix (each expert is its own) is a *unit* that one rank owns; AdamW's tensors are cut into equal flat ranges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch.distributed as dist
from torch import Tensor

Kind = Literal["muon", "adamw"]

GATHER_ELEMENTS = 2**25


@dataclass(frozen=True)
class Unit:
    """A flat range of one parameter that one rank owns; a Muon unit is exactly one matrix."""

    name: str
    lo: int
    hi: int
    rows: int = 0
    cols: int = 0

    @property
    def numel(self) -> int:
        return self.hi - self.lo

    @property
    def shape(self) -> tuple[int, int]:
        """Short side, long side."""
        return min(self.rows, self.cols), max(self.rows, self.cols)

    @property
    def cost(self) -> int:
        """FLOPs of Newton–Schulz, up to a constant."""
        m, n = self.shape
        return m * m * (2 * n + m)


def split_units(name: str, param: Tensor, kind: Kind, ranks: int) -> list[Unit]:
    """Cuts one parameter into units: its matrices (Muon), or at most `ranks` flat ranges (AdamW)."""
    if kind == "adamw":
        edges = [param.numel() * k // ranks for k in range(ranks + 1)]
        return [Unit(name, lo, hi) for lo, hi in zip(edges[:-1], edges[1:], strict=True)]
    rows, cols = param.shape[-2:]
    size = rows * cols
    return [Unit(name, lo, lo + size, rows, cols) for lo in range(0, param.numel(), size)]


def assign_owners(units: Sequence[Unit], ranks: int) -> list[list[Unit]]:
    """Spreads Muon units over ranks, the most expensive first to the rank with the least work (ties: lowest rank)."""
    load = [0] * ranks
    owned: list[list[Unit]] = [[] for _ in range(ranks)]
    for unit in sorted(units, key=lambda unit: (-unit.cost, unit.name, unit.lo)):
        rank = load.index(min(load))
        owned[rank].append(unit)
        load[rank] += unit.cost
    return owned


class Gather:
    """Hands every rank the new weights of the units that others own, in rounds of bounded size."""

    def __init__(self, owned: list[list[Unit]], group: dist.ProcessGroup | None) -> None:
        self.group, self.ranks = group, len(owned)
        self.rounds: list[list[list[Unit]]] = []
        queues = [list(reversed(units)) for units in owned]
        while any(queues):
            self.rounds.append([self._take(queue) for queue in queues])

    @staticmethod
    def _take(queue: list[Unit]) -> list[Unit]:
        taken: list[Unit] = []
        size = 0
        while queue and (not taken or size + queue[-1].numel <= GATHER_ELEMENTS):
            taken.append(queue.pop())
            size += taken[-1].numel
        return taken

    def __call__(self, flat: Mapping[str, Tensor]) -> None:
        me = dist.get_rank(self.group)
        some = next(iter(flat.values()))
        for units in self.rounds:
            width = max(sum(unit.numel for unit in part) for part in units)
            mine = some.new_zeros(width)
            at = 0
            for unit in units[me]:
                mine[at : at + unit.numel] = flat[unit.name][unit.lo : unit.hi]
                at += unit.numel
            everyone = some.new_empty(self.ranks * width)
            dist.all_gather_single(everyone, mine, group=self.group)
            for rank, part in enumerate(units):
                at = rank * width
                for unit in part:
                    if rank != me:
                        flat[unit.name][unit.lo : unit.hi] = everyone[at : at + unit.numel]
                    at += unit.numel
