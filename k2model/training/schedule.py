"""The phases of pre-training and the learning rate of every step.

Kimi K2 report, §2.5: warm-up, a long constant stretch, a cosine to a tenth (WSD), then annealing at a still lower
rate and long-context activation at a longer sequence with YaRN. Each phase is one `Phase`; the global batch in
tokens is the same in all of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from k2model.errors import ConfigError


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    Attributes:
        name: for logs and errors.
        steps: optimizer steps.
        sequence_length: tokens per sequence.
        lr_start, lr_end: learning rate at the phase's start and end.
        warmup_steps: linear from 0 to `lr_start` over these first steps.
        decay_steps: cosine from `lr_start` to `lr_end` over these last steps; constant in between.
        bias_rate: update rate of the routers' correction bias.
        yarn_factor: context extension over the model's own; 1 leaves the rotary embedding alone.
    """

    name: str
    steps: int
    sequence_length: int
    lr_start: float
    lr_end: float
    warmup_steps: int = 0
    decay_steps: int = 0
    bias_rate: float = 0.0
    yarn_factor: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.warmup_steps < 0 or self.decay_steps < 0:
            raise ConfigError(f"{self.name}: steps, warmup_steps and decay_steps can't be negative")
        if self.warmup_steps + self.decay_steps > self.steps:
            raise ConfigError(
                f"{self.name}: warmup_steps {self.warmup_steps} + decay_steps {self.decay_steps} "
                f"exceed its {self.steps} steps"
            )

    def lr(self, step: int) -> float:
        """The rate of the phase's step number `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.lr_start * (step + 1) / self.warmup_steps
        into_decay = step + 1 - (self.steps - self.decay_steps)
        if into_decay <= 0 or self.decay_steps == 0:
            return self.lr_start
        fraction = into_decay / self.decay_steps
        return self.lr_end + 0.5 * (self.lr_start - self.lr_end) * (1 + math.cos(math.pi * fraction))


@dataclass(frozen=True)
class At:
    """Where a global step lies: its phase, the step within it, and its learning rate."""

    phase: Phase
    index: int
    step: int
    lr: float


class Schedule:
    """Phases one after the other; phases without steps are left out.

    Raises:
        ConfigError: no phase has steps; a phase's sequence length doesn't divide the global batch.
    """

    def __init__(self, phases: Sequence[Phase], global_batch_tokens: int) -> None:
        self.phases = [phase for phase in phases if phase.steps > 0]
        if not self.phases:
            raise ConfigError("the schedule has no steps")
        for phase in self.phases:
            if global_batch_tokens % phase.sequence_length:
                raise ConfigError(
                    f"{phase.name}: sequence_length {phase.sequence_length} doesn't divide "
                    f"global_batch_tokens {global_batch_tokens}"
                )
        self.global_batch_tokens = global_batch_tokens
        self.steps = sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> At:
        """The phase and rate of the global step `step`, counted from 0.

        Raises:
            IndexError: the step is outside the schedule.
        """
        left = step
        for index, phase in enumerate(self.phases):
            if 0 <= left < phase.steps:
                return At(phase, index, left, phase.lr(left))
            left -= phase.steps
        raise IndexError(f"step {step} of a schedule of {self.steps}")
