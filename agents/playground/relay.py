"""The page in front of another OpenAI-compatible server: its chats are handed on as they come, with the key that stands
in the environment."""

import asyncio
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


class Relay:
    """`app` answers for the model `name`, as `URL#model` says where it is (`k2model.serving.server.Working`).

    Raises:
        ChatError: it is no URL, or the key is none.
    """

    def __init__(self, spec: str, tools: PageTools | None, hosts: frozenset[str]) -> None:
        url, _, self.name = spec.partition("#")
        self._url, self._address = public(url), Address.of(url)
        self._key = api_key(EndpointOptions().key_variable)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S))
        self._closing: asyncio.Task[None] | None = None
        self.app = FastAPI(title="k2 chat", docs_url=None, redoc_url=None, openapi_url=None)
        add_page(self.app, tools, hosts)
        self.app.add_api_route("/v1/models", self._models)
        self.app.add_api_route("/v1/chat/completions", self._chat_completions, methods=["POST"])

    def refuse(self) -> None:
        """The other server may still answer what comes while the last answers end."""

    def stop(self) -> None:
        """Closes the connections: the streams end with an error event."""
        self._closing = asyncio.get_running_loop().create_task(self._client.aclose())

    def close(self, timeout: float) -> None:
        """Nothing is left."""

    async def _models(self) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": self._url}]})

    async def _chat_completions(self, http: HttpRequest) -> Response:
        try:
            body = await http.body()
        except ClientDisconnect:  # before the body was here
            return Response(status_code=CALLER_LEFT)
        headers = {"Content-Type": "application/json"}
        request = self._client.build_request("POST", self._address.url, content=body, headers=headers)
        try:
            answer = await self._client.send(request, stream=True)
            if answer.status_code == 200:
                return StreamingResponse(_pieces(answer), media_type=answer.headers.get("content-type"))
            status, problem = answer.status_code, _message(await answer.aread())
        except httpx.HTTPError as error:
            status, problem = 502, str(error) or type(error).__name__
        message = f"{self._url}: {redact(problem, (self._key, *self._address.secrets))}"
        return JSONResponse(error_body(message, "server_error"), status)


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
