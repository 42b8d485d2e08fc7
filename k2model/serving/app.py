"""HTTP: routes, errors in OpenAI's shape, streams, and callers who leave."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from k2model.errors import CheckpointError, ConfigError
from k2model.serving.answers import CALLER_LEFT, Answer, ChatCompletion, TextCompletion, error_body
from k2model.serving.api import BadRequest, ChatBody, CompletionBody, WeightsBody, read_body
from k2model.serving.engine_loop import EngineEnded
from k2model.serving.metrics import Metrics, Observation
from k2model.serving.page import PageTools, add_page
from k2model.serving.responses import ResponsesAnswer, ResponsesBody
from k2model.serving.service import Generation, ServerStopping, Service

FAILURES = (BadRequest, ConfigError, CheckpointError, RuntimeError)


class UnknownModel(BadRequest):
    """The request names a model that isn't served."""


@dataclass(frozen=True)
class Opened:
    """A request that was understood."""

    stream: bool
    generation: Generation
    answer: Answer


Opener = Callable[[Service, bytes], Awaitable[Opened]]


async def _chat(service: Service, raw: bytes) -> Opened:
    body = read_body(ChatBody, raw)
    _check_model(service, body.model)
    generation = await service.chat(body)
    return Opened(body.stream, generation, ChatCompletion(service, body, generation))


async def _completion(service: Service, raw: bytes) -> Opened:
    body = read_body(CompletionBody, raw)
    _check_model(service, body.model)
    generation = await service.completions(body)
    return Opened(body.stream, generation, TextCompletion(service, body, generation))


async def _response(service: Service, raw: bytes) -> Opened:
    body = read_body(ResponsesBody, raw)
    _check_model(service, body.model)
    generation = await service.chat(body.chat())
    return Opened(body.stream, generation, ResponsesAnswer(service, body, generation))


def _check_model(service: Service, name: str) -> None:
    if name != service.name:
        raise UnknownModel(f"{name!r} is not served here; {service.name!r} is", "model")


def make_app(service: Service, tools: PageTools | None = None, hosts: frozenset[str] | None = None) -> FastAPI:
    """The HTTP application; bad requests are answered 400, an unknown model 404, all in OpenAI's error shape.

    Args:
        tools: what the page at `/` may run.
        hosts: the names of this server, as `k2model.serving.page.OwnPagesOnly` takes them; needed where tools run.
    """
    app = FastAPI(title="k2model", docs_url=None, redoc_url=None, openapi_url=None)
    add_page(app, tools, hosts)
    metrics = Metrics(service.engine)
    model = {
        "id": service.name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "k2model",
        "max_model_len": service.engine.max_length,
    }

    @app.exception_handler(HTTPException)
    async def no_route(http: HttpRequest, error: HTTPException) -> Response:
        message = f"{http.method} {http.url.path}: {error.detail}"
        return JSONResponse(error_body(message, "invalid_request_error"), error.status_code)

    @app.exception_handler(Exception)
    async def unforeseen(http: HttpRequest, error: Exception) -> Response:
        return JSONResponse(error_body(f"{type(error).__name__}, see the server's log", "server_error"), 500)

    @app.get("/health")
    async def health() -> Response:
        if service.stopping:
            return _failed(ServerStopping("the server is stopping"))
        if service.thread.ended is not None:
            return _failed(EngineEnded(service.thread.ended))
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model]}

    @app.get("/v1/models/{name:path}")
    async def retrieve_model(name: str) -> Response:
        try:
            _check_model(service, name)
        except UnknownModel as error:
            return _failed(error)
        return JSONResponse(model)

    @app.post("/v1/chat/completions")
    async def chat_completions(http: HttpRequest) -> Response:
        return await _answer(service, metrics, http, "chat", _chat)

    @app.post("/v1/completions")
    async def completions(http: HttpRequest) -> Response:
        return await _answer(service, metrics, http, "completions", _completion)

    @app.post("/v1/responses")
    async def responses(http: HttpRequest) -> Response:
        return await _answer(service, metrics, http, "responses", _response)

    @app.post("/update_weights_from_disk")
    async def update_weights(http: HttpRequest) -> Response:
        try:
            body = read_body(WeightsBody, await http.body())
            await service.load(Path(body.model_path))
        except FAILURES as error:
            return _failed(error)
        return JSONResponse({"success": True, "message": f"weights of {body.model_path}"})

    return app


async def _answer(service: Service, metrics: Metrics, http: HttpRequest, endpoint: str, open_: Opener) -> Response:
    observation = metrics.begin(endpoint)
    try:
        opened = await open_(service, await http.body())
    except FAILURES as error:
        return _ended(observation, _failed(error))
    except ClientDisconnect:  # before the body was here
        return _ended(observation, Response(status_code=CALLER_LEFT))
    if opened.stream:
        return StreamingResponse(_events(opened, observation), media_type="text/event-stream")
    whole, left = asyncio.create_task(opened.answer.whole()), asyncio.create_task(_left(http))
    try:
        await asyncio.wait({whole, left}, return_when=asyncio.FIRST_COMPLETED)
        if not whole.done():
            return _ended(observation, Response(status_code=CALLER_LEFT))
        return _ended(observation, JSONResponse(whole.result()), opened.generation)
    except FAILURES as error:
        return _ended(observation, _failed(error))
    finally:
        whole.cancel()
        left.cancel()
        await asyncio.gather(whole, left, return_exceptions=True)


async def _events(opened: Opened, observation: Observation) -> AsyncIterator[str]:
    status = CALLER_LEFT
    try:
        async with aclosing(opened.answer.events()) as events:
            async for event in events:
                observation.piece()
                yield event
        status = 200
    except FAILURES as error:
        status, kind = _status(error)
        yield opened.answer.failure(str(error), kind)
    finally:
        observation.end(status, opened.generation.usage())


async def _left(http: HttpRequest) -> None:
    """Returns when the caller closes the connection."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _ended(observation: Observation, response: Response, generation: Generation | None = None) -> Response:
    observation.end(response.status_code, generation.usage() if generation else None)
    return response


def _status(error: Exception) -> tuple[int, str]:
    """(HTTP status, type of the error in OpenAI's words)."""
    if isinstance(error, UnknownModel):
        return 404, "invalid_request_error"
    if isinstance(error, ServerStopping | EngineEnded):
        return 503, "server_error"
    if isinstance(error, RuntimeError):
        return 500, "server_error"
    return 400, "invalid_request_error"


def _failed(error: Exception) -> JSONResponse:
    status, kind = _status(error)
    field, colon, _ = str(error).partition(":")
    param = error.param if isinstance(error, BadRequest) else field if colon else None
    return JSONResponse(error_body(str(error), kind, param), status)
