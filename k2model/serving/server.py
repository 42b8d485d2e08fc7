"""An OpenAI-compatible server over a checkpoint; concurrent requests share the engine's batch.

    python -m k2model.serving.server models/sft --port 8000 [--tokenizer data/tokenizer]

/v1/models, /v1/chat/completions (tools, reasoning_content, logprobs), /v1/completions (text or token ids), both with
streaming; /update_weights_from_disk takes new weights of the same network between requests (rollouts in RL). Where
tools are declared the enforcer (`k2model.inference.grammar`) is on: a call that is made is valid. Beyond the OpenAI
fields a message may have `parse_errors`, and every choice has the sampled `token_ids`.
"""

import argparse
import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError

from k2model.chat import messages as chat
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.chat.turn import Delta, gather
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.int4_checkpoint import load_any
from k2model.inference.generate import Engine, Request
from k2model.inference.grammar import ToolGrammar
from k2model.model import K2Model
from k2model.serving.api import ChatBody, CompletionBody, NamedChoice, Sampling, WeightsBody, complaint
from k2model.serving.engine_loop import Choice, EngineThread, News


@dataclass
class Job:
    """A checked request: what the engine gets, and how its tokens are read."""

    requests: list[Request]
    choices: list[Choice]
    prompts: list[list[int]]
    created: int = field(default_factory=lambda: int(time.time()))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def usage(self) -> dict[str, int]:
        prompt = sum(map(len, self.prompts))
        completion = sum(len(choice.ids) for choice in self.choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class Service:
    """The endpoints' work, apart from HTTP."""

    def __init__(self, model: K2Model, tokenizer: K2Tokenizer, name: str, *, max_batch: int, max_length: int) -> None:
        self.tokenizer, self.name = tokenizer, name
        self.engine = Engine(model, tokenizer, max_batch=max_batch, max_length=max_length)
        self.thread = EngineThread(self.engine)
        self.grammar = ToolGrammar(tokenizer, model.config.vocab_size)
        self.vocab_size = model.config.vocab_size

    def _requests(
        self,
        body: Sampling,
        prompt: list[int],
        max_tokens: int | None,
        top: int,
        stop_ids: frozenset[int],
        *,
        markup: bool,
    ) -> list[Request]:
        room = self.engine.max_length - len(prompt)
        if room < 1 or (max_tokens or 1) > room:
            wanted = f" and max_tokens {max_tokens}" if max_tokens else ""
            raise ConfigError(
                f"max_tokens: a prompt of {len(prompt)} tokens{wanted} exceed the context of {self.engine.max_length}"
            )
        seed = random.getrandbits(63) if body.seed is None else body.seed
        return [
            Request(
                prompt,
                max_tokens or room,
                temperature=body.temperature,
                top_p=body.top_p,
                seed=seed + k,
                stop_ids=stop_ids,
                stop_strings=body.stops(),
                markup=markup,
                top_logprobs=top,
            )
            for k in range(body.n)
        ]

    def chat(self, body: ChatBody) -> Job:
        """Raises ConfigError for a request that can't be."""
        messages = [message.model_dump(exclude_none=True) for message in body.messages]
        messages = chat.canonical(messages)
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
        prompt = chat.encode_prompt(self.tokenizer, messages, tools)
        stop_ids = frozenset({self.tokenizer.im_end, self.tokenizer.eos, self.tokenizer.special["[EOT]"]})
        top = body.top_logprobs if body.logprobs else 0
        requests = self._requests(
            body, prompt, body.max_completion_tokens or body.max_tokens, top, stop_ids, markup=True
        )
        wanted = body.tool_choice or "auto"
        if not tools and wanted not in ("auto", "none"):
            raise ConfigError("tool_choice: a call is required and no tools are declared")
        if tools:
            named = wanted.function.name if isinstance(wanted, NamedChoice) else None
            for k, request in enumerate(requests):
                constraint = self.grammar.turn(
                    tools,
                    max_tokens=request.max_tokens,
                    choice="required" if named else str(wanted),
                    function=named,
                    first_index=chat.next_call_index(messages),
                    parallel=body.parallel_tool_calls,
                )
                requests[k] = replace(request, constraint=constraint)
        choices = [Choice(self.tokenizer, requests[0].stop_strings, markup=True) for _ in requests]
        return Job(requests, choices, [prompt])

    def completions(self, body: CompletionBody) -> Job:
        """Raises ConfigError for a request that can't be."""
        prompts = []
        for prompt in body.prompts():
            ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
            wrong = [i for i in ids if not 0 <= i < self.vocab_size]
            if wrong:
                raise ConfigError(f"prompt: token {wrong[0]} is outside the vocabulary of {self.vocab_size}")
            prompts.append(ids or [self.tokenizer.bos])
        if not prompts:
            raise ConfigError("prompt: an empty list")
        own = {self.tokenizer.eos, self.tokenizer.im_end}
        stop_ids = frozenset(own if body.stop_token_ids is None else body.stop_token_ids)
        requests = [
            request
            for ids in prompts
            for request in self._requests(body, ids, body.max_tokens, body.logprobs or 0, stop_ids, markup=False)
        ]
        choices = [Choice(self.tokenizer, body.stops(), markup=False) for _ in requests]
        return Job(requests, choices, prompts)

    async def load(self, folder: Path) -> None:
        """Takes over the weights of a checkpoint; requests in flight must have ended.

        Raises:
            ConfigError: another network's checkpoint, or requests are in flight.
            CheckpointError: it can't be read.
        """
        fresh = (await asyncio.to_thread(load_any, folder)).state_dict()
        mine = self.engine.model.state_dict()
        odd = [name for name in mine.keys() | fresh.keys() if _shape(mine, name) != _shape(fresh, name)]
        if odd:
            raise ConfigError(f"model_path: {folder} holds another network: {min(odd)}")
        await self.thread.between_requests(lambda: self.engine.model.load_state_dict(fresh))

    async def run(self, job: Job) -> AsyncIterator[tuple[int, News, list[Delta]]]:
        """(choice, news, deltas) of all requests of a job, as they come."""
        news: asyncio.Queue[tuple[int, News | BaseException]] = asyncio.Queue()

        async def follow(place: int) -> None:
            try:
                async for item in self.thread.stream(job.requests[place]):
                    await news.put((place, item))
            except (RuntimeError, ConfigError) as error:
                await news.put((place, error))

        tasks = [asyncio.create_task(follow(place)) for place in range(len(job.requests))]
        try:
            left = len(tasks)
            while left:
                place, item = await news.get()
                if isinstance(item, BaseException):
                    raise item
                choice = job.choices[place]
                if choice.finish is not None:
                    continue
                deltas = choice.feed(item)
                left -= choice.finish is not None
                yield place, item, deltas
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def token(self, token: int) -> tuple[str, list[int]]:
        """(text, bytes) of a token."""
        pieces = self.grammar.pieces
        piece = pieces[token] if token < len(pieces) else b""
        return piece.decode("utf-8", "replace"), list(piece)

    def chat_logprobs(self, news: News | Choice) -> dict[str, Any]:
        content = []
        for k, (token, logprob) in enumerate(zip(news.ids, news.logprobs, strict=True)):
            top = [self._entry(i, value) for i, value in (news.top[k] if news.top else ())]
            content.append(self._entry(token, logprob) | {"top_logprobs": top})
        return {"content": content, "refusal": None}

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        text, piece = self.token(token)
        return {"token": text, "logprob": _finite(logprob), "bytes": piece}

    def text_logprobs(self, news: News | Choice) -> dict[str, Any]:
        tops = [{self.token(i)[0]: _finite(value) for i, value in top} for top in news.top]
        return {
            "tokens": [self.token(i)[0] for i in news.ids],
            "token_logprobs": news.logprobs,
            "top_logprobs": tops or None,
            "text_offset": [],
        }


def _shape(tensors: Mapping[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _finite(value: float) -> float:
    return max(value, -9999.0)  # JSON has no infinity; the OpenAI API uses this value too


def _call(delta: Delta, index: int) -> dict[str, Any]:
    assert delta.call is not None
    function = {"name": delta.call.name, "arguments": delta.call.arguments}
    return {"index": index, "id": delta.call.id, "type": "function", "function": function}


def _chat_chunk(deltas: Sequence[Delta], calls_before: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, name in (("reasoning", "reasoning_content"), ("content", "content")):
        text = "".join(delta.text for delta in deltas if delta.kind == kind)
        if text:
            found[name] = text
    calls = [delta for delta in deltas if delta.call is not None]
    if calls:
        found["tool_calls"] = [_call(delta, calls_before + k) for k, delta in enumerate(calls)]
    errors = [delta.error for delta in deltas if delta.error is not None]
    if errors:
        found["parse_errors"] = [{"problem": str(error.problem), "text": error.text} for error in errors]
    return found


def _chat_message(choice: Choice) -> dict[str, Any]:
    parsed = gather(choice.deltas)
    message = parsed.message()
    if parsed.errors:
        message["parse_errors"] = [{"problem": str(error.problem), "text": error.text} for error in parsed.errors]
    return message


def _refused(message: str, status: int = 400, param: str | None = None) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": None}}
    return JSONResponse(body, status_code=status)


def make_app(service: Service) -> FastAPI:
    """The HTTP application; bad requests are answered 400, an unknown model 404."""
    app = FastAPI(title="k2model", docs_url=None, redoc_url=None)
    listing = {"id": service.name, "object": "model", "created": int(time.time()), "owned_by": "k2model"}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [listing | {"max_model_len": service.engine.max_length}]}

    @app.post("/v1/chat/completions")
    async def chat_completions(http: HttpRequest) -> Response:
        return await _answer(service, http, ChatBody)

    @app.post("/v1/completions")
    async def completions(http: HttpRequest) -> Response:
        return await _answer(service, http, CompletionBody)

    @app.post("/update_weights_from_disk")
    async def update_weights(http: HttpRequest) -> Response:
        try:
            body = WeightsBody.model_validate_json(await http.body())
            await service.load(Path(body.model_path))
        except ValidationError as error:
            message, param = complaint(error)
            return _refused(message, param=param)
        except (CheckpointError, ConfigError) as error:
            return _refused(str(error))
        return JSONResponse({"success": True, "message": f"weights of {body.model_path}"})

    return app


async def _answer(service: Service, http: HttpRequest, kind: type[ChatBody] | type[CompletionBody]) -> Response:
    try:
        body = kind.model_validate_json(await http.body())
    except ValidationError as error:
        message, param = complaint(error)
        return _refused(message, param=param)
    if body.model != service.name:
        return _refused(f"model: {body.model!r} is not served here; {service.name!r} is", 404, "model")
    try:
        job = service.chat(body) if isinstance(body, ChatBody) else service.completions(body)
    except ConfigError as error:
        return _refused(str(error), param=str(error).split(":")[0])
    if body.stream:
        return StreamingResponse(_events(service, body, job), media_type="text/event-stream")
    try:
        async for _ in service.run(job):
            if await http.is_disconnected():
                return Response(status_code=499)
    except (RuntimeError, ConfigError) as error:
        return _refused(str(error), 500)
    return JSONResponse(_whole(service, body, job))


def _whole(service: Service, body: ChatBody | CompletionBody, job: Job) -> dict[str, Any]:
    chatting = isinstance(body, ChatBody)
    choices: list[dict[str, Any]] = []
    for index, choice in enumerate(job.choices):
        entry: dict[str, Any] = {"index": index, "finish_reason": choice.finish, "token_ids": choice.ids}
        if isinstance(body, ChatBody):
            entry |= {"message": _chat_message(choice)}
            entry["logprobs"] = service.chat_logprobs(choice) if body.logprobs else None
        else:
            entry["text"] = gather(choice.deltas).content
            entry["prompt_token_ids"] = job.requests[index].prompt
            entry["logprobs"] = service.text_logprobs(choice) if body.logprobs is not None else None
        choices.append(entry)
    head = _head(service, job, "chat.completion" if chatting else "text_completion")
    return head | {"choices": choices, "usage": job.usage()}


def _head(service: Service, job: Job, kind: str) -> dict[str, Any]:
    prefix = "chatcmpl" if kind.startswith("chat") else "cmpl"
    return {"id": f"{prefix}-{job.id}", "object": kind, "created": job.created, "model": service.name}


async def _events(service: Service, body: ChatBody | CompletionBody, job: Job) -> AsyncIterator[str]:
    chatting = isinstance(body, ChatBody)
    head = _head(service, job, "chat.completion.chunk" if chatting else "text_completion")
    calls = [0] * len(job.choices)
    begun: set[int] = set()
    try:
        async for place, news, deltas in service.run(job):
            choice = job.choices[place]
            entry: dict[str, Any] = {"index": place, "finish_reason": choice.finish, "token_ids": news.ids}
            if isinstance(body, ChatBody):
                entry["delta"] = ({} if place in begun else {"role": "assistant"}) | _chat_chunk(deltas, calls[place])
                entry["logprobs"] = service.chat_logprobs(news) if body.logprobs else None
            else:
                entry["text"] = "".join(delta.text for delta in deltas)
                entry["logprobs"] = service.text_logprobs(news) if body.logprobs is not None else None
            begun.add(place)
            calls[place] += sum(delta.call is not None for delta in deltas)
            yield _event(head | {"choices": [entry]})
    except (RuntimeError, ConfigError) as error:
        yield _event({"error": {"message": str(error), "type": "server_error", "param": None, "code": None}})
        return
    if body.stream_options is not None and body.stream_options.include_usage:
        yield _event(head | {"choices": [], "usage": job.usage()})
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def open_service(
    checkpoint: Path, tokenizer: Path | None = None, *, name: str = "", max_batch: int = 32, max_length: int = 0
) -> Service:
    """Loads a checkpoint and a tokenizer (the checkpoint's folder by default).

    Raises:
        CheckpointError, ConfigError: one of them can't be loaded, or they don't fit each other.
    """
    model = load_any(checkpoint).eval()
    limit = max_length or model.config.max_position_embeddings
    found = load_tokenizer(tokenizer or checkpoint)
    return Service(model, found, name or checkpoint.name, max_batch=max_batch, max_length=limit)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.serving.server", description="OpenAI-compatible server.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="folder of tokenizer.json (the checkpoint's)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", default="", help="the model's name in the API (the folder's)")
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=0, help="tokens of prompt and answer (the model's context)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (torch's default)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        service = open_service(
            args.checkpoint, args.tokenizer, name=args.name, max_batch=args.max_batch, max_length=args.max_length
        )
    except (CheckpointError, ConfigError) as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(make_app(service), host=args.host, port=args.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
