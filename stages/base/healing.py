"""Healing of a converted network: it learns from the dense one what the conversion couldn't keep.

Each attention layer learns by itself, on the dense network's own inputs and outputs of that layer, which needs neither
the head nor a backward pass through the network.

Axes: B rows, L positions, C hidden width, D head width, H query heads, G key heads, F neurons.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from k2model.formats.dense import DenseModel
from k2model.model import K2Model, Layer

BETAS = (0.9, 0.95)
WARMUP = 4
Report = Callable[[int, str], None]


def _rate(lr: float, step: int, steps: int) -> float:
    """Linear warm-up, then linear to zero."""
    return lr * min(1.0, (step + 1) / WARMUP) * (1 - step / steps)


class _Layers:
    """Trains each attention layer while the dense network runs."""

    def __init__(self, model: K2Model, tokens_BL: Tensor) -> None:
        self.model = model
        positions_BL = torch.arange(tokens_BL.shape[1]).expand_as(tokens_BL)
        self.cos_BLR, self.sin_BLR = model.rope(positions_BL)
        self.losses: list[float] = []

    def attention(
        self, layer: int, x_BLC: Tensor, normed_BLC: Tensor, q_BLHD: Tensor, k_BLGD: Tensor, attended_BLC: Tensor
    ) -> None:
        block = self.model.model.layers[layer]
        assert isinstance(block, Layer)
        with torch.enable_grad():
            out_BLC, _ = block.self_attn(normed_BLC, self.cos_BLR, self.sin_BLR, None)
            # What comes after sees the stream divided by its size, which differs a thousandfold between positions.
            size_BL = x_BLC.square().mean(-1) + attended_BLC.square().mean(-1)
            missed_BL, whole_BL = (
                (part.square().mean(-1) / size_BL) for part in (out_BLC - attended_BLC, attended_BLC)
            )
            loss = missed_BL.mean() / whole_BL.mean()
            loss.backward()
        self.losses.append(loss.item())

    def feed_forward(self, layer: int, normed_BLC: Tensor, inner_BLF: Tensor) -> None: ...


def heal(dense: DenseModel, model: K2Model, batches: Sequence[Tensor], lr: float, report: Report) -> None:
    """Each attention layer towards the dense one's output; the loss is the share of its variance that is missed."""
    if not batches:
        return
    params = [param for layer in model.model.layers for param in layer.self_attn.parameters()]
    optimizer = torch.optim.Adam(params, lr=lr, betas=BETAS, fused=True)
    for step, tokens_BL in enumerate(batches):
        layers = _Layers(model, tokens_BL)
        dense.hidden(tokens_BL, layers)
        optimizer.param_groups[0]["lr"] = _rate(lr, step, len(batches))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        report(tokens_BL.numel(), f"layers miss {sum(layers.losses) / len(layers.losses):.4f}")
