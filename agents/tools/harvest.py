"""Tools of any running MCP server, over stdio or HTTP, through the `mcp` SDK."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mcp import Client, MCPError, StdioServerParameters

TIMEOUT_S = 30.0


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


async def _list(server: str | Sequence[str]) -> list[McpTool]:
    name = server if isinstance(server, str) else " ".join(server)
    async with Client(_transport(server), read_timeout_seconds=TIMEOUT_S) as client:
        tools: list[McpTool] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                declared = tool.model_dump(by_alias=True, exclude_none=True)
                returns = declared.get("outputSchema") or {"type": "object"}
                tools.append(McpTool(name, tool.name, tool.description or "", declared["inputSchema"], returns))
            cursor = page.next_cursor
            if not cursor:
                return tools


def harvest(server: str | Sequence[str]) -> list[McpTool]:
    """Every tool of a server: a URL (streamable HTTP), or a command that speaks MCP on its standard streams.

    Raises:
        ServerError: it could not be reached or gave an error.
    """
    name = server if isinstance(server, str) else " ".join(server)
    try:
        return asyncio.run(asyncio.wait_for(_list(server), TIMEOUT_S))
    except (OSError, TimeoutError, MCPError, ExceptionGroup) as error:
        raise ServerError(f"MCP server {name}: {error}") from error


class McpToolbox:
    """A running MCP server as a toolbox of the think–act loop (`agents/loop/loop.py`).

    with McpToolbox(["mcp-server-time"]) as toolbox:
        text, error = toolbox("get_current_time", {"timezone": "Europe/Oslo"})
    """

    def __init__(self, server: str | Sequence[str]) -> None:
        self.server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stop = asyncio.Event()

    def __enter__(self) -> "McpToolbox":
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        try:
            self._client = opened.result(TIMEOUT_S)
        except (OSError, TimeoutError, MCPError, ExceptionGroup) as error:
            raise ServerError(f"MCP server {self.server}: {error}") from error
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
            if not ready.done():
                ready.set_exception(error)
            else:
                raise

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        called = asyncio.run_coroutine_threadsafe(self._client.call_tool(name, dict(arguments)), self._loop)
        try:
            result = called.result(TIMEOUT_S)
        except MCPError as error:
            return json.dumps({"error": str(error)}), True
        text = "\n".join(part.text for part in result.content if part.type == "text")
        return text, bool(result.is_error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            self._stop.set()
            await self._task

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
