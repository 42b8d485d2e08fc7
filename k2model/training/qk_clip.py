"""QK-Clip: keeps every head's largest attention logit at or below τ (Kimi K2 report, §2.1, Algorithm 1).

After the optimizer step, a head whose largest logit S_max (softmax scale included, over the whole global batch)
was above τ has its query and key weights rescaled with γ = τ / S_max: √γ on the head's own parts q^C and k^C,
γ on its rotary query q^R; the rotary key k^R is shared by all heads and stays as it is, and so do the values.

Axes: L layers, H heads.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from k2model.config import K2Config


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


def clip_factors(max_logit: Tensor, tau: float) -> Tensor:
    """γ per head, of any shape: τ / S_max where S_max is finite and above τ, exactly 1 everywhere else.

    A maximum ≤ 0 needs no clip, and an infinite or NaN one gives no usable factor: the loss guard deals with it.

    Raises:
        ValueError: tau is not positive.
    """
    if tau <= 0:
        raise ValueError(f"qk_clip tau must be above 0, got {tau}")
    over = (max_logit > tau) & torch.isfinite(max_logit)
    return torch.where(over, tau / torch.where(over, max_logit, torch.ones_like(max_logit)), 1.0)


def row_factors(gamma_H: Tensor, config: K2Config) -> tuple[Tensor, Tensor]:
    """What the rows of a layer's query and key-value up-projections are multiplied with.

    Returns:
        for `q_b_proj` (`q_proj` where queries aren't compressed), [H · (nope + rope)]; for `kv_b_proj`,
        [H · (nope + value)]. Rows of heads that need no clip, and of values, have exactly 1.
    """
    c, half_H1 = config, gamma_H.sqrt()[:, None]
    nope = half_H1.expand(-1, c.qk_nope_head_dim)
    query = torch.cat([nope, gamma_H[:, None].expand(-1, c.qk_rope_head_dim)], dim=1)
    key = torch.cat([nope, torch.ones_like(half_H1).expand(-1, c.v_head_dim)], dim=1)
    return query.flatten(), key.flatten()
