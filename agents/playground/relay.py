"""The page in front of another OpenAI-compatible server: its chats are handed on as they come, with the key that stands
in the environment."""

from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from agents.chat.endpoint import Address, EndpointOptions, api_key
from agents.chat.redact import public, redact
from k2model.chat.model_json import ModelJsonError, loads_model_json
from k2model.serving.answers import CALLER_LEFT, error_body, event
from k2model.serving.page import PageTools, add_page

CONNECT_S = 10.0
SILENCE_S = 300.0  # between two pieces of a stream


def relay(spec: str, tools: PageTools | None, hosts: frozenset[str]) -> tuple[FastAPI, str]:
    """(the application, the model's name) for `URL#model`.

    Raises:
        ChatError: it is no URL, or the key is none.
    """
    url, _, model = spec.partition("#")
    address, key = Address.of(url), api_key(EndpointOptions().key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S))
    app = FastAPI(title="k2 chat", docs_url=None, redoc_url=None, openapi_url=None)
    add_page(app, tools, hosts)

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [{"id": model, "object": "model", "owned_by": public(url)}]})

    @app.post("/v1/chat/completions")
    async def chat_completions(http: HttpRequest) -> Response:
        try:
            body = await http.body()
        except ClientDisconnect:  # before the body was here
            return Response(status_code=CALLER_LEFT)
        request = client.build_request("POST", address.url, content=body, headers={"Content-Type": "application/json"})
        try:
            answer = await client.send(request, stream=True)
            if answer.status_code == 200:
                return StreamingResponse(_pieces(answer), media_type=answer.headers.get("content-type"))
            status, problem = answer.status_code, _message(await answer.aread())
        except httpx.HTTPError as error:
            status, problem = 502, str(error) or type(error).__name__
        secrets = (key, *address.secrets)
        return JSONResponse(error_body(f"{public(url)}: {redact(problem, secrets)}", "server_error"), status)

    return app, model


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes; whoever leaves the page leaves the server too."""
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    except httpx.HTTPError as error:
        yield event(error_body(f"the stream broke off: {type(error).__name__}", "server_error")).encode()
    finally:
        await answer.aclose()


def _message(raw: bytes) -> str:
    """What an error's body says."""
    text = raw.decode("utf-8", "replace")
    try:
        return str(loads_model_json(text)["error"]["message"])
    except (ModelJsonError, KeyError, TypeError):
        return text
