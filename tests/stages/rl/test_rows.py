"""Shared-prompt rows against one row a rollout."""

import pytest
import torch

from k2model.config import K2Config
from k2model.model import K2Model
from stages.rl.rollout import Rollout
from stages.rl.rows import group_rows

torch.set_num_threads(1)


def _rollout(prompt: list[int], *turns: list[int], result: list[int] | None = None) -> Rollout:
    rollout = Rollout("k", "parity", 0, 99)
    rollout.add(prompt)
    for number, turn in enumerate(turns):
        rollout.add(turn, [-float(token) for token in turn])
        if result and number < len(turns) - 1:
            rollout.add(result)
    return rollout


def test_losses_and_gradients_are_those_of_separate_rows() -> None:
    model = K2Model(K2Config.preset("smoke", vocab_size=64, max_position_embeddings=256), seed=1)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0) if p.ndim > 1 else None
    groups = [
        [
            _rollout([1, 2, 3, 4], [5, 6]),
            _rollout([1, 2, 3, 4], [7]),
            _rollout([1, 2, 3, 4], [8, 9], [10], result=[11]),
        ],
        [_rollout([20, 21], [22, 23, 24]), _rollout([20, 21], [25])],
    ]
    rows = group_rows(groups, 0)
    assert rows.tokens_BL.shape == (2, 3 + 2 + 1 + 4)
    out = model(
        rows.tokens_BL, rows.targets_BL, positions_BL=rows.positions_BL, segment_ids_BL=rows.segments_BL2,
        temperature=0.7,
    )  # fmt: skip
    logp_NA = rows.by_rollout(out.logp_BL)
    weight_N = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])
    (logp_NA.sum(-1) * weight_N).sum().backward()
    shared = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for n, rollout in enumerate(rollout for group in groups for rollout in group):
        ids, sampled = torch.tensor(rollout.tokens), torch.tensor(rollout.sampled)
        alone = model(ids[None, :-1], ids[None, 1:].masked_fill(~sampled[1:], -100), temperature=0.7)
        wanted = alone.logp_BL[0][sampled[1:]]
        torch.testing.assert_close(logp_NA[n][rows.mask_NA[n]], wanted)
        assert rows.old_logp_NA[n][rows.mask_NA[n]].tolist() == [-float(i) for i in ids[sampled]]
        (wanted.sum() * weight_N[n]).backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(shared[name], p.grad, rtol=1e-4, atol=1e-5)


def test_a_group_has_one_prompt() -> None:
    with pytest.raises(ValueError, match="different prompts"):
        group_rows([[_rollout([1, 2], [3]), _rollout([1, 4], [3])]], 0)
