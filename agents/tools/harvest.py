"""Tools of any running MCP server, over stdio or HTTP, through the `mcp` SDK."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from mcp import Client, MCPError, StdioServerParameters

from agents.chat.redact import public, redact, secrets_of

TIMEOUT_S = 30.0
ENDING_S = 20.0  # more than the SDK takes to end a process that will not
Returned = TypeVar("Returned")


class ServerError(Exception):
    """An MCP server that did not start, answer, or list its tools; the message names it."""


@dataclass(frozen=True)
class McpTool:
    """A tool as its server declares it."""

    server: str
    name: str
    description: str
    parameters: dict[str, Any]
    returns: dict[str, Any]


def _transport(server: str | Sequence[str]) -> StdioServerParameters | str:
    if isinstance(server, str):
        return server
    return StdioServerParameters(command=server[0], args=list(server[1:]))


def harvest(server: str | Sequence[str]) -> list[McpTool]:
    """Every tool of a server: a URL (streamable HTTP), or a command that speaks MCP on its standard streams.

    Raises:
        ServerError: it could not be reached or gave an error.
    """
    with McpToolbox(server) as toolbox:
        return toolbox.tools()


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, ExceptionGroup):
        return "; ".join(dict.fromkeys(map(_reason, error.exceptions)))
    return str(error) or type(error).__name__


class McpToolbox:
    """A running MCP server as a toolbox of the think–act loop (`agents/loop/loop.py`).

    with McpToolbox(["mcp-server-time"]) as toolbox:
        text, error = toolbox("get_current_time", {"timezone": "Europe/Oslo"})
    """

    def __init__(self, server: str | Sequence[str]) -> None:
        self.server = server
        self.name = server if isinstance(server, str) else " ".join(server)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mcp", daemon=True)
        self._stop = asyncio.Event()
        self._ready = False

    def __enter__(self) -> "McpToolbox":
        """Raises ServerError: the server did not start, or is none."""
        self._thread.start()
        try:
            self._client = self._wait(self._open())
        except ServerError:
            self._close()
            raise
        self._ready = True
        return self

    async def _open(self) -> Client:
        ready: asyncio.Future[Client] = self._loop.create_future()
        self._task = self._loop.create_task(self._serve(ready))
        return await ready

    async def _serve(self, ready: "asyncio.Future[Client]") -> None:
        try:
            async with Client(_transport(self.server), read_timeout_seconds=TIMEOUT_S) as client:
                ready.set_result(client)
                await self._stop.wait()
        except (OSError, MCPError, ExceptionGroup) as error:
            if not ready.done():  # later, each call was told
                ready.set_exception(error)

    def tools(self) -> list[McpTool]:
        """Every tool, in the server's order; raises ServerError."""
        return self._wait(self._list())

    async def _list(self) -> list[McpTool]:
        tools: list[McpTool] = []
        cursor: str | None = None
        while True:
            page = await self._client.list_tools(cursor=cursor)
            for tool in page.tools:
                declared = tool.model_dump(by_alias=True, exclude_none=True)
                returns = declared.get("outputSchema") or {"type": "object"}
                tools.append(McpTool(self.name, tool.name, tool.description or "", declared["inputSchema"], returns))
            cursor = page.next_cursor
            if not cursor:
                return tools

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """What cannot be reached any more, or does not answer in `TIMEOUT_S`, is an error of the call."""
        called = asyncio.run_coroutine_threadsafe(self._client.call_tool(name, dict(arguments)), self._loop)
        try:
            result = called.result(TIMEOUT_S + 1.0)
        except MCPError as error:
            return json.dumps({"error": str(error)}), True
        parts = [part.text if part.type == "text" else f"[{part.type}]" for part in result.content]
        return "\n".join(parts), bool(result.is_error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _wait(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(TIMEOUT_S)
        except (OSError, TimeoutError, MCPError, ExceptionGroup) as error:
            future.cancel()
            secrets = secrets_of(self.server) if isinstance(self.server, str) else ()
            shown = redact(public(self.name), secrets)
            raise ServerError(f"MCP server {shown}: {redact(_reason(error), secrets)}") from None

    def _close(self) -> None:
        async def end() -> None:
            self._stop.set()
            if not self._ready:
                self._task.cancel()
            await asyncio.wait({self._task})

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(ENDING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
