"""Loss on what was held out, in nats per token: of whole documents and of conversations' assistant turns alike.

Axes: B rows, L positions.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from k2model.training.token_shards import TokenStream
from stages.posttraining.packing import Example


def documents(texts: Sequence[str], tokenizer: K2Tokenizer, length: int, rng: np.random.Generator) -> Iterator[Example]:
    """Texts in a seeded shuffle, each [BOS] and up to `length` tokens, all of which count; empty ones are left out."""
    for index in rng.permutation(len(texts)):
        ids = tokenizer.encode(texts[index])[:length]
        if ids:
            yield Example([tokenizer.bos, *ids], [True] * (len(ids) + 1))


class Scored(Protocol):
    """`logp_BL`: the log-probability of each target, 0 where it is −100."""

    @property
    def logp_BL(self) -> Tensor | None: ...


class ScoresTargets(Protocol):
    """A K2 network, or the dense one that it was made of."""

    @property
    def device(self) -> torch.device: ...

    def __call__(self, tokens_BL: Tensor, targets_BL: Tensor, /) -> Scored: ...


@torch.no_grad()
def losses(model: ScoresTargets, examples: Sequence[Example], *, rows: int, pad: int) -> list[float]:
    """Nats per target of each example, in order; examples of similar length share a forward pass of `rows`.

    Raises:
        ValueError: an example without targets.
    """
    nats = [0.0] * len(examples)
    order = sorted(range(len(examples)), key=lambda k: examples[k].inputs)
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        shape = (len(part), max(examples[k].inputs for k in part))
        tokens_BL, targets_BL = torch.full(shape, pad), torch.full(shape, -100)
        for row, k in enumerate(part):
            if not examples[k].targets:
                raise ValueError(f"example {k} has no target to measure the loss on")
            ids = torch.tensor(examples[k].ids)
            tokens_BL[row, : len(ids) - 1] = ids[:-1]
            targets_BL[row, : len(ids) - 1] = ids[1:].masked_fill(~torch.tensor(examples[k].loss_mask[1:]), -100)
        logp_BL = model(tokens_BL.to(model.device), targets_BL.to(model.device)).logp_BL
        assert logp_BL is not None
        for row, k in enumerate(part):
            nats[k] = -float(logp_BL[row].sum()) / examples[k].targets
    return nats


def mean_loss(model: K2Model, examples: Sequence[Example], *, rows: int, pad: int) -> float:
    """Nats per target over all examples.

    Raises:
        ValueError: no example, or one without targets.
    """
    if not examples:
        raise ValueError("no example to measure the loss on")
    each = losses(model, examples, rows=rows, pad=pad)
    counts = [example.targets for example in examples]
    return sum(loss * n for loss, n in zip(each, counts, strict=True)) / sum(counts)


@torch.no_grad()
def stream_loss(model: K2Model, stream: TokenStream, rows: int, length: int) -> float:
    """Nats per token of `rows` pieces of `length` tokens, spread evenly over one epoch of the stream."""
    apart = stream.epoch_tokens // rows
    total = 0.0
    for row in range(rows):
        batch = stream.batch(row * apart, 1, length)
        total += float(model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL).loss)
    return total / rows
