"""One arm of the comparison: the same steps on the same text, with or without fake quantization."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from k2model.formats.checkpoint import save_checkpoint
from k2model.model import Output
from k2model.training.engine import TrainEngine
from k2model.training.token_shards import TokenBatch, TokenStream
from stages.posttraining.packing import Example, Packed, pack, plan
from stages.qat.params import QatParams

Step = Callable[[int, float], None]


@dataclass(frozen=True)
class QatArm:
    """What to train from, on what, and where its resumable state lives; `special` are ids of K2's special tokens."""

    name: str
    start: Path
    work: Path
    quantized: bool
    special: frozenset[int]

    @property
    def trained(self) -> Path:
        """The checkpoint after the last step."""
        return self.work / "trained"


def learning_rate(p: QatParams, step: int) -> float:
    """Linear warm-up, then linear to a tenth at the last step; `step` counts from 0."""
    if step < p.warmup_steps:
        return p.lr * (step + 1) / p.warmup_steps
    left = (p.steps - 1 - step) / max(1, p.steps - 1 - p.warmup_steps)
    return p.lr * (0.1 + 0.9 * left)


class MicroBatches:
    """What a step sees: micro-batches of the pre-training text, then of packed demonstrations; the same in every run.

    Raises:
        ValueError: a demonstration is longer than a sequence.
    """

    def __init__(
        self, p: QatParams, stream: TokenStream, demonstrations: Sequence[Example], seed: int, pad: int
    ) -> None:
        self.p, self.stream, self.demonstrations, self.pad = p, stream, demonstrations, pad
        lengths = [example.inputs for example in demonstrations]
        self.rows = plan(lengths, p.sequence_length, np.random.default_rng(seed)) if p.chat_micro_batches else []

    def of(self, step: int) -> Iterator[TokenBatch | Packed]:
        p = self.p
        rows, text = p.micro_batch_tokens // p.sequence_length, self.count - p.chat_micro_batches
        for k in range(text):
            yield self.stream.batch((step * text + k) * p.micro_batch_tokens, rows, p.sequence_length)
        for k in range(p.chat_micro_batches):
            first = (step * p.chat_micro_batches + k) * rows
            chosen = [self.rows[(first + row) % len(self.rows)] for row in range(rows)]
            yield pack([[self.demonstrations[i] for i in row] for row in chosen], p.sequence_length, self.pad)

    @property
    def count(self) -> int:
        return self.p.global_batch_tokens // self.p.micro_batch_tokens


def _loss(model: nn.Module, micro: TokenBatch | Packed) -> tuple[Tensor, Output]:
    positions_BL = micro.positions_BL if isinstance(micro, Packed) else None
    output = model(micro.tokens_BL, micro.targets_BL, positions_BL=positions_BL, segment_ids_BL=micro.segments_BL)
    assert output.loss is not None
    return output.loss, output


def train(arm: QatArm, p: QatParams, data: MicroBatches, done: Step, say: Callable[[str], None]) -> None:
    """Trains or resumes to the last step and writes the weights, not the quantized ones, to `arm.trained`.

    Args:
        done: called after each step with its number from 1 and its loss.

    Raises:
        ConfigError: a width that groups of 32 don't divide.
        CheckpointError: the start checkpoint is missing, incomplete or corrupted.
    """
    options = p.optimizer.options(arm.special)
    engine = TrainEngine(
        arm.start,
        options,
        micro_batches=data.count,
        layout=p.layout,
        fake_quant=arm.quantized,
        checkpoints=arm.work / "checkpoints",
    )
    first = int((engine.resume() or {"step": 0})["step"])
    for problem in engine.problems:
        say(f"{arm.name}: skipped a corrupted checkpoint: {problem}")
    if first:
        say(f"{arm.name}: resumed at step {first} of {p.steps}")
    for step in range(first, p.steps):
        loss = engine.accumulate(_loss, list(data.of(step)))
        engine.apply(loss, lr=learning_rate(p, step))
        done(step + 1, loss)
        if (step + 1) % p.checkpoint_every == 0 or step + 1 == p.steps:
            engine.save(step + 1, {"step": step + 1})
    engine.settle()
    if engine.leads:
        save_checkpoint(engine.model, arm.trained, dtype=engine.weight_dtype, tensors=engine.tensors())
    else:
        engine.attend()
