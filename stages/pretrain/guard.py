"""Notices a loss that became NaN or jumped: a robust z-score over the last accepted losses."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

MAD_TO_SIGMA = 1.4826
MIN_SIGMA = 1e-3
MIN_LOSSES = 8


@dataclass(frozen=True)
class LossProblem:
    """What is wrong with a step. A spike may be trained on, a loss or gradient that isn't finite never.

    words: for the user.
    """

    kind: Literal["not finite", "spike"]
    words: str


class LossGuard:
    """Judges each loss against the median and the median absolute deviation of the window before it.

    Args:
        window: how many accepted losses are remembered; judging starts after eight.
        z: how many robust deviations above the median are a spike. Falling is never a spike.
    """

    def __init__(self, window: int, z: float, losses: Iterable[float] = ()) -> None:
        self.z = z
        self.losses: deque[float] = deque(losses, maxlen=window)

    def problem(self, loss: float, grad_norm: float) -> LossProblem | None:
        """What is wrong with this step; None when nothing is."""
        if not math.isfinite(loss):
            return LossProblem("not finite", f"loss is {loss}")
        if not math.isfinite(grad_norm):
            return LossProblem("not finite", f"gradient norm is {grad_norm}")
        score = self.score(loss)
        if score > self.z:
            above = f"{score:.1f} robust deviations above the median of the last {len(self.losses)}"
            return LossProblem("spike", f"loss {loss:.4f} is {above}")
        return None

    def score(self, loss: float) -> float:
        """Robust z-score; 0 while there are too few losses."""
        if len(self.losses) < MIN_LOSSES:
            return 0.0
        median = _median(self.losses)
        sigma = MAD_TO_SIGMA * _median([abs(value - median) for value in self.losses])
        # Early in training the loss falls fast and the deviation with it is wide; a flat curve has almost none.
        return (loss - median) / max(sigma, MIN_SIGMA, 0.005 * abs(median))

    def accept(self, loss: float) -> None:
        self.losses.append(loss)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
