"""GRPO, the baseline: a clipped ratio with rewards normalised within the group (Shao et al. 2024, eq. 3, β = 0)."""

import torch
from torch import Tensor

from stages.rl.objectives.batch import PolicyBatch

STD_EPS = 1e-4


def loss(batch: PolicyBatch, epsilon: float) -> Tensor:
    """Mean over tokens of each rollout, then over rollouts."""
    ratio_NL = batch.log_ratio_NL.exp()
    advantage_N1 = batch.normalised_reward_N(STD_EPS)[:, None]
    gain_NL = torch.minimum(ratio_NL * advantage_N1, ratio_NL.clamp(1 - epsilon, 1 + epsilon) * advantage_N1)
    per_rollout_N = (batch.token_weight_NL() * gain_NL * batch.mask_NL).sum(-1) / batch.mask_NL.sum(-1).clamp_min(1)
    return -per_rollout_N.mean()
