"""Validation loss and bits per byte, over whole held-out documents."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from k2model.model import K2Model


@dataclass(frozen=True)
class ValidationScore:
    """`loss` in nats per token; `bits_per_byte` doesn't depend on the tokenizer."""

    loss: float
    bits_per_byte: float
    tokens: int
    documents: int


def _batches(documents: Sequence[Sequence[int]], rows: int, pad: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Right-padded (tokens_BL, targets_BL) of documents of similar length; padding has target −100."""
    order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
    for start in range(0, len(order), rows):
        chosen = [documents[i] for i in order[start : start + rows]]
        length = max(map(len, chosen)) - 1
        tokens_BL = torch.full((len(chosen), length), pad)
        targets_BL = torch.full((len(chosen), length), -100)
        for row, ids in enumerate(chosen):
            tokens_BL[row, : len(ids) - 1] = torch.tensor(ids[:-1])
            targets_BL[row, : len(ids) - 1] = torch.tensor(ids[1:])
        yield tokens_BL, targets_BL


@torch.no_grad()
def validation_score(
    model: K2Model, documents: Sequence[Sequence[int]], n_bytes: int, *, rows: int, pad: int
) -> ValidationScore:
    """Mean negative log-likelihood of `documents`, each a list of token ids that starts with a context token.

    Args:
        n_bytes: UTF-8 bytes of the text that the predicted tokens spell.
        rows: documents per forward pass.

    Raises:
        ValueError: no documents, or one of fewer than two tokens.
    """
    if not documents or min(map(len, documents)) < 2:
        raise ValueError("validation_score: every document needs at least two tokens")
    total, count = 0.0, 0
    for tokens_BL, targets_BL in _batches(documents, rows, pad):
        n = int((targets_BL != -100).sum())
        total += float(model(tokens_BL, targets_BL).loss) * n
        count += n
    return ValidationScore(total / count, total / math.log(2) / n_bytes, count, len(documents))
