"""A chat endpoint on 127.0.0.1 that answers after a fixed time, or misbehaves as it is told.

python -m bench.mock_endpoint 0.5        serves until its standard input closes; prints its URL
"""

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

# (body of the request, how often it was asked before) → what to do
Behaviour = Callable[[dict[str, Any], int], "Action"]


class Action:
    """An answer: after `delay_s` a status, headers and a body; `cut` closes the connection instead."""

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        status: int = 200,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        cut: bool = False,
    ) -> None:
        self.delay_s, self.status, self.headers, self.raw, self.cut = delay_s, status, headers or {}, raw, cut


def echo(body: dict[str, Any]) -> bytes:
    text = "echo: " + str(body["messages"][-1]["content"])
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


class MockEndpoint:
    """A server in a thread of its own; `asked` counts requests by the content of their last message."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour: Behaviour = behaviour or (lambda body, before: Action())
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.headers_seen: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MockEndpoint":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        name = str(body["messages"][-1]["content"])
        before = self.asked[name]
        self.asked[name] += 1
        self.headers_seen.append(headers)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        action = self.behaviour(body, before)
        await asyncio.sleep(action.delay_s)
        self.in_flight -= 1
        if action.cut:
            return False
        raw = echo(body) if action.raw is None else action.raw
        extra = "".join(f"{key}: {value}\r\n" for key, value in action.headers.items())
        writer.write(f"HTTP/1.1 {action.status} X\r\n{extra}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()
        if action.status == 200:
            self.answered[name] += 1
        return True


def main() -> None:
    delay_s = float(sys.argv[1])
    with MockEndpoint(lambda body, before: Action(delay_s=delay_s)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
