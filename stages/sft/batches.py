"""The micro-batches of a step: rows of conversations and of plain text, each row with the weight of its targets.

Axes: B rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.posttraining.mixture import Row
from stages.posttraining.packing import Packed, pack

TEXT = "text"  # the kind of the rows of plain text


@dataclass(frozen=True)
class Weighted:
    """weight_B: of each target of a row; over all targets of a step the weights add up to 1."""

    packed: Packed
    weight_B: Tensor


def weighted(rows: Sequence[Row], micro_rows: int, length: int, pad: int) -> list[Weighted]:
    """Micro-batches of `micro_rows` rows.

    A row of text is all targets, one of conversations a fifth: text weighs as much as its share of the rows, and within
    both kinds every target counts alike, however they fall on micro-batches.
    """
    count, targets = Counter[bool](), Counter[bool]()
    for row in rows:
        count[row.kind == TEXT] += 1
        targets[row.kind == TEXT] += sum(example.targets for example in row.examples)
    each = {text: count[text] / len(rows) / targets[text] for text in count}
    micros = []
    for first in range(0, len(rows), micro_rows):
        part = rows[first : first + micro_rows]
        packed = pack([row.examples for row in part], length, pad)
        micros.append(Weighted(packed, torch.tensor([each[row.kind == TEXT] for row in part])))
    return micros
