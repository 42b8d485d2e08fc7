"""One arm of the comparison: the same steps on the same text, with or without fake quantization."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from k2model.data import Batch, TokenStream
from k2model.engine import OptimizerOptions
from k2model.model import K2Model, Output
from k2model.quant import set_fake_quant
from stages.finetune import FineTune
from stages.qat.params import QatParams

Step = Callable[[int, float], None]


@dataclass(frozen=True)
class Arm:
    """What to train from, on what, and where its resumable state lives."""

    name: str
    start: Path
    work: Path
    quantized: bool


def learning_rate(p: QatParams, step: int) -> float:
    """Linear warm-up, then linear to a tenth at the last step; `step` counts from 0."""
    if step < p.warmup_steps:
        return p.lr * (step + 1) / p.warmup_steps
    left = (p.steps - 1 - step) / max(1, p.steps - 1 - p.warmup_steps)
    return p.lr * (0.1 + 0.9 * left)


def _loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Output]:
    device = next(model.parameters()).device
    tokens, targets, segments = (t.to(device) for t in (batch.tokens_BL, batch.targets_BL, batch.segments_BL))
    output = model(tokens, targets, segment_ids_BL=segments)
    assert output.loss is not None
    return output.loss, output


def train(arm: Arm, p: QatParams, stream: TokenStream, done: Step, say: Callable[[str], None]) -> K2Model:
    """Trains or resumes to the last step; the model's weights are the trained ones, not the quantized ones.

    Args:
        done: called after each step with its number from 1 and its loss.

    Raises:
        ConfigError: a width that groups of 32 don't divide.
        CheckpointError: the start checkpoint is missing, incomplete or corrupted.
    """
    options = OptimizerOptions(weight_decay=p.weight_decay)
    micro_batches = p.global_batch_tokens // p.micro_batch_tokens
    tune = FineTune(arm.start, arm.work, options, micro_batches=micro_batches, compute=p.compute)
    if arm.quantized:
        set_fake_quant(tune.model, True)
    first = int((tune.resume() or {"step": 0})["step"])
    for problem in tune.problems:
        say(f"{arm.name}: skipped a corrupted checkpoint: {problem}")
    if first:
        say(f"{arm.name}: resumed at step {first} of {p.steps}")
    rows = p.micro_batch_tokens // p.sequence_length
    for step in range(first, p.steps):
        place = step * p.global_batch_tokens
        batches = (
            stream.batch(place + k * p.micro_batch_tokens, rows, p.sequence_length) for k in range(micro_batches)
        )
        loss = tune.engine.accumulate(_loss, batches)
        tune.engine.apply(loss, lr=learning_rate(p, step), bias_rate=0.0)
        done(step + 1, loss)
        if (step + 1) % p.checkpoint_every == 0 or step + 1 == p.steps:
            tune.save(step + 1, {"step": step + 1})
    tune.close()
    set_fake_quant(tune.model, False)
    return tune.model
