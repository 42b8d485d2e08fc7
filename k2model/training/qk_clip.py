"""QK-Clip: keeps every head's largest attention logit at or below τ (Kimi K2 report, §2.1, Algorithm 1).

After the optimizer step, a head whose largest logit S_max (softmax scale included, over the whole global batch)
was above τ has its query and key weights rescaled with γ = τ / S_max: √γ on the head's own parts q^C and k^C,
γ on its rotary query q^R; the rotary key k^R is shared by all heads and stays as it is, and so do the values.

Axes: layers, H heads, D per-head rows, R latent rank.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class AttentionWeights:
    """The up-projections of one MLA layer.

    `q_b` (`q_proj` where queries aren't compressed) is [H·(nope + rope), R_q], `kv_b` is
    [H·(nope + value), R_kv]. Each is given as every copy that has to be rescaled: the float32 master and, where there
    is one, the working copy in another type.
    """

    q_b: Sequence[Tensor]
    kv_b: Sequence[Tensor]
    heads: int
    nope: int
    rope: int


class MaxLogit:
    """The largest logit per layer and head, over micro-batches and then over ranks."""

    def __init__(self, layers: int, heads: int, device: torch.device | str = "cpu") -> None:
        self.max_LH = torch.full((layers, heads), -torch.inf, device=device)

    def update(self, max_logit_LH: Tensor) -> None:
        """Takes in one micro-batch. A NaN stays visible."""
        self.max_LH = torch.maximum(self.max_LH, max_logit_LH.detach().to(self.max_LH))

    def reduce(self, group: dist.ProcessGroup | None = None) -> Tensor:
        """The maximum over all ranks of `group`, then starts afresh; every rank gets the same tensor."""
        result = self.max_LH
        if dist.is_initialized() and dist.get_world_size(group) > 1:
            dist.all_reduce(result, dist.ReduceOp.MAX, group=group)
        self.max_LH = torch.full_like(result, -torch.inf)
        return result


def clip_factors(max_logit_H: Tensor, tau: float) -> Tensor:
    """γ per head: τ / S_max where S_max is finite and above τ, exactly 1 everywhere else.

    A maximum ≤ 0 needs no clip, and an infinite or NaN one gives no usable factor: the loss guard deals with it.
    """
    over = (max_logit_H > tau) & torch.isfinite(max_logit_H)
    return torch.where(over, tau / torch.where(over, max_logit_H, torch.ones_like(max_logit_H)), 1.0)


@torch.no_grad()
def qk_clip_(layers: Iterable[AttentionWeights], max_logit_LH: Tensor, tau: float) -> int:
    """Rescales the weights in place; heads at or below τ keep their bits.

    Args:
        layers: one entry per row of `max_logit_LH`.
        max_logit_LH: [layers, H], already reduced over micro-batches and ranks.
        tau: the threshold, above 0.

    Returns:
        How many heads were clipped.

    Raises:
        ValueError: tau is not positive, or the number of layers or heads differs.
    """
    layers = list(layers)
    if tau <= 0:
        raise ValueError(f"qk_clip tau must be above 0, got {tau}")
    if len(layers) != max_logit_LH.size(0):
        raise ValueError(f"{len(layers)} attention layers, but maxima for {max_logit_LH.size(0)}")
    gamma_LH = clip_factors(max_logit_LH.float(), tau)
    clipped = gamma_LH < 1
    if not bool(clipped.any()):
        return 0
    for layer, gamma_H, clipped_H in zip(layers, gamma_LH, clipped, strict=True):
        if gamma_H.numel() != layer.heads:
            raise ValueError(f"maxima for {gamma_H.numel()} heads, the layer has {layer.heads}")
        heads = clipped_H.nonzero().squeeze(1)
        if heads.numel():
            _rescale_(layer, heads, gamma_H[heads])
    return int(clipped.sum())


def _rescale_(layer: AttentionWeights, heads: Tensor, gamma: Tensor) -> None:
    half = gamma.sqrt()
    for q_b in layer.q_b:
        q_HDR = q_b.view(layer.heads, layer.nope + layer.rope, -1)
        scale = torch.cat([half[:, None].expand(-1, layer.nope), gamma[:, None].expand(-1, layer.rope)], dim=1)
        q_HDR[heads] = (q_HDR[heads].float() * scale[:, :, None].to(q_HDR.device)).to(q_HDR.dtype)
    for kv_b in layer.kv_b:
        kv_HDR = kv_b.view(layer.heads, kv_b.size(0) // layer.heads, -1)
        keys = kv_HDR[heads, : layer.nope].float() * half[:, None, None].to(kv_HDR.device)
        kv_HDR[heads, : layer.nope] = keys.to(kv_HDR.dtype)
