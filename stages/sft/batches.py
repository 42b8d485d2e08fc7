"""A step: rows of conversations and of plain text as micro-batches, each row with the weight of its targets.

Axes: B rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from k2model.model import Output
from k2model.training.engine import TrainEngine
from stages.posttraining.mixture import Mixture, Row
from stages.posttraining.packing import Packed, pack
from stages.sft.params import SftParams

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


def learning_rate(p: SftParams, step: int) -> float:
    """Linear warm-up, then linear to zero."""
    if step < p.warmup_steps:
        return p.lr * (step + 1) / p.warmup_steps
    return p.lr * (p.steps - step) / max(1, p.steps - p.warmup_steps)


def train_step(engine: TrainEngine, mixture: Mixture, p: SftParams, step: int, pad: int) -> float:
    """One optimizer step on the rows of this number; its loss."""
    rows = [mixture.row(step * p.rows_per_step + k) for k in range(p.rows_per_step)]
    micros = weighted(rows, p.micro_rows, p.sequence_length, pad)

    def loss_fn(model: nn.Module, micro: Weighted) -> tuple[Tensor, Output]:
        packed, weight_B = micro.packed, micro.weight_B
        output = model(
            packed.tokens_BL, packed.targets_BL, positions_BL=packed.positions_BL, segment_ids_BL=packed.segments_BL
        )
        return -(output.logp_BL.sum(1) * weight_B).sum() * len(micros), output

    loss = engine.accumulate(loss_fn, micros)
    engine.apply(loss, lr=learning_rate(p, step))
    return loss
