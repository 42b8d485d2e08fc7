"""The page at `/` on which one talks with the model, the tools that it may run, and who may ask at all."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from k2model.chat.model_json import ModelJsonError, loads_arguments, well_formed
from k2model.serving.answers import CALLER_LEFT, error_body
from k2model.serving.api import BadRequest, RequestObject, read_body
from k2model.serving.parameters import DONE

BODY_BYTES = 1_000_000  # of a call
RESULT_CHARACTERS = 20_000  # that are kept of what a tool returned
CALLS_AT_ONCE = 8
_UNGUESSED = {"X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class OfferedTool:
    """A tool that the page can declare to the model.

    Attributes:
        source: whose it is, as the page shows it.
        declaration: in OpenAI's shape.
        on: whether it is declared until the reader of the page decides otherwise.
    """

    source: str
    declaration: Mapping[str, Any]
    on: bool


class PageTools(Protocol):
    """What runs the calls of the page's conversations; each conversation may have a state of its own."""

    def offered(self) -> Sequence[OfferedTool]: ...

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """(what an offered tool returned, whether it is an error); called from several threads."""

    def state(self, conversation: str) -> Mapping[str, Any] | None:
        """What the calls of a conversation work on, as JSON values; None where that can't be seen."""


class CallBody(RequestObject):
    """A call as the model wrote it."""

    decisions = {"conversation": DONE, "name": DONE, "arguments": DONE}
    conversation: str = Field(max_length=64)
    name: str
    arguments: str


class OwnPagesOnly:
    """Answers 403 to what a page of another site sends through the reader's browser.

    Args:
        hosts: the names under which the server is asked for; None: any. Where a call has effects, a name must be known:
            a foreign site can give its own name this machine's address, and its pages then are of one origin with us.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(Headers(scope=scope)) if scope["type"] == "http" else ""
        if problem:
            await JSONResponse(error_body(problem, "invalid_request_error"), 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _problem(self, headers: Headers) -> str:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        name = re.sub(r":\d*$", "", host)
        if self._hosts is not None and name not in self._hosts:
            return f"host: {name!r} is not a name of this server"
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            return f"origin: a page of {origin} may not ask this server"
        return ""


def add_page(app: FastAPI, tools: PageTools | None, hosts: frozenset[str] | None) -> None:
    """`/`, `/page/tools` and `/page/calls`, and the check of who asks on every path of `app` (see `OwnPagesOnly`)."""
    app.add_middleware(OwnPagesOnly, hosts=hosts)
    html = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _policy(html), "Cache-Control": "no-cache"} | _UNGUESSED
    # Not asyncio's own pool, for whose work the end of the loop waits.
    pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="tool")
    offered = list(tools.offered()) if tools is not None else []
    names = {tool.declaration["function"]["name"] for tool in offered}
    listed = [{"source": tool.source, "declaration": tool.declaration, "on": tool.on} for tool in offered]

    @app.get("/")
    async def page() -> Response:
        return HTMLResponse(html, headers=headers)

    @app.get("/page/tools")
    async def page_tools(conversation: str = "") -> Response:
        state = tools.state(conversation[:64]) if tools is not None else None
        return JSONResponse({"tools": listed, "state": state}, headers=_UNGUESSED)

    @app.post("/page/calls")
    async def page_calls(http: HttpRequest) -> Response:
        try:
            body = read_body(CallBody, await _bytes(http))
        except BadRequest as error:
            return JSONResponse(error_body(str(error), "invalid_request_error", error.param), 400)
        except ClientDisconnect:  # before the body was here
            return Response(status_code=CALLER_LEFT)
        if tools is None or body.name not in names:
            return JSONResponse({"content": not_run(f"no tool {body.name!r}"), "error": True, "state": None})
        try:
            arguments = loads_arguments(body.arguments)
        except ModelJsonError as error:
            content, failed = not_run(f"the arguments: {error}"), True
        else:
            running = asyncio.get_running_loop().run_in_executor(
                pool, tools.call, body.conversation, body.name, arguments
            )
            try:
                content, failed = await running
            except asyncio.CancelledError:  # the tool's work goes on, nobody waits for it
                return JSONResponse(error_body("the server is stopping", "server_error"), 503)
        state = tools.state(body.conversation)
        return JSONResponse({"content": _shortened(well_formed(content)), "error": failed, "state": state})


def not_run(reason: str) -> str:
    """The result of a call that never reached its tool, as the think–act loop writes it."""
    return json.dumps({"error": f"not run: {reason}"})


async def _bytes(http: HttpRequest) -> bytes:
    raw = b""
    async for chunk in http.stream():
        raw += chunk
        if len(raw) > BODY_BYTES:
            raise BadRequest(f"the body of the request exceeds {BODY_BYTES} bytes")
    return raw


def _shortened(text: str) -> str:
    cut = len(text) - RESULT_CHARACTERS
    return text if cut <= 0 else f"{text[:RESULT_CHARACTERS]}[{cut} characters cut]"


def _policy(html: str) -> str:
    """Lets the page's own style and script run, and nothing that comes into it later."""
    inside = [re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[0] for tag in ("style", "script")]
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inside)
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
