"""What the engine is asked and what it answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Protocol

from torch import Tensor

from k2model.errors import ConfigError

RANGES: tuple[tuple[str, type, float, float], ...] = (
    ("max_tokens", Integral, 1, math.inf),
    ("seed", Integral, -math.inf, math.inf),
    ("temperature", Real, 0.0, 1e6),
    ("top_p", Real, 0.0, 1.0),
    ("top_k", Integral, 0, math.inf),
    ("min_p", Real, 0.0, 1.0),
    ("frequency_penalty", Real, -2.0, 2.0),
    ("presence_penalty", Real, -2.0, 2.0),
    ("top_logprobs", Integral, 0, math.inf),
)


class Constraint(Protocol):
    """A grammar that one request follows."""

    def allowed(self) -> Tensor:
        """Boolean [vocabulary]: tokens that may come next."""

    def accept(self, token: int) -> None:
        """Moves on by a token that was sampled."""

    def finished(self) -> bool:
        """True when nothing may follow."""

    def forced(self) -> bool:
        """True once the budget alone kept the model from going on: the turn is whole, and its end is `length`."""


@dataclass(frozen=True)
class Request:
    """Token ids in, token ids out.

    The stream of random numbers depends on `seed` alone, not on the rest of the batch. Steps in vLLM's order: logits,
    constraint, `logit_bias`, penalties on generated tokens, `temperature`, `min_p`, `top_k`, `top_p`.

    Args:
        temperature: 0, or too small for a division, is greedy.
        stop_ids: end the answer, which includes them.
        stop_strings: end the answer once one stands in it.
        markup: the answer is a turn of a chat, and stop strings apply to its content alone; without, to all of it.
        top_logprobs: so many alternatives of each generated token are given.
        frequency_penalty, presence_penalty: taken from the logit of a token that was generated, times its count, once.
        logit_bias: added to the logit of a token.
        top_k: so many of the most likely tokens are kept; 0 keeps all.
        min_p: tokens at least this fraction as likely as the most likely one are kept.
        prompt_logprobs: log-probabilities of the prompt's tokens too, each with so many alternatives; None for none.

    Raises:
        ConfigError: a value that can't be; the message names it.
    """

    prompt: Sequence[int]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop_ids: frozenset[int] = frozenset()
    stop_strings: tuple[str, ...] = ()
    markup: bool = True
    constraint: Constraint | None = None
    top_logprobs: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_k: int = 0
    min_p: float = 0.0
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        if not len(self.prompt):
            raise ConfigError("request: needs a prompt")
        for name, kind, low, high in RANGES:
            value = getattr(self, name)
            if not _within(value, kind, low, high):
                raise ConfigError(f"{name}: {value!r} is not {_words(kind, low, high)}")
        top = self.prompt_logprobs
        if top is not None and not _within(top, Integral, 0, math.inf):
            raise ConfigError(f"prompt_logprobs: {top!r} is not {_words(Integral, 0, math.inf)}")
        if self.top_p == 0:
            raise ConfigError("top_p: 0 keeps no token")
        if not all(isinstance(stop, str) and stop for stop in self.stop_strings):
            raise ConfigError(f"stop_strings: {list(self.stop_strings)} has one that is empty or no text")
        for token, bias in self.logit_bias.items():
            if not _within(bias, Real, -100, 100):
                raise ConfigError(f"logit_bias: {bias!r} of token {token!r} is not between -100 and 100")

    def check_tokens(self, vocab_size: int) -> None:
        """Raises ConfigError for a token outside the vocabulary."""
        for name, tokens in (("prompt", self.prompt), ("logit_bias", list(self.logit_bias))):
            wrong = next((t for t in tokens if not isinstance(t, Integral) or not 0 <= t < vocab_size), None)
            if wrong is not None:
                raise ConfigError(f"{name}: token {wrong!r} is outside the vocabulary of {vocab_size}")


def _within(value: Any, kind: type, low: float, high: float) -> bool:
    return isinstance(value, kind) and low <= value <= high  # type: ignore[operator]


def _words(kind: type, low: float, high: float) -> str:
    noun = "a whole number" if kind is Integral else "a number"
    if high < math.inf:
        return f"{noun} between {low} and {high}"
    return f"{noun} of at least {low}" if low > -math.inf else noun


@dataclass
class Generated:
    """`ids` include the stop token; `logprobs`, one per id, are of the tempered distribution before top-p, top-k and
    min-p.

    `top` has for each id the `top_logprobs` most likely (id, log-probability), none when the request asks for none.
    `prompt_logprobs` and `prompt_top` are of the prompt's tokens from the second on, by the model's own distribution
    (no bias, no penalty, temperature 1), when the request asks for them; the first token follows nothing.
    `cached_tokens` of the prompt were not read for this request: the cache had them, or an equal prompt was being read.
    """

    prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = "length"
    top: list[list[tuple[int, float]]] = field(default_factory=list)
    prompt_logprobs: list[float] = field(default_factory=list)
    prompt_top: list[list[tuple[int, float]]] = field(default_factory=list)
    cached_tokens: int = 0


class RequestFailed(RuntimeError):
    """One request failed, the engine goes on; `__cause__` says why, a ConfigError where the request is at fault."""

    def __init__(self, handle: int, cause: BaseException) -> None:
        super().__init__(str(cause) if isinstance(cause, ConfigError) else f"{type(cause).__name__}: {cause}")
        self.handle = handle
        self.__cause__ = cause
