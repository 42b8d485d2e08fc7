"""Prompt groups as rows for training: the prompt once, then each rollout as a branch that sees it.

K answers to one prompt differ only after it, so a row is the prompt without its last token, followed for each rollout
by that token and what came after. A branch sees the prompt and itself; the loss is the one of K separate rows.

Axes: B rows (groups), L positions of a row, N rollouts, A positions of a branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.rl.rollout import Rollout


@dataclass(frozen=True)
class GroupRows:
    """What the network takes, and where each rollout's tokens stand in it.

    segments_BL2: (own segment, shared prefix). targets_BL is −100 where the policy did not sample the target.
    place_NA: index into the flattened [B, L] of each branch position. mask_NA: sampled by the policy.
    old_logp_NA: log-probabilities at the start of the iteration, the policy's own where they are known.
    gap_NA: those less the sampler's.
    """

    tokens_BL: Tensor
    targets_BL: Tensor
    positions_BL: Tensor
    segments_BL2: Tensor
    place_NA: Tensor
    mask_NA: Tensor
    old_logp_NA: Tensor
    gap_NA: Tensor

    def by_rollout(self, value_BL: Tensor) -> Tensor:
        """Values per position as [N, A], 0 where the mask is False."""
        return value_BL.flatten()[self.place_NA] * self.mask_NA


def group_rows(groups: Sequence[Sequence[Rollout]], pad_id: int) -> GroupRows:
    """Rows of whole groups.

    Raises:
        ValueError: rollouts of a group that don't begin with the same prompt.
    """
    trunks = [_trunk(group) for group in groups]
    branches = [
        [len(rollout.tokens) - 1 - trunk for rollout in group] for group, trunk in zip(groups, trunks, strict=True)
    ]
    longest = max(trunk + sum(lengths) for trunk, lengths in zip(trunks, branches, strict=True))
    count, widest = sum(map(len, groups)), max(max(lengths) for lengths in branches)
    shape, wide = (len(groups), longest), (count, widest)
    tokens_BL, targets_BL = torch.full(shape, pad_id), torch.full(shape, -100)
    positions_BL, segments_BL2 = torch.zeros(shape, dtype=torch.long), torch.full((*shape, 2), -1)
    place_NA, mask_NA = torch.zeros(wide, dtype=torch.long), torch.zeros(wide, dtype=torch.bool)
    old_logp_NA, gap_NA = torch.zeros(wide), torch.zeros(wide)
    n = 0
    for b, (group, trunk) in enumerate(zip(groups, trunks, strict=True)):
        tokens_BL[b, :trunk] = torch.tensor(group[0].tokens[:trunk])
        positions_BL[b, :trunk] = torch.arange(trunk)
        segments_BL2[b, :trunk] = 0
        at = trunk
        for number, rollout in enumerate(group, start=1):
            length = len(rollout.tokens) - 1 - trunk
            here = slice(at, at + length)
            ids, sampled = torch.tensor(rollout.tokens[trunk:]), torch.tensor(rollout.sampled[trunk + 1 :])
            tokens_BL[b, here] = ids[:-1]
            targets_BL[b, here] = ids[1:].masked_fill(~sampled, -100)
            positions_BL[b, here] = torch.arange(trunk, trunk + length)
            segments_BL2[b, here] = torch.tensor([number, 0])
            place_NA[n, :length] = torch.arange(at, at + length) + b * longest
            mask_NA[n, :length] = sampled
            sampler_A = torch.tensor(rollout.logprobs[trunk + 1 :])
            old_logp_NA[n, :length] = torch.tensor(rollout.own[trunk + 1 :]) if rollout.own else sampler_A
            gap_NA[n, :length] = old_logp_NA[n, :length] - sampler_A
            at, n = at + length, n + 1
    return GroupRows(tokens_BL, targets_BL, positions_BL, segments_BL2, place_NA, mask_NA, old_logp_NA, gap_NA)


def _trunk(group: Sequence[Rollout]) -> int:
    """Tokens of the prompt but the last."""
    size = min(rollout.sampled.index(True) for rollout in group)
    if any(rollout.tokens[:size] != group[0].tokens[:size] for rollout in group):
        raise ValueError(f"rollouts of one group have different prompts: {group[0].key}")
    return size - 1
