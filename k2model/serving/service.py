"""The work of the endpoints, apart from HTTP: a body becomes requests of the engine, their tokens pieces of text."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from k2model.chat import messages as chat
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.chat.turn import Delta, gather
from k2model.errors import ConfigError
from k2model.formats.int4_checkpoint import load_any
from k2model.inference.cached_model import rows_in_memory
from k2model.inference.generate import Engine
from k2model.inference.grammar import AfterCheck, ToolGrammar
from k2model.inference.request import Constraint, Request
from k2model.model import K2Model
from k2model.serving.api import ChatBody, Choices, CompletionBody, NamedChoice
from k2model.serving.engine_loop import Choice, EngineThread, News

PROMPT_TOKENS = 256  # that are read between two tokens of those who decode
Value = TypeVar("Value")


class ServerStopping(RuntimeError):
    """The server ends; what runs can't be finished."""


@dataclass
class Generation:
    """What the engine gets for one body, and how its tokens are read; `prompts[k]` is the prompt of `requests[k]`.

    `written[k]` is that prompt as the caller wrote it (text or ids); `samples` requests that follow each other have one
    prompt. With `prompt_only` nothing is generated: the one token that the engine samples is dropped.
    """

    requests: list[Request]
    choices: list[Choice]
    written: Sequence[str | list[int]]
    samples: int
    prompt_only: bool = False
    tools: Sequence[Mapping[str, Any]] = ()
    response_schema: Mapping[str, Any] | bool | None = None

    def usage(self) -> dict[str, Any]:
        """Token counts, as OpenAI's API has them; a prompt with several answers counts once."""
        prompt = sum(len(request.prompt) for request in self.requests[:: self.samples])
        cached = sum(choice.cached_tokens for choice in self.choices[:: self.samples])
        completion = sum(len(choice.ids) for choice in self.choices)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


class Service:
    """A model, its engine and what runs on it.

    Args:
        load: reads a folder as the model was read, for new weights.

    Raises:
        ConfigError: model and tokenizer don't fit each other, or the engine can't be as large.
    """

    def __init__(
        self,
        model: K2Model,
        tokenizer: K2Tokenizer,
        name: str,
        *,
        max_batch: int,
        max_length: int,
        load: Callable[[Path], K2Model] = load_any,
    ) -> None:
        self.tokenizer, self.name, self._load = tokenizer, name, load
        self.vocab_size = model.config.vocab_size
        self.grammar = ToolGrammar(tokenizer, self.vocab_size)
        self.engine = _engine(model, tokenizer, max_batch, max_length)
        self.thread = EngineThread(self.engine)
        self.pieces = tokenizer.token_bytes()
        self._longest = max(map(len, self.pieces))
        self.stopping = False
        self._running: set[asyncio.Queue[tuple[int, News | Exception]]] = set()
        # Neither pool is asyncio's own, for whose work the end of the loop waits. A schema that takes long keeps
        # other schemas waiting, not requests without one.
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self._grammars = ThreadPoolExecutor(1, thread_name_prefix="grammar")

    async def chat(self, body: ChatBody) -> Generation:
        """Raises ConfigError for a request that can't be."""
        constrained = bool(body.tools) or body.response_format.type != "text"
        return await self._in(self._grammars if constrained else self._readers, lambda: self._chat(body))

    async def completions(self, body: CompletionBody) -> Generation:
        """Raises ConfigError for a request that can't be."""
        return await self._in(self._readers, lambda: self._completions(body))

    async def load(self, folder: Path) -> None:
        """Takes over the weights of a checkpoint; requests in flight must have ended.

        Raises:
            ConfigError: another network's checkpoint, or requests are in flight.
            CheckpointError: it can't be read.
        """
        fresh = _tensors(await self._in(self._readers, lambda: self._load(folder)))
        mine = _tensors(self.engine.model)
        odd = [name for name in mine.keys() | fresh.keys() if _shape(mine, name) != _shape(fresh, name)]
        if odd:
            raise ConfigError(f"model_path: {folder} holds another network: {min(odd)}")

        def take_over() -> None:
            self.engine.forget()
            for name, tensor in fresh.items():
                mine[name].data.copy_(tensor)

        await self.thread.between_requests(take_over)

    async def run(self, generation: Generation) -> AsyncGenerator[tuple[int, News, list[Delta]], None]:
        """(choice, news, deltas) of all requests, as they come; leaving early cancels what still runs.

        Raises:
            ConfigError: the engine can't do a request.
            ServerStopping: the server ends first.
            RequestFailed: a request failed for another reason.
            EngineEnded: the engine failed.
        """
        news: asyncio.Queue[tuple[int, News | Exception]] = asyncio.Queue()

        async def follow(index: int) -> None:
            try:
                async with aclosing(self.thread.stream(generation.requests[index])) as stream:
                    async for item in stream:
                        await news.put((index, item))
            except (RuntimeError, ConfigError) as error:
                await news.put((index, error))

        if self.stopping:
            raise ServerStopping("the server is stopping")
        self._running.add(news)
        tasks = [asyncio.create_task(follow(index)) for index in range(len(generation.requests))]
        try:
            left = len(tasks)
            while left:
                index, item = await news.get()
                if isinstance(item, Exception):
                    raise item
                choice = generation.choices[index]
                if choice.finish is not None:
                    continue
                if generation.prompt_only:
                    item = replace(item, ids=[], logprobs=[], top=[], finish="length")
                deltas = choice.feed(item)
                if choice.finish is not None:
                    left -= 1
                    tasks[index].cancel()  # the engine may not know of the stop string yet
                yield index, item, deltas
        finally:
            self._running.discard(news)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def finish(self, generation: Generation) -> None:
        """Runs to the end; raises as `run`."""
        async with aclosing(self.run(generation)) as running:
            async for _ in running:
                pass

    async def checks(self, generation: Generation, index: int) -> list[AfterCheck]:
        """What had to be checked once a choice was whole: what of its schemas no grammar holds."""
        if not generation.tools and generation.response_schema is None:
            return []
        parsed = gather(generation.choices[index].deltas)

        def check() -> list[AfterCheck]:
            checks = self.grammar.check_calls(generation.tools, parsed.tool_calls)
            if generation.response_schema is not None and parsed.content:
                content = self.grammar.check_response(generation.response_schema, parsed.content)
                checks += [content] if content is not None else []
            return checks

        return await self._in(self._grammars, check)

    def refuse(self) -> None:
        """Nothing new begins."""
        self.stopping = True

    def stop(self) -> None:
        """Ends what runs with `ServerStopping`. Called on the event loop."""
        self.refuse()
        for news in self._running:
            news.put_nowait((-1, ServerStopping("the server is stopping")))

    def close(self, timeout: float = 5.0) -> None:
        """Ends the engine's thread after its current step, for which it waits so many seconds at most."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._grammars.shutdown(wait=False, cancel_futures=True)
        self.thread.stop(timeout)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _chat(self, body: ChatBody) -> Generation:
        if body.top_logprobs and not body.logprobs:
            raise ConfigError("top_logprobs: needs logprobs: true")
        messages = chat.canonical([message.model_dump(exclude_defaults=True) for message in body.messages])
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools]
        self._check_size(body.dialog, chat.render(messages, tools, add_generation_prompt=True))
        prompt = chat.encode_prompt(self.tokenizer, messages, tools)
        first_index = chat.next_call_index(messages)
        requests = [
            replace(request, constraint=self._constraint(body, tools, request.max_tokens, first_index))
            for request in self._requests(
                body,
                prompt,
                body.budget,
                top_logprobs=body.top_logprobs,
                stop_ids=self.tokenizer.ends,
            )
        ]
        choices = [Choice(self.tokenizer, request) for request in requests]
        schema = body.response_format.schema_of_content()
        return Generation(requests, choices, [prompt] * body.n, body.n, tools=tools, response_schema=schema)

    def _constraint(self, body: ChatBody, tools: list[dict[str, object]], budget: int, first: int) -> Constraint | None:
        choice, schema = body.tool_choice, body.response_format.schema_of_content()
        if not tools and schema is None and choice in ("auto", "none"):
            return None
        named = choice.function.name if isinstance(choice, NamedChoice) else None
        return self.grammar.turn(
            tools,
            max_tokens=budget,
            budget_field=body.budget[0],
            choice="required" if isinstance(choice, NamedChoice) else choice,
            function=named,
            first_index=first,
            parallel=body.parallel_tool_calls,
            response_schema=schema,
        )

    def _completions(self, body: CompletionBody) -> Generation:
        stop_ids = self.tokenizer.ends if body.stop_token_ids is None else frozenset(body.stop_token_ids)
        requests: list[Request] = []
        for prompt in body.prompt:
            if isinstance(prompt, str):
                self._check_size("prompt", prompt)
            ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
            self._check_ids("prompt", ids)
            requests += self._requests(
                body,
                ids or [self.tokenizer.bos],
                ("max_tokens", body.max_tokens),
                top_logprobs=body.logprobs or 0,
                stop_ids=stop_ids,
                prompt_logprobs=body.logprobs if body.echo else None,
                markup=False,
            )
        choices = [Choice(self.tokenizer, request) for request in requests]
        written = [prompt for prompt in body.prompt for _ in range(body.n)]
        return Generation(requests, choices, written, body.n, prompt_only=body.max_tokens == 0)

    def _requests(
        self,
        body: Choices,
        prompt: list[int],
        budget: tuple[str, int | None],
        *,
        top_logprobs: int,
        stop_ids: frozenset[int],
        prompt_logprobs: int | None = None,
        markup: bool = True,
    ) -> list[Request]:
        """`n` requests of consecutive seeds; without a budget an answer may fill the context."""
        field, max_tokens = budget
        room = self.engine.max_length - len(prompt)
        if room < 1 or (max_tokens or 1) > room:
            wanted = f" and {field} {max_tokens}" if max_tokens else ""
            raise ConfigError(
                f"{field}: a prompt of {len(prompt)} tokens{wanted} exceed the context of {self.engine.max_length}"
            )
        self._check_ids("logit_bias", list(body.logit_bias))
        seed = random.getrandbits(63) if body.seed is None else body.seed
        return [
            Request(
                prompt,
                max_tokens or room,
                temperature=body.temperature,
                top_p=body.top_p,
                top_k=max(body.top_k, 0),
                min_p=body.min_p,
                frequency_penalty=body.frequency_penalty,
                presence_penalty=body.presence_penalty,
                logit_bias=body.logit_bias,
                seed=seed + k,
                stop_ids=stop_ids,
                stop_strings=tuple(body.stop),
                markup=markup,
                top_logprobs=top_logprobs,
                prompt_logprobs=prompt_logprobs,
            )
            for k in range(body.n)
        ]

    def _check_size(self, field: str, text: str) -> None:
        """Refuses what can't fit however it is parted into tokens, before time and memory go into parting it."""
        size = len(text.encode("utf-8", "replace"))
        if size > self._longest * self.engine.max_length:
            raise ConfigError(f"{field}: a prompt of {size} bytes exceeds the context of {self.engine.max_length}")

    def _check_ids(self, field: str, ids: Sequence[int]) -> None:
        outside = next((i for i in ids if not 0 <= i < self.vocab_size), None)
        if outside is not None:
            raise ConfigError(f"{field}: token {outside} is outside the vocabulary of {self.vocab_size}")


def _engine(model: K2Model, tokenizer: K2Tokenizer, max_batch: int, max_length: int) -> Engine:
    if max_batch < 1:
        raise ConfigError(f"max-batch: {max_batch} requests at once is below 1")
    if max_length < 2:
        raise ConfigError(f"max-length: {max_length} is below 2, a token of a prompt and one of an answer")
    try:
        return Engine(
            model,
            tokenizer,
            max_batch=max_batch,
            max_length=max_length,
            prefill_chunk=PROMPT_TOKENS,
            prefill_tokens=PROMPT_TOKENS,
            reuse_prefixes=True,
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"max-batch, max-length: no memory for {max_batch} requests of {max_length} tokens: {reason}"
        ) from None


def _tensors(model: K2Model) -> dict[str, torch.Tensor]:
    """All that it computes with; a state dict lacks what is rearranged for decoding, INT4 experts among it."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _shape(tensors: Mapping[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


MOST_ROWS = 32


def open_service(
    checkpoint: Path,
    tokenizer: Path | None = None,
    *,
    name: str = "",
    max_batch: int | None = None,
    max_length: int | None = None,
    dense_bits: int = 16,
    activation_bits: int = 16,
) -> Service:
    """Loads a checkpoint and a tokenizer (the checkpoint's folder by default).

    Args:
        max_batch: requests that decode together, by default `MOST_ROWS` or as many as `rows_in_memory` says.
        max_length: tokens of a prompt and its answer, the model's context by default.
        dense_bits, activation_bits: see `load_any`.

    Raises:
        CheckpointError, ConfigError: one of them can't be loaded, they don't fit each other, or an option can't be.
    """
    load = partial(load_any, dense_bits=dense_bits, activation_bits=activation_bits)
    model = load(checkpoint).eval()
    limit = model.config.max_position_embeddings if max_length is None else max_length
    return Service(
        model,
        load_tokenizer(tokenizer or checkpoint),
        name or checkpoint.resolve().name,
        max_batch=rows_in_memory(model, max(1, limit), MOST_ROWS) if max_batch is None else max_batch,
        max_length=limit,
        load=load,
    )
