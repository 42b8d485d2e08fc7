"""One run of the experiment on pre-training: a network of one arm, trained from one seed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.results import Record, stamp
from k2model.config import K2Config
from k2model.model import K2Model, Output
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from k2model.training.token_shards import TokenBatch, TokenStream, read_index
from stages.harness.files import fingerprint, write_json
from stages.measure.loss import stream_loss
from stages.pretrain.guard import LossGuard

TOKENS = Path("data/tokens")
KEPT = Path("work/experiments/pretraining")
SIZE = "smoke"
LENGTH, ROWS = 64, 16
VALIDATION_ROWS = 256
CURVE_POINTS = 40


@dataclass(frozen=True)
class PretrainArm:
    """What one training run is made of; `width` multiplies the widths of the stream and of all feed-forward layers."""

    name: str
    optimizer: str = "muonclip"
    lr: float = 0.01
    tau: float = 100.0
    experts: int = 16
    heads: int = 2
    steps: int = 240
    width: int = 1


@dataclass
class PretrainRun:
    """One finished run.

    validation: nats per token at the end. losses, logits: per step. heads: largest logit per head, at some steps.
    clipped: share of heads that QK-Clip ever touched. spikes: losses above 6 robust deviations. stamp: see `results`.
    """

    validation: float
    losses: list[float]
    logits: list[float]
    heads: list[list[float]]
    clipped: float
    spikes: int
    stamp: Record = field(default_factory=dict)


def config_of(arm: PretrainArm) -> K2Config:
    index = read_index(TOKENS)
    narrow = K2Config.preset(SIZE)
    return K2Config.preset(
        SIZE,
        hidden_size=arm.width * narrow.hidden_size,
        intermediate_size=arm.width * narrow.intermediate_size,
        moe_intermediate_size=arm.width * narrow.moe_intermediate_size,
        vocab_size=int(index["vocab_size"]),
        bos_token_id=int(index["bos"]),
        eos_token_id=int(index["eos"]),
        pad_token_id=int(index["pad"]),
        n_routed_experts=arm.experts,
        num_attention_heads=arm.heads,
    )


def rate(arm: PretrainArm, step: int) -> float:
    """Warm-up, constant, linear decay over the last third."""
    warm, decay = max(1, arm.steps // 16), max(1, arm.steps // 3)
    if step < warm:
        return arm.lr * (step + 1) / warm
    return arm.lr * min(1.0, (arm.steps - step) / decay)


def batch_at(stream: TokenStream, step: int, rows: int) -> TokenBatch:
    """Rows from places spread over the whole split: neighbours in the stream are often one document."""
    apart = stream.epoch_tokens // rows
    parts = [stream.batch(row * apart + step * LENGTH, 1, LENGTH) for row in range(rows)]
    return TokenBatch(*(torch.cat([getattr(p, n) for p in parts]) for n in ("tokens_BL", "targets_BL", "segments_BL")))


def engine_of(arm: PretrainArm, model: K2Model) -> TrainEngine:
    """MuonClip at the arm's threshold, or AdamW with a gradient clip and without QK-Clip."""
    if arm.optimizer == "adamw":
        return TrainEngine(model, OptimizerOptions(matrices="adamw", clip_norm=1.0, tau=0.0), micro_batches=1)
    return TrainEngine(model, OptimizerOptions(tau=arm.tau), micro_batches=1)


def _loss(model: nn.Module, batch: TokenBatch) -> tuple[Tensor, Output]:
    output = model(batch.tokens_BL, batch.targets_BL, segment_ids_BL=batch.segments_BL)
    return output.loss, output


def train(arm: PretrainArm, seed: int) -> PretrainRun:
    """One run; the data and the initial weights follow from the seed alone."""
    code = stamp(SIZE)
    torch.manual_seed(seed)
    model = K2Model(config_of(arm), seed=seed)
    stream = TokenStream(TOKENS, "train", seed)
    engine = engine_of(arm, model)
    guard = LossGuard(32, 6.0)
    losses: list[float] = []
    heads: list[torch.Tensor] = []
    spikes = 0
    for step in range(arm.steps):
        losses.append(engine.accumulate(_loss, [batch_at(stream, step, ROWS)]))
        report = engine.apply(losses[-1], lr=rate(arm, step), bias_rate=0.001)
        heads.append(report.max_logit_LH.flatten())
        spikes += guard.problem(losses[-1], 1.0) is not None
        guard.accept(losses[-1])
    logit_SH = torch.stack(heads)
    clips = arm.optimizer != "adamw" and arm.tau > 0
    clipped = float((logit_SH > arm.tau).any(0).float().mean()) if clips else 0.0
    shown = logit_SH[:: max(1, arm.steps // CURVE_POINTS)]
    rounded = [[round(value, 2) for value in row] for row in shown.tolist()]
    validation = stream_loss(model, TokenStream(TOKENS, "validation", None), VALIDATION_ROWS, LENGTH)
    return PretrainRun(validation, losses, logit_SH.max(1).values.tolist(), rounded, clipped, spikes, code)


def kept(arm: PretrainArm, seed: int) -> PretrainRun:
    """`train`, or what an earlier start left."""
    settings = {k: v for k, v in asdict(arm).items() if k != "name"}
    key = fingerprint({"arm": settings, "seed": seed, "tokens": read_index(TOKENS), "rows": ROWS, "length": LENGTH})
    path = KEPT / f"{key}.json"
    if path.exists():
        return PretrainRun(**json.loads(path.read_text()))
    run = train(arm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(run))
    return run
