"""A request on its way through the engine."""

from collections import Counter
from dataclasses import dataclass, field

from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import TurnReader
from k2model.errors import ConfigError
from k2model.inference.prefixes import Awaited
from k2model.inference.request import Generated, Request


@dataclass
class Slot:
    """A request, what it waits for, and what it has so far."""

    handle: int
    request: Request
    prompt: tuple[int, ...]
    result: Generated
    awaited: Awaited | None = None  # a prefix
    length: int = 0  # cached positions; 0 while another row reads the prompt
    counts: Counter[int] = field(default_factory=Counter)  # of generated tokens
    reader: TurnReader | None = None  # looks for stop strings

    @classmethod
    def begin(cls, handle: int, request: Request, tokenizer: K2Tokenizer | None) -> "Slot":
        """Raises ConfigError for stop strings without a tokenizer."""
        slot = cls(handle, request, tuple(request.prompt), Generated(len(request.prompt)))
        if request.stop_strings:
            if tokenizer is None:
                raise ConfigError("request: stop strings need an engine with a tokenizer")
            slot.reader = TurnReader(tokenizer, markup=request.markup, stops=request.stop_strings)
        return slot

    @property
    def reusable(self) -> tuple[int, ...]:
        """The tokens of the prompt that are read.

        What was decoded is not among them: it is rounded otherwise than if it is read, and an answer would depend on
        whether it was. The next prompt that has it reads it, once.
        """
        return self.prompt[: self.length]

    def add(self, token: int, logprob: float) -> None:
        self.result.ids.append(token)
        self.result.logprobs.append(logprob)
        self.counts[token] += 1

    def stopped(self, token: int) -> bool:
        """True once a stop string stands in what was generated."""
        if self.reader is None:
            return False
        self.reader.feed([token])
        return self.reader.stopped
