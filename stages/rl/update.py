"""One optimizer step of RL: the objective over prompt groups, the PTX loss and the critic's loss in one sum.

Axes: N rollouts, A positions of one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from k2model.model import Output
from k2model.training.engine import TrainEngine
from stages.posttraining.packing import Example, Packed, pack, plan
from stages.rl.objectives import grpo, k2, token_clip
from stages.rl.objectives.batch import PolicyBatch
from stages.rl.params import ObjectiveParams
from stages.rl.rollout import Rollout
from stages.rl.rows import GroupRows, group_rows


@dataclass
class Group:
    """The rollouts of one prompt with their rewards; ready to be trained on."""

    rollouts: list[Rollout]
    rewards: list[float]
    temperature: float


@dataclass(frozen=True)
class Micro:
    """Whole groups as padded rows, and this micro-batch's part of the PTX and critic rows.

    The shares are of the step's sampled tokens and of its rollouts, times the number of micro-batches: they make the
    mean over micro-batches the mean over all.
    """

    rows: GroupRows
    reward_N: Tensor
    group_N: Tensor
    temperature: float
    token_share: float
    row_share: float
    ptx: Packed | None
    critic: Packed | None


@dataclass
class UpdateReport:
    """loss: of the step. mismatch: mean |train log-prob − sampler log-prob| before the first step changed anything."""

    loss: float
    mismatch: float
    log_ratio: float
    max_logit: float


def objective(o: ObjectiveParams) -> Callable[[PolicyBatch], Tensor]:
    """The loss by name; K2's is divided by 2τ, so that every objective has gradient −(r − r̄) ∇log π at the start."""
    if o.name == "k2":
        return lambda batch: k2.loss(batch, o.tau) / (2 * o.tau)
    if o.name == "token_clip":
        return lambda batch: token_clip.loss(batch, o.tau, o.alpha, o.beta)
    return lambda batch: grpo.loss(batch, o.epsilon)


def micro_batches(
    groups: Sequence[Group], count: int, pad_id: int, ptx: Sequence[Example], critic: Sequence[Example], row_length: int
) -> list[Micro]:
    """Splits groups into `count` micro-batches of nearly equally many; similar lengths stand together."""
    ordered = sorted(groups, key=lambda group: max(len(rollout.tokens) for rollout in group.rollouts))
    edges = [round(k * len(ordered) / count) for k in range(count + 1)]
    tokens = sum(rollout.spent for group in ordered for rollout in group.rollouts)
    rows = sum(len(group.rollouts) for group in ordered)
    batches = []
    for k in range(count):
        part = ordered[edges[k] : edges[k + 1]]
        rollouts = [rollout for group in part for rollout in group.rollouts]
        batches.append(
            Micro(
                group_rows([group.rollouts for group in part], pad_id),
                torch.tensor([reward for group in part for reward in group.rewards]),
                torch.tensor([number for number, group in enumerate(part) for _ in group.rollouts]),
                part[0].temperature,
                sum(rollout.spent for rollout in rollouts) * count / tokens,
                len(rollouts) * count / rows,
                # Of fewer examples some are taken twice: ranks that share weights must call the network equally often.
                _packed(ptx[k::count] or ptx[:1], row_length, pad_id),
                _packed(critic[k::count] or critic[:1], row_length, pad_id),
            )
        )
    return batches


def _packed(examples: Sequence[Example], row_length: int, pad_id: int) -> Packed | None:
    if not examples:
        return None
    rows = plan([example.inputs for example in examples], row_length, np.random.default_rng(0))
    longest = max(sum(examples[k].inputs for k in row) for row in rows)
    return pack([[examples[k] for k in row] for row in rows], longest, pad_id)


def update(
    engine: TrainEngine,
    groups: Sequence[Group],
    o: ObjectiveParams,
    *,
    micros: int,
    lr: float,
    pad_id: int,
    ptx: Sequence[Example],
    ptx_weight: float,
    critic: Sequence[Example],
    critic_weight: float,
    row_length: int,
) -> UpdateReport:
    """One step of MuonClip on `groups`.

    Raises:
        NotFiniteError: the loss or a gradient isn't finite.
    """
    loss_of = objective(o)
    gaps: list[float] = []
    ratios: list[float] = []

    def loss_fn(model: nn.Module, micro: Micro) -> tuple[Tensor, Output]:
        rows = micro.rows
        output = model(
            rows.tokens_BL,
            rows.targets_BL,
            positions_BL=rows.positions_BL,
            segment_ids_BL=rows.segments_BL2,
            temperature=micro.temperature,
        )
        logp_NA = rows.by_rollout(output.logp_BL)
        batch = PolicyBatch(
            logp_NA, rows.old_logp_NA, rows.mask_NA, micro.reward_N, micro.group_N, rows.gap_NA, o.importance_cap
        )
        difference = batch.log_ratio_NL.detach()[rows.mask_NA]
        gaps.append(float((difference + rows.gap_NA[rows.mask_NA]).abs().mean()))
        ratios.append(float(difference.mean()))
        loss = loss_of(batch) * (micro.token_share if o.name == "token_clip" else micro.row_share)
        for packed, weight in ((micro.ptx, ptx_weight), (micro.critic, critic_weight)):
            if packed is not None and weight > 0:
                extra = model(
                    packed.tokens_BL,
                    packed.targets_BL,
                    positions_BL=packed.positions_BL,
                    segment_ids_BL=packed.segments_BL,
                )
                loss = loss + weight * extra.loss
                output = Output(
                    None,
                    None,
                    torch.maximum(output.max_logit_LH, extra.max_logit_LH),
                    output.expert_load_LE + extra.expert_load_LE,
                )
        return loss, output

    loss = engine.accumulate(loss_fn, micro_batches(groups, micros, pad_id, ptx, critic, row_length))
    report = engine.apply(loss, lr=lr)
    gap, ratio = (np.concatenate(engine.gather(own)).mean() for own in (gaps, ratios))
    return UpdateReport(loss, float(gap), float(ratio), report.max_logit)
