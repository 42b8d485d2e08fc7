"""The engine on a thread of its own, and the reading of a request's tokens as they come."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import Delta, TurnReader
from k2model.errors import ConfigError
from k2model.inference.generate import Engine
from k2model.inference.request import Request, Result


@dataclass
class News:
    """New tokens of a request; `finish` on the last, what was asked about the prompt on the first."""

    ids: list[int]
    logprobs: list[float]
    top: list[list[tuple[int, float]]]
    finish: str | None = None
    prompt_logprobs: list[float] = field(default_factory=list)
    prompt_top: list[list[tuple[int, float]]] = field(default_factory=list)


class EngineThread:
    """Runs an engine on a thread of its own; asyncio callers submit and receive."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._listeners: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Queue[News | Exception], int]] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    async def stream(self, request: Request) -> AsyncGenerator[News, None]:
        """Submits a request and yields what is sampled; leaving early cancels it."""
        loop, news = asyncio.get_running_loop(), asyncio.Queue[News | Exception]()
        place: list[int] = []
        self._inbox.put(("submit", (request, loop, news, place)))
        try:
            while True:
                item = await news.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if item.finish is not None:
                    place.clear()
                    return
        finally:
            if place:
                self._inbox.put(("cancel", place[0]))

    async def between_requests(self, action: Callable[[], object]) -> None:
        """Runs `action` on the engine's thread while it is idle.

        Raises:
            ConfigError: requests are in flight.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Queue[Exception | None]()
        self._inbox.put(("act", (action, loop, done)))
        problem = await done.get()
        if problem is not None:
            raise problem

    def stop(self) -> None:
        """Ends the thread after its current step."""
        self._inbox.put(("stop", None))
        self._thread.join()

    def _run(self) -> None:
        while True:
            busy = bool(self.engine.active or self.engine.waiting)
            if not self._read(block=not busy):
                return
            if not (self.engine.active or self.engine.waiting):
                continue
            try:
                finished = self.engine.step()
            except (RuntimeError, ConfigError) as error:
                self.engine.interrupt()
                for handle in list(self._listeners):
                    self._send(handle, error)
                    del self._listeners[handle]
                continue
            for handle, result in self.engine.partial().items():
                self._report(handle, result, None)
            for handle, result in finished:
                self._report(handle, result, result.finish_reason)
                self._listeners.pop(handle, None)

    def _read(self, *, block: bool) -> bool:
        """Takes in what callers sent; False when the thread is to end."""
        while True:
            try:
                kind, value = self._inbox.get(block=block)
            except queue.Empty:
                return True
            block = False
            if kind == "stop":
                return False
            if kind == "cancel":
                self.engine.cancel(value)
                self._listeners.pop(value, None)
                continue
            if kind == "act":
                self._act(*value)
                continue
            request, loop, news, place = value
            handle = self.engine.submit(request)
            place.append(handle)
            self._listeners[handle] = (loop, news, 0)

    def _act(
        self,
        action: Callable[[], object],
        loop: asyncio.AbstractEventLoop,
        done: "asyncio.Queue[Exception | None]",
    ) -> None:
        problem: Exception | None = None
        if self.engine.active or self.engine.waiting:
            problem = ConfigError("model_path: requests are in flight; weights change between them")
        else:
            try:
                action()
            except RuntimeError as error:
                problem = ConfigError(f"model_path: {error}")
        loop.call_soon_threadsafe(done.put_nowait, problem)

    def _report(self, handle: int, result: Result, finish: str | None) -> None:
        if handle not in self._listeners:
            return
        loop, news, seen = self._listeners[handle]
        self._listeners[handle] = (loop, news, len(result.ids))
        item = News(result.ids[seen:], result.logprobs[seen:], result.top[seen:], finish)
        if not seen:
            item.prompt_logprobs, item.prompt_top = result.prompt_logprobs, result.prompt_top
        self._send(handle, item)

    def _send(self, handle: int, item: News | Exception) -> None:
        loop, news, _ = self._listeners[handle]
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.put_nowait, item)


class Choice:
    """Turns the tokens of one request into deltas of text, reasoning and calls."""

    def __init__(self, tokenizer: K2Tokenizer, stops: Sequence[str], *, markup: bool) -> None:
        self._reader = TurnReader(tokenizer, markup=markup, stops=stops)
        self.deltas: list[Delta] = []
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.top: list[list[tuple[int, float]]] = []
        self.finish: str | None = None

    def feed(self, news: News) -> list[Delta]:
        self.ids += news.ids
        self.logprobs += news.logprobs
        self.top += news.top
        deltas = self._reader.feed(news.ids)
        if self._reader.stopped:
            news.finish = "stop"
        if news.finish is not None:
            deltas += self._reader.close()
        self.deltas += deltas
        if news.finish is not None:
            called = any(delta.call is not None for delta in self.deltas)
            self.finish = "tool_calls" if called and news.finish == "stop" else news.finish
        return deltas
