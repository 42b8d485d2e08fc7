"""What every verifier says. An error in the verifier, a time-out and a wrong answer are three different results."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """scored: a verdict on an answer; no_answer: there was nothing to judge; the other two say nothing about it."""

    SCORED = "scored"
    NO_ANSWER = "no_answer"
    TIMEOUT = "timeout"
    VERIFIER_ERROR = "verifier_error"


@dataclass(frozen=True)
class Result:
    """`score` in [0, 1], or None when the status is neither `scored` nor `no_answer`; `reason` is one line."""

    score: float | None
    status: Status
    reason: str
