"""What every objective sees.

Axes: N rollouts, L positions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PolicyBatch:
    """Rollouts of whole prompt groups.

    logp_NL: log π_θ of each sampled token, with gradient; 0 where `mask_NL` is False.
    old_logp_NL: log π_old of the same tokens, from the start of the iteration.
    mask_NL: tokens that the policy sampled and that count.
    reward_N: total reward of each rollout.
    group_N: the prompt that each rollout answers, as an integer; K rollouts share one.
    gap_NL: log π_old less the sampler's log-probability, where another engine sampled: log of the importance ratio.
    cap: at which importance ratios are truncated; 0: they count as one.
    """

    logp_NL: Tensor
    old_logp_NL: Tensor
    mask_NL: Tensor
    reward_N: Tensor
    group_N: Tensor
    gap_NL: Tensor
    cap: float = 0.0

    @property
    def log_ratio_NL(self) -> Tensor:
        """log π_θ − log π_old per token, 0 outside the mask."""
        return (self.logp_NL - self.old_logp_NL) * self.mask_NL

    def token_weight_NL(self) -> Tensor:
        """min(π_old / sampler, cap) of each token (truncated importance sampling, Yao et al. 2025)."""
        return self.gap_NL.exp().clamp(max=self.cap) if self.cap > 0 else torch.ones_like(self.gap_NL)

    def sequence_weight_N(self) -> Tensor:
        """The same for whole rollouts, whose ratio is the product over their tokens."""
        total_N = (self.gap_NL * self.mask_NL).sum(-1)
        return total_N.exp().clamp(max=self.cap) if self.cap > 0 else torch.ones_like(total_N)

    def centred_reward_N(self) -> Tensor:
        """r − r̄, the mean over the rollouts of the same prompt."""
        return self.reward_N - self._group_mean(self.reward_N)

    def normalised_reward_N(self, eps: float) -> Tensor:
        """(r − r̄) / (std + eps) within a prompt's rollouts."""
        centred_N = self.centred_reward_N()
        return centred_N / (self._group_mean(centred_N.square()).sqrt() + eps)

    def _group_mean(self, value_N: Tensor) -> Tensor:
        _, place_N = torch.unique(self.group_N, return_inverse=True)
        groups = int(place_N.max()) + 1
        total_G = value_N.new_zeros(groups).index_add(0, place_N, value_N)
        count_G = value_N.new_zeros(groups).index_add(0, place_N, torch.ones_like(value_N))
        return (total_G / count_G)[place_N]
