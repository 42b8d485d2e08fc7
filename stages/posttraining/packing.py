"""Packing of conversations into rows: no attention from one to another, loss on assistant tokens only.

Axes: B rows, L positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """One conversation: `ids`, and for each whether it is learned (the assistant wrote it)."""

    ids: Sequence[int]
    loss_mask: Sequence[bool]

    @property
    def inputs(self) -> int:
        """Positions that it takes in a row: every token but the last is an input."""
        return len(self.ids) - 1

    @property
    def targets(self) -> int:
        """Tokens that are learned; the first one is nobody's target."""
        return sum(self.loss_mask[1:])


@dataclass(frozen=True)
class Packed:
    """Rows of packed conversations; `targets` are −100 where nothing is learned, padding has segment −1."""

    tokens_BL: Tensor
    targets_BL: Tensor
    positions_BL: Tensor
    segments_BL: Tensor

    @property
    def target_count(self) -> int:
        return int((self.targets_BL != -100).sum())


def plan(lengths: Sequence[int], row_length: int, rng: np.random.Generator) -> list[list[int]]:
    """Rows of example numbers, first fit over a random order; a row holds at most `row_length` inputs.

    Raises:
        ValueError: an example is longer than a row.
    """
    rows: list[list[int]] = []
    space: list[int] = []
    for index in rng.permutation(len(lengths)).tolist():
        need = lengths[index]
        if need > row_length:
            raise ValueError(f"example {index} has {need} inputs, a row {row_length}")
        row = next((row for row, left in enumerate(space) if left >= need), None)
        if row is None:
            rows.append([index])
            space.append(row_length - need)
        else:
            rows[row].append(index)
            space[row] -= need
    return rows


def pack(rows: Sequence[Sequence[Example]], row_length: int, pad_id: int) -> Packed:
    """Tensors of the given rows; rotary positions start at 0 in each conversation."""
    shape = (len(rows), row_length)
    tokens_BL = torch.full(shape, pad_id)
    targets_BL = torch.full(shape, -100)
    positions_BL = torch.zeros(shape, dtype=torch.long)
    segments_BL = torch.full(shape, -1)
    for b, row in enumerate(rows):
        at = 0
        for number, example in enumerate(row):
            n = example.inputs
            here = slice(at, at + n)
            ids = torch.tensor(example.ids)
            learned = torch.tensor(example.loss_mask[1:])
            tokens_BL[b, here] = ids[:-1]
            targets_BL[b, here] = ids[1:].masked_fill(~learned, -100)
            positions_BL[b, here] = torch.arange(n)
            segments_BL[b, here] = number
            at += n
    return Packed(tokens_BL, targets_BL, positions_BL, segments_BL)
