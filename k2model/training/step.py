"""What a training step is made of and what it was like."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor, nn

from k2model.model import Output
from k2model.training.qk_clip import MaxLogit

Micro = TypeVar("Micro", contravariant=True)
MicroBatch_co = TypeVar("MicroBatch_co", covariant=True)


class LossFn(Protocol[Micro]):
    """Runs the model on one micro-batch: its mean loss, and the forward's output."""

    def __call__(self, model: nn.Module, micro: Micro, /) -> tuple[Tensor, Output]: ...


class Batches(Protocol[MicroBatch_co]):
    """The micro-batches of a step: a list, or what makes the one that is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> MicroBatch_co: ...


@dataclass(frozen=True)
class StepReport:
    """What one optimizer step was like.

    max_logit_LH: the largest logit of each head over the global batch, before the clip.
    load_LE: tokens per expert over the global batch.
    """

    loss: float
    grad_norm: float
    max_logit_LH: Tensor
    clipped_heads: int
    load_LE: Tensor

    @property
    def max_logit(self) -> float:
        return float(self.max_logit_LH.max())

    @property
    def load_cv(self) -> float:
        """Coefficient of variation of the expert load, the mean over layers; 0 is perfect balance."""
        if self.load_LE.numel() == 0:
            return 0.0
        return float((self.load_LE.std(dim=1, correction=0) / self.load_LE.mean(dim=1).clamp_min(1e-9)).mean())


@dataclass
class Accumulated:
    """Sums over the micro-batches of one step."""

    loss: Tensor
    logits: MaxLogit
    load_LE: Tensor | None = None
    count: int = 0
    grad_norm: float | None = None
