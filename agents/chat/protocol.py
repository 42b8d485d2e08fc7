"""What every chat client takes and gives."""

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from k2model.chat.model_json import well_formed

Message = Mapping[str, Any]


class ChatError(Exception):
    """What concerns every request: no such model, a wrong key, no connection, parameters that a client can't take."""


class BudgetExceeded(ChatError):
    """The budget of tokens or money is spent; what was answered before is in the cache."""


@dataclass(frozen=True)
class ChatRequest:
    """One completion, in the vocabulary of the OpenAI chat API.

    A last message of role `assistant` is a prefill: the answer continues it, and the response holds the continuation
    alone. `shared` says how many of the first messages stand in many requests of a batch; a client may read those
    once. It never changes the answer's identity. Half surrogate pairs in messages and tools become U+FFFD.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(well_formed(message) for message in self.messages))
        object.__setattr__(self, "tools", tuple(well_formed(tool) for tool in self.tools))

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


@dataclass(frozen=True)
class ChatRefusal:
    """Why this one request has no answer, in one line without secrets; the others go on.

    Attributes:
        kind: `refused` by a filter, or for what it holds: asked again it would be refused again; `too_long`: with its
            answer it exceeds the context; `failed`: no try came to an answer, a later run asks again.
    """

    kind: Literal["refused", "too_long", "failed"]
    reason: str
    cached: bool = field(default=False, compare=False)


ChatAnswer: TypeAlias = ChatResponse | ChatRefusal
OnAnswer = Callable[[int, ChatAnswer], None]
Dialog = Generator[ChatRequest, ChatAnswer, None]  # yields what it asks next; ends when it asks no more


class ChatClient(Protocol):
    """Answers many requests at once."""

    @property
    def model(self) -> str:
        """The identity of the model: two clients with the same identity give interchangeable answers."""

    def fits(self, request: ChatRequest) -> bool:
        """Whether a request with its answer fits the context, as far as the client knows it."""

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        """Answers in the order of the requests.

        Args:
            on_answer: called with (index of the request, its answer) as soon as the answer is there, from the
                calling thread.

        Raises:
            ChatError: no request can be answered.
        """

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        """Leads dialogs to their ends, each at its own pace, as many at once as the client answers requests at once.

        Dialogs are taken and led in the calling thread.

        Raises:
            ChatError: no request can be answered; dialogs under way are closed.
        """


class Answers:
    """The answers of one `complete`, each handed on as it comes."""

    def __init__(self, on_answer: OnAnswer | None) -> None:
        self._on_answer = on_answer
        self._by_index: dict[int, ChatAnswer] = {}

    def __len__(self) -> int:
        return len(self._by_index)

    def give(self, index: int, answer: ChatAnswer) -> None:
        self._by_index[index] = answer
        if self._on_answer is not None:
            self._on_answer(index, answer)

    def in_order(self, count: int) -> list[ChatAnswer]:
        """Of indices 0 to `count` less one; all must have been given."""
        return [self._by_index[index] for index in range(count)]


class Around:
    """What a client that adds something to another one passes on."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client

    @property
    def model(self) -> str:
        return self.client.model

    def fits(self, request: ChatRequest) -> bool:
        return self.client.fits(request)


def complete_by_dialogs(
    client: ChatClient, requests: Sequence[ChatRequest], on_answer: OnAnswer | None
) -> list[ChatAnswer]:
    """`complete` of a client that leads dialogs."""
    answers = Answers(on_answer)

    def single(index: int, request: ChatRequest) -> Dialog:
        answers.give(index, (yield request))

    client.converse(single(index, request) for index, request in enumerate(requests))
    return answers.in_order(len(requests))


def converse_in_rounds(client: ChatClient, dialogs: Iterable[Dialog], at_once: int) -> None:
    """`converse` of a client that decodes a batch as a whole."""
    coming = iter(dialogs)
    live: list[tuple[Dialog, ChatRequest]] = []

    def go_on(dialog: Dialog, answer: ChatAnswer | None) -> None:
        try:
            asked = next(dialog) if answer is None else dialog.send(answer)
        except StopIteration:
            return
        live.append((dialog, asked))

    while True:
        while len(live) < at_once and (new := next(coming, None)) is not None:
            go_on(new, None)
        if not live:
            return
        asked, live = live, []
        answers = client.complete([request for _, request in asked])
        for (dialog, _), answer in zip(asked, answers, strict=True):
            go_on(dialog, answer)


def request_key(model: str, request: ChatRequest) -> str:
    """sha256 of the canonical JSON of model, messages, parameters and seed."""
    value = {"model": model, **request.identity()}
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
