"""Answers to chats and completions in OpenAI's shape, whole and as the events of a stream."""

import codecs
import json
import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from k2model.chat.parse import ParseError
from k2model.chat.turn import Delta, gather
from k2model.inference.grammar import AfterCheck
from k2model.serving.api import ChatBody, CompletionBody
from k2model.serving.engine_loop import Choice, News
from k2model.serving.service import Generation, Service


class Answer(Protocol):
    """An answer as one JSON object, or as the events of a stream."""

    async def whole(self) -> dict[str, Any]:
        """The answer when all choices have finished; raises what `Service.run` raises."""

    def events(self) -> AsyncGenerator[str, None]:
        """The events of a stream; raises what `Service.run` raises."""

    def failure(self, message: str, kind: str) -> str:
        """The last event of a stream that failed."""


class _Completion:
    """What both kinds of completions say alike."""

    _generation: Generation

    def failure(self, message: str, kind: str) -> str:
        """The last event of a stream that failed."""
        return event(error_body(message, kind))

    def _closing(self, head: Mapping[str, Any], usage: bool) -> Iterator[str]:
        """The last events of a stream that went well."""
        if usage:
            yield event({**head, "choices": [], "usage": self._generation.usage()})
        yield "data: [DONE]\n\n"


class ChatCompletion(_Completion):
    """Answers to one chat. Every choice has the sampled `token_ids`; a message has `parse_errors` where something was
    malformed, and `schema_checks` where a schema says what a grammar can't hold, so that it was checked afterwards."""

    def __init__(self, service: Service, body: ChatBody, generation: Generation) -> None:
        self._service, self._body, self._generation = service, body, generation
        self._head = _head(service, "chatcmpl", "chat.completion")

    async def whole(self) -> dict[str, Any]:
        """The answer when all choices have finished; raises what `Service.run` raises."""
        await self._service.finish(self._generation)
        choices = [
            {
                "index": index,
                "message": _message(choice) | await self._checked(index),
                "logprobs": chat_logprobs(self._service.pieces, choice) if self._body.logprobs else None,
                "finish_reason": choice.finish,
                "token_ids": choice.ids,
            }
            for index, choice in enumerate(self._generation.choices)
        ]
        return self._head | {"choices": choices, "usage": self._generation.usage()}

    async def events(self) -> AsyncGenerator[str, None]:
        """The events of a stream; raises what `Service.run` raises."""
        head = self._head | {"object": "chat.completion.chunk"}
        if self._body.usage_in_stream:
            head["usage"] = None
        for index in range(len(self._generation.choices)):
            delta = {"role": "assistant", "content": ""}
            entry = {"index": index, "delta": delta, "finish_reason": None, "token_ids": []}
            yield event(head | {"choices": [entry]})
        calls = [0] * len(self._generation.choices)
        async with aclosing(self._service.run(self._generation)) as running:
            async for index, news, deltas in running:
                delta = _delta(deltas, calls[index])
                calls[index] += sum(delta.call is not None for delta in deltas)
                if self._generation.choices[index].finish is not None:
                    delta |= await self._checked(index)
                entry = {"index": index, "delta": delta}
                if self._body.logprobs:
                    entry["logprobs"] = chat_logprobs(self._service.pieces, news)
                entry |= {"finish_reason": self._generation.choices[index].finish, "token_ids": news.ids}
                yield event(head | {"choices": [entry]})
        for line in self._closing(head, self._body.usage_in_stream):
            yield line

    async def _checked(self, index: int) -> dict[str, Any]:
        checks = schema_checks(await self._service.checks(self._generation, index))
        return {"schema_checks": checks} if checks else {}


class TextCompletion(_Completion):
    """Answers to prompts; every choice has the sampled `token_ids` and the `prompt_token_ids`."""

    def __init__(self, service: Service, body: CompletionBody, generation: Generation) -> None:
        self._service, self._body, self._generation = service, body, generation
        self._head = _head(service, "cmpl", "text_completion")
        self._logprobs = [TextLogprobs(service.pieces) for _ in generation.requests]

    async def whole(self) -> dict[str, Any]:
        """The answer when all choices have finished; raises what `Service.run` raises."""
        text = [""] * len(self._generation.requests)
        logprobs: list[dict[str, list[Any]]] = [{} for _ in text]
        async with aclosing(self._entries()) as entries:
            async for entry in entries:
                index = entry["index"]
                text[index] += entry["text"]
                for name, values in (entry["logprobs"] or {}).items():
                    logprobs[index].setdefault(name, []).extend(values)
        choices = [
            {
                "index": index,
                "text": text[index],
                "logprobs": logprobs[index] or None,
                "finish_reason": choice.finish,
                "token_ids": choice.ids,
                "prompt_token_ids": self._generation.requests[index].prompt,
            }
            for index, choice in enumerate(self._generation.choices)
        ]
        return self._head | {"choices": choices, "usage": self._generation.usage()}

    async def events(self) -> AsyncGenerator[str, None]:
        """The events of a stream; raises what `Service.run` raises."""
        head = self._head | ({"usage": None} if self._body.usage_in_stream else {})
        async with aclosing(self._entries()) as entries:
            async for entry in entries:
                yield event(head | {"choices": [entry]})
        for line in self._closing(head, self._body.usage_in_stream):
            yield line

    async def _entries(self) -> AsyncGenerator[dict[str, Any], None]:
        """New text of a choice each; with `echo` the first of a choice begins with the prompt."""
        begun: set[int] = set()
        async with aclosing(self._service.run(self._generation)) as running:
            async for index, news, deltas in running:
                echoed = self._body.echo and index not in begun
                begun.add(index)
                yield {
                    "index": index,
                    "text": (self._prompt_text(index) if echoed else "") + "".join(delta.text for delta in deltas),
                    "logprobs": self._new_logprobs(index, news, echoed=echoed),
                    "finish_reason": self._generation.choices[index].finish,
                    "token_ids": news.ids,
                }

    def _prompt_text(self, index: int) -> str:
        written = self._generation.written[index]
        if isinstance(written, str):
            return written
        return b"".join(_piece(self._service.pieces, token) for token in written).decode("utf-8", "replace")

    def _new_logprobs(self, index: int, news: News, *, echoed: bool) -> dict[str, Any] | None:
        if self._body.logprobs is None:
            return None
        ids = list(news.ids)
        logprobs: list[float | None] = [*news.logprobs]
        top: list[list[tuple[int, float]] | None] = [*news.top]
        if echoed:  # the first token follows nothing
            ids[:0] = self._generation.requests[index].prompt
            logprobs[:0] = [None, *news.prompt_logprobs]
            top[:0] = [None, *news.prompt_top] if self._body.logprobs else []
        return self._logprobs[index].entry(ids, logprobs, top)


class TextLogprobs:
    """Log-probabilities in the shape of completions, of one choice as it is written."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._length = 0

    def entry(
        self,
        ids: Sequence[int],
        logprobs: Sequence[float | None],
        top: Sequence[Sequence[tuple[int, float]] | None],
    ) -> dict[str, list[Any]]:
        """Entries of new tokens. `text_offset` is where a token's text begins; the token itself is among its
        alternatives, so there may be one more than were asked for."""
        offsets = []
        for token in ids:
            offsets.append(self._length)
            self._length += len(self._decoder.decode(_piece(self._pieces, token)))
        alternatives = [
            None if best is None or logprob is None else self._names([*best, (token, logprob)])
            for token, logprob, best in zip(ids, logprobs, top or [()] * len(ids), strict=True)
        ]
        return {
            "tokens": [token_name(self._pieces, token) for token in ids],
            "token_logprobs": [None if logprob is None else _finite(logprob) for logprob in logprobs],
            "top_logprobs": alternatives,
            "text_offset": offsets,
        }

    def _names(self, entries: Sequence[tuple[int, float]]) -> dict[str, float]:
        return {token_name(self._pieces, token): _finite(logprob) for token, logprob in entries}


CALLER_LEFT = 499  # nginx's status


def error_body(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def event(value: dict[str, Any], name: str | None = None) -> str:
    """One event of a stream; ASCII alone, since readers differ in what else ends a line (U+0085, U+2028)."""
    data = f"data: {json.dumps(value)}\n\n"
    return data if name is None else f"event: {name}\n{data}"


def chat_logprobs(pieces: Sequence[bytes], news: News | Choice) -> dict[str, Any]:
    """Log-probabilities in the shape of chats."""
    content = []
    for k, (token, logprob) in enumerate(zip(news.ids, news.logprobs, strict=True)):
        top = [_entry(pieces, i, value) for i, value in (news.top[k] if news.top else ())]
        content.append(_entry(pieces, token, logprob) | {"top_logprobs": top})
    return {"content": content, "refusal": None}


def token_name(pieces: Sequence[bytes], token: int) -> str:
    """The text of a token; what is no whole text has a name that is its own (`bytes:\\xe2\\x80` is OpenAI's form)."""
    if token >= len(pieces):
        return f"token_id:{token}"
    try:
        return pieces[token].decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in pieces[token])


def _piece(pieces: Sequence[bytes], token: int) -> bytes:
    # Logits may be wider than the tokenizer.
    return pieces[token] if token < len(pieces) else "\ufffd".encode()


def _entry(pieces: Sequence[bytes], token: int, logprob: float) -> dict[str, Any]:
    name = token_name(pieces, token)
    return {"token": name, "logprob": _finite(logprob), "bytes": list(_piece(pieces, token))}


def _finite(value: float) -> float:
    # JSON has neither infinity nor NaN; the OpenAI API uses this value too.
    return value if value > -9999.0 else -9999.0


def _head(service: Service, kind: str, shape: str) -> dict[str, Any]:
    created = int(time.time())
    return {"id": f"{kind}-{uuid.uuid4().hex}", "object": shape, "created": created, "model": service.name}


def _call_entry(delta: Delta, index: int) -> dict[str, Any]:
    assert delta.call is not None
    function = {"name": delta.call.name, "arguments": delta.call.arguments}
    return {"index": index, "id": delta.call.id, "type": "function", "function": function}


def _delta(deltas: Sequence[Delta], calls_before: int) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for kind, name in (("reasoning", "reasoning_content"), ("content", "content")):
        text = "".join(delta.text for delta in deltas if delta.kind == kind)
        if text:
            content[name] = text
    calls = [delta for delta in deltas if delta.call is not None]
    if calls:
        content["tool_calls"] = [_call_entry(delta, calls_before + k) for k, delta in enumerate(calls)]
    errors = [delta.error for delta in deltas if delta.error is not None]
    if errors:
        content["parse_errors"] = parse_errors(errors)
    return content


def _message(choice: Choice) -> dict[str, Any]:
    parsed = gather(choice.deltas)
    message: dict[str, Any] = parsed.message() | {"refusal": None}
    if parsed.errors:
        message["parse_errors"] = parse_errors(parsed.errors)
    return message


def parse_errors(errors: Sequence[ParseError]) -> list[dict[str, str]]:
    return [{"problem": str(error.problem), "text": error.text} for error in errors]


def schema_checks(checks: Sequence[AfterCheck]) -> list[dict[str, Any]]:
    """What was checked after the answer was whole: of which call (none: the content), by which parts of the schema,
    and what is wrong (null: nothing)."""
    return [
        {"call_id": check.call_id or None, "checked": list(check.keywords), "problem": check.problem}
        for check in checks
    ]
