"""The objectives against the written equations in float64, term by term, with autograd's gradients."""

import math

import pytest
import torch
from torch import Tensor

from stages.rl.objectives import grpo, k2, token_clip
from stages.rl.objectives.batch import PolicyBatch

LENGTHS = (3, 5, 2, 4, 1, 5)
GROUPS = (0, 0, 0, 1, 1, 1)
REWARDS = (1.0, 0.0, 0.5, 0.0, 1.0, 1.0)


def _batch(scale: float) -> tuple[PolicyBatch, Tensor]:
    generator = torch.Generator().manual_seed(7)
    logp_NL = -torch.rand(6, 5, generator=generator, dtype=torch.float64) - 0.1
    old_NL = logp_NL + scale * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    mask_NL = torch.arange(5)[None] < torch.tensor(LENGTHS)[:, None]
    logp_NL = (logp_NL * mask_NL).requires_grad_()
    rewards_N = torch.tensor(REWARDS, dtype=torch.float64)
    return PolicyBatch(logp_NL, old_NL * mask_NL, mask_NL, rewards_N, torch.tensor(GROUPS)), logp_NL


def _mean(group: int) -> float:
    own = [reward for reward, one in zip(REWARDS, GROUPS, strict=True) if one == group]
    return sum(own) / len(own)


def _gradient(loss: Tensor, logp_NL: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, logp_NL)
    return gradient


def test_k2_equals_the_equation() -> None:
    tau = 0.3
    batch, logp_NL = _batch(0.4)
    total = torch.zeros((), dtype=torch.float64)
    for n, length in enumerate(LENGTHS):
        ratio = sum((logp_NL[n, t] - batch.old_logp_NL[n, t] for t in range(length)), torch.zeros(()))
        total = total + (REWARDS[n] - _mean(GROUPS[n]) - tau * ratio) ** 2
    expected = total / 6
    found = k2.loss(batch, tau)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(_gradient(found, logp_NL), _gradient(expected, logp_NL), rtol=0, atol=1e-12)


def test_k2_on_policy_is_the_policy_gradient() -> None:
    tau = 0.7
    batch, logp_NL = _batch(0.0)
    gradient_NL = _gradient(k2.loss(batch, tau) / (2 * tau), logp_NL)
    centred_N = torch.tensor([r - _mean(g) for r, g in zip(REWARDS, GROUPS, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(gradient_NL, -centred_N[:, None] * batch.mask_NL / 6)


def test_token_clip_equals_the_equation_and_masks_by_log_ratio_alone() -> None:
    tau, alpha, beta = 0.2, -0.3, 0.25
    batch, logp_NL = _batch(0.4)
    total = torch.zeros((), dtype=torch.float64)
    outside: list[tuple[int, int]] = []
    for n, length in enumerate(LENGTHS):
        for t in range(length):
            log_ratio = logp_NL[n, t] - batch.old_logp_NL[n, t]
            if not alpha <= float(log_ratio.detach()) <= beta:
                outside.append((n, t))
                continue
            total = total + log_ratio.exp() * (REWARDS[n] - _mean(GROUPS[n])) - tau * log_ratio**2
    expected = -total / sum(LENGTHS)
    found = token_clip.loss(batch, tau, alpha, beta)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gradient_NL = _gradient(found, logp_NL)
    torch.testing.assert_close(gradient_NL, _gradient(expected, logp_NL), rtol=0, atol=1e-12)
    assert outside
    assert all(gradient_NL[place] == 0 for place in outside)


def test_grpo_equals_the_equation() -> None:
    epsilon = 0.2
    batch, logp_NL = _batch(0.4)
    total = torch.zeros((), dtype=torch.float64)
    for n, length in enumerate(LENGTHS):
        own = [r for r, g in zip(REWARDS, GROUPS, strict=True) if g == GROUPS[n]]
        std = math.sqrt(sum((r - _mean(GROUPS[n])) ** 2 for r in own) / len(own))
        advantage = (REWARDS[n] - _mean(GROUPS[n])) / (std + grpo.STD_EPS)
        for t in range(length):
            ratio = (logp_NL[n, t] - batch.old_logp_NL[n, t]).exp()
            clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
            total = total + torch.minimum(ratio * advantage, clipped * advantage) / length
    expected = -total / 6
    found = grpo.loss(batch, epsilon)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(_gradient(found, logp_NL), _gradient(expected, logp_NL), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["k2", "token_clip", "grpo"])
def test_equal_rewards_on_policy_teach_nothing(name: str) -> None:
    batch, logp_NL = _batch(0.0)
    even = PolicyBatch(
        batch.logp_NL, batch.old_logp_NL, batch.mask_NL, torch.ones(6, dtype=torch.float64), batch.group_N
    )
    loss = {
        "k2": lambda: k2.loss(even, 0.5),
        "token_clip": lambda: token_clip.loss(even, 0.5, -1.0, 1.0),
        "grpo": lambda: grpo.loss(even, 0.2),
    }[name]()
    assert float(_gradient(loss, logp_NL).abs().max()) == 0
