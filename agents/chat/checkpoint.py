"""Our own checkpoint as a chat client: the K2 chat format, our generation engine."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agents.chat.protocol import (
    Answers,
    ChatAnswer,
    ChatError,
    ChatRefusal,
    ChatRequest,
    ChatResponse,
    Dialog,
    OnAnswer,
    converse_in_rounds,
)
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.chat.turn import parse_ids
from k2model.errors import ConfigError
from k2model.files import MANIFEST, sha256_file
from k2model.formats.checkpoint import load_config
from k2model.formats.encodings import Int4Words, encoding_of
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.shards import read_json
from k2model.inference.cached_model import rows_in_memory
from k2model.inference.generate import Engine
from k2model.inference.request import Generated, Request
from k2model.model import K2Model


def _digests(folder: Path) -> dict[str, Any]:
    """The manifest, which was checked when the weights were read; without one the sha256 of what a manifest has."""
    if (folder / MANIFEST).exists():
        return read_json(folder / MANIFEST)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".model"))
    return {path.name: sha256_file(path) for path in files if path.is_file()}


class CheckpointClient:
    """A K2 model that answers in the K2 chat format; `model` names it (weights that move have no store).

    One engine answers all calls, so that a dialogue's history, and what several begin with, is read once: after a
    training step another client is needed. It takes the memory of `rows` requests as long as the longest so far,
    or half as much again, on a CPU at most what `rows_in_memory` says.

    Args:
        rows: the most requests that decode together.
    """

    def __init__(self, network: K2Model, tokenizer: K2Tokenizer, *, model: str, rows: int = 32) -> None:
        self.model, self.network, self.tokenizer, self.rows = model, network, tokenizer, rows
        self._engine: Engine | None = None

    @classmethod
    def open(cls, folder: Path, tokenizer: Path | None = None, *, rows: int = 32) -> "CheckpointClient":
        """Loads a checkpoint folder, INT4 too; its tokenizer stands in it unless another folder is named.

        Raises:
            CheckpointError, ConfigError: a broken checkpoint, no tokenizer.
        """
        packed = isinstance(encoding_of(load_config(folder).quantization_config, folder), Int4Words)
        spoken = load_tokenizer(tokenizer or folder)
        network = load_any(folder).eval()
        digest = hashlib.sha256(json.dumps(_digests(folder), sort_keys=True).encode()).hexdigest()
        return cls(network, spoken, model=f"{'k2-int4' if packed else 'k2'}@{digest[:16]}", rows=rows)

    def fits(self, request: ChatRequest) -> bool:
        asked = self._request(request)
        return isinstance(asked, Request) or asked.kind != "too_long"

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        answers = Answers(on_answer)
        asked = [self._request(request) for request in requests]
        lengths = [len(prepared.prompt) + prepared.max_tokens for prepared in asked if isinstance(prepared, Request)]
        engine = self._take_engine(max(lengths, default=1))
        index_of: dict[int, int] = {}
        for index, prepared in enumerate(asked):
            if isinstance(prepared, ChatRefusal):
                answers.give(index, prepared)
                continue
            try:
                index_of[engine.submit(prepared)] = index
            except ConfigError as error:
                answers.give(index, ChatRefusal("refused", f"request: {error}"))
        while len(answers) < len(requests):
            for handle, result in engine.step():
                index = index_of[handle]
                answers.give(index, self._response(requests[index], result))
        self._engine = engine
        return answers.in_order(len(requests))

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        converse_in_rounds(self, dialogs, self.rows)

    def _take_engine(self, length: int) -> Engine:
        """The engine of the last call, or one for longer requests; a call that fails does not give it back."""
        engine, self._engine = self._engine, None
        if engine is not None and engine.max_length >= length:
            return engine
        if engine is not None:  # a dialogue that grows must not need another one at every turn
            length = max(length, min(engine.max_length * 3 // 2, self.network.config.max_position_embeddings))
        del engine  # before the next one's cache takes memory
        rows = rows_in_memory(self.network, length, self.rows)
        return Engine(self.network, self.tokenizer, max_batch=rows, max_length=length, reuse_prefixes=True)

    def _request(self, request: ChatRequest) -> Request | ChatRefusal:
        if request.response_schema is not None:
            raise ChatError("request: response_schema is for endpoints; a local grammar belongs to the caller's engine")
        if request.messages and request.messages[-1].get("role") == "assistant":
            raise ChatError("request: the K2 chat format has no prefilled answer")
        try:
            prompt = encode_prompt(self.tokenizer, request.messages, request.tools or None)
        except (ConfigError, KeyError, TypeError) as error:
            return ChatRefusal("refused", f"request: {error}")
        length, limit = len(prompt) + request.max_tokens, self.network.config.max_position_embeddings
        if length > limit:
            return ChatRefusal("too_long", f"request: {length} tokens with the answer; the context is {limit}")
        return Request(
            prompt,
            request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            stop_ids=self.tokenizer.ends,
            stop_strings=request.stop,
        )

    def _response(self, request: ChatRequest, result: Generated) -> ChatResponse:
        parsed = parse_ids(self.tokenizer, result.ids, stops=request.stop)
        message = parsed.message()
        calls = message.get("tool_calls", [])
        assert isinstance(calls, list)
        return ChatResponse(
            parsed.content,
            reasoning=parsed.reasoning,
            tool_calls=tuple(calls),
            prompt_tokens=result.prompt_tokens,
            completion_tokens=len(result.ids),
            finish_reason="tool_calls" if calls and result.finish_reason == "stop" else result.finish_reason,
        )
