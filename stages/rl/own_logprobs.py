"""The policy's own log-probabilities of what another engine sampled.

A server's numbers differ from the trainer's by its kernels and its precision; what it sampled is then a little off the
policy, and the objectives weigh it by a truncated importance ratio (`objectives/batch.py`).
"""

from collections.abc import Sequence

import torch

from k2model.model import K2Model
from k2model.training.process_group import to_device
from stages.rl.rows import group_rows
from stages.rl.update import Group


@torch.no_grad()
def own_logprobs(model: K2Model, groups: Sequence[Group], pad_id: int) -> list[list[list[float]]]:
    """Of each rollout of each group a value for each token, at the temperature that it was sampled at; 0 where the
    policy did not sample."""
    return [_of_group(model, group, pad_id) for group in groups]


def _of_group(model: K2Model, group: Group, pad_id: int) -> list[list[float]]:
    rows = to_device(group_rows([group.rollouts], pad_id), model.device)
    logp_BL, _ = model.log_probs(
        rows.tokens_BL,
        rows.targets_BL,
        positions_BL=rows.positions_BL,
        segment_ids_BL=rows.segments_BL2,
        temperature=group.temperature,
    )
    found = []
    for rollout, logp_A, mask_A in zip(group.rollouts, rows.by_rollout(logp_BL), rows.mask_NA, strict=True):
        sampled = iter(logp_A[mask_A].tolist())
        found.append([next(sampled) if own else 0.0 for own in rollout.sampled])
    return found
