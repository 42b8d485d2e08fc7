"""The objectives against the written equations in float64, term by term, with autograd's gradients."""

import math
from dataclasses import replace

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
    groups_N, gap_NL = torch.tensor(GROUPS), torch.zeros(6, 5, dtype=torch.float64)
    return PolicyBatch(logp_NL, old_NL * mask_NL, mask_NL, rewards_N, groups_N, gap_NL), logp_NL


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
    even = replace(batch, reward_N=torch.ones(6, dtype=torch.float64))
    loss = {
        "k2": lambda: k2.loss(even, 0.5),
        "token_clip": lambda: token_clip.loss(even, 0.5, -1.0, 1.0),
        "grpo": lambda: grpo.loss(even, 0.2),
    }[name]()
    assert float(_gradient(loss, logp_NL).abs().max()) == 0


CAP = 1.3


def _mismatched(scale: float) -> tuple[PolicyBatch, PolicyBatch, Tensor]:
    """A batch, and the same sampled by another engine."""
    batch, logp_NL = _batch(scale)
    gap_NL = 0.5 * torch.randn(6, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64) * batch.mask_NL
    return batch, replace(batch, gap_NL=gap_NL, cap=CAP), logp_NL


def test_importance_ratios_are_truncated_by_token_and_by_sequence() -> None:
    _, batch, _ = _mismatched(0.0)
    for n, length in enumerate(LENGTHS):
        ratios = [math.exp(float(batch.gap_NL[n, t])) for t in range(length)]
        assert batch.sequence_weight_N()[n] == pytest.approx(min(math.prod(ratios), CAP), abs=1e-12)
        for t, ratio in enumerate(ratios):
            assert batch.token_weight_NL()[n, t] == pytest.approx(min(ratio, CAP), abs=1e-12)
    assert batch.token_weight_NL().max() == CAP


def test_with_importance_ratios_the_expected_gradient_is_the_policys() -> None:
    """Over the six answers of a small space, each as often as a sampler gives it that draws evenly."""
    generator = torch.Generator().manual_seed(3)
    logits_N = torch.randn(6, generator=generator, dtype=torch.float64).requires_grad_()
    reward_N = torch.randn(6, generator=generator, dtype=torch.float64)
    logp_N = logits_N.log_softmax(-1)
    (wanted_N,) = torch.autograd.grad(-(logp_N.exp() * reward_N).sum(), logits_N, retain_graph=True)
    old_N1, mask_N1 = logp_N.detach()[:, None], torch.ones(6, 1, dtype=torch.bool)
    group_N, gap_N1 = torch.zeros(6, dtype=torch.long), old_N1 - math.log(1 / 6)

    def gradient(cap: float) -> Tensor:
        batch = PolicyBatch(logp_N[:, None], old_N1, mask_N1, reward_N, group_N, gap_N1, cap)
        (found_N,) = torch.autograd.grad(k2.loss(batch, 0.1) / 0.2, logits_N, retain_graph=True)
        return found_N

    torch.testing.assert_close(gradient(1e9), wanted_N, rtol=0, atol=1e-12)
    assert (gradient(0.0) - wanted_N).norm() > 0.1 * wanted_N.norm()


@pytest.mark.parametrize("name", ["k2", "token_clip", "grpo"])
def test_a_cap_of_zero_and_a_gap_of_zero_change_nothing(name: str) -> None:
    plain, other, _ = _mismatched(0.4)
    loss = {"k2": lambda b: k2.loss(b, 0.3), "token_clip": lambda b: token_clip.loss(b, 0.2, -0.3, 0.25)}
    of = loss.get(name, lambda b: grpo.loss(b, 0.2))
    assert of(replace(other, cap=0.0)) == of(plain)
    assert of(replace(plain, cap=CAP)) == of(plain)
    assert of(other) != of(plain)
