"""What every chat client takes and gives."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = Mapping[str, Any]


class ChatError(Exception):
    """A request that a client can't answer: impossible parameters, or a refusal that no retry can change."""


class BudgetExceeded(ChatError):
    """The budget of tokens or money is spent; what was answered before is in the cache."""


@dataclass(frozen=True)
class ChatRequest:
    """One completion, in the vocabulary of the OpenAI chat API.

    A last message of role `assistant` is a prefill: the answer continues it, and the response holds the continuation
    alone. `shared` says how many of the first messages stand in many requests of a batch; a client may read those
    once. It never changes the answer's identity.

    Attributes:
        messages: mappings with `role` and `content` (and `tool_calls`, `tool_call_id`, `name` where they belong).
        max_tokens: tokens of the answer.
        temperature: 0 is greedy.
        seed: the answer of a local client is a function of the request, this seed included.
        stop: strings at which the answer ends; they are not part of it.
        tools: JSON function specifications.
        response_schema: a JSON Schema that the answer's text must satisfy.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    response_schema: Mapping[str, Any] | None = None
    shared: int = field(default=0, compare=False)

    def identity(self) -> dict[str, Any]:
        """Everything that the answer depends on, as JSON values."""
        return {
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "seed": self.seed,
            "stop": list(self.stop),
            "tools": [dict(tool) for tool in self.tools],
            "response_schema": self.response_schema,
        }


@dataclass(frozen=True)
class ChatResponse:
    """An answer; `tool_calls` are in the OpenAI shape, `reasoning` is what a thinking model wrote before its text."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    cached: bool = field(default=False, compare=False)


OnResponse = Callable[[int, ChatResponse], None]


class ChatClient(Protocol):
    """Answers many requests at once."""

    @property
    def model(self) -> str:
        """The identity of the model: two clients with the same identity give interchangeable answers."""

    def complete(self, requests: Sequence[ChatRequest], on_response: OnResponse | None = None) -> list[ChatResponse]:
        """Answers in the order of the requests.

        Args:
            on_response: called with (place of the request, its answer) as soon as the answer is there, from the
                calling thread.

        Raises:
            ChatError: a request can't be answered.
        """


def request_key(model: str, request: ChatRequest) -> str:
    """sha256 of the canonical JSON of model, messages, parameters and seed."""
    value = {"model": model, **request.identity()}
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
