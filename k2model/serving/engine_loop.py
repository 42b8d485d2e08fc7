"""The engine on a thread of its own, and the reading of a request's tokens as they come."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import Delta, TurnReader
from k2model.errors import ConfigError
from k2model.inference.generate import Engine
from k2model.inference.request import Generated, Request, RequestFailed

logger = logging.getLogger(__name__)


@dataclass
class News:
    """New tokens of a request; `finish` on the last, what is said about the prompt on the first."""

    ids: list[int]
    logprobs: list[float]
    top: list[list[tuple[int, float]]]
    finish: str | None = None
    prompt_logprobs: list[float] = field(default_factory=list)
    prompt_top: list[list[tuple[int, float]]] = field(default_factory=list)
    cached_tokens: int = 0


class EngineEnded(RuntimeError):
    """The engine's thread does not run any more: it was stopped, or it failed."""


@dataclass(eq=False)
class _Caller:
    """Who waits for a request, on an event loop; only the engine's thread uses `handle` and `told`."""

    request: Request
    loop: asyncio.AbstractEventLoop
    news: "asyncio.Queue[News | Exception]"
    handle: int = -1
    told: int = 0  # tokens

    def tell(self, item: News | Exception) -> bool:
        """False when nobody listens any more."""
        return _put(self.loop, self.news, item)


@dataclass
class _Leave:
    caller: _Caller


@dataclass
class _Action:
    """What is done between requests."""

    work: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    outcome: "asyncio.Queue[Exception | None]"


class EngineThread:
    """Runs an engine on a thread of its own; asyncio callers submit and receive."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._inbox: queue.SimpleQueue[_Caller | _Leave | _Action | None] = queue.SimpleQueue()
        self._callers: dict[int, _Caller] = {}
        self._lock = threading.Lock()  # between a message and the end of who reads it
        self._end: str | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> str | None:
        """Why the thread does nothing any more; None while it runs."""
        return self._end

    async def stream(self, request: Request) -> AsyncGenerator[News, None]:
        """Submits a request and yields what is sampled; leaving early takes it out, wherever it is.

        Raises:
            ConfigError: a request that can't be, or whose constraint can't be followed.
            RequestFailed: it failed for another reason; the engine goes on.
            EngineEnded: the engine was stopped or failed.
        """
        caller = _Caller(request, asyncio.get_running_loop(), asyncio.Queue())
        self._send(caller)
        done = False
        try:
            while not done:
                item = await caller.news.get()
                done = isinstance(item, Exception) or item.finish is not None
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            if not done and self._end is None:
                self._inbox.put(_Leave(caller))

    async def between_requests(self, action: Callable[[], object]) -> None:
        """Runs `action` on the engine's thread while it is idle.

        Raises:
            ConfigError: requests are in flight.
            EngineEnded: the engine was stopped or failed.
            Exception: what `action` raised.
        """
        outcome: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._send(_Action(action, asyncio.get_running_loop(), outcome))
        problem = await outcome.get()
        if problem is not None:
            raise problem

    def stop(self, timeout: float = 5.0) -> bool:
        """Ends the thread after its current step; who waits gets `EngineEnded`, at the latest after `timeout` seconds.

        Returns:
            Whether the thread has ended.
        """
        self._inbox.put(None)
        self._thread.join(timeout)
        self._close("the engine was stopped")
        return not self._thread.is_alive()

    def _send(self, message: _Caller | _Action) -> None:
        with self._lock:
            if self._end is not None:
                raise EngineEnded(self._end)
            self._inbox.put(message)

    def _close(self, end: str) -> None:
        """Tells everybody who waits, or comes later, that nothing is done any more."""
        with self._lock:
            self._end = self._end or end
        error = EngineEnded(self._end)
        for caller in list(self._callers.values()):
            caller.tell(error)
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._inbox.get_nowait()
                if isinstance(message, _Caller):
                    message.tell(error)
                elif isinstance(message, _Action):
                    _put(message.loop, message.outcome, error)

    def _run(self) -> None:
        end = "the engine was stopped"
        try:
            while self._end is None and self._take_in():
                if self.engine.busy:
                    self._step()
            self.engine.interrupt()
        except BaseException as error:
            logger.critical("the engine failed", exc_info=error)
            end = f"the engine failed: {type(error).__name__}: {error}"
        self._close(end)

    def _take_in(self) -> bool:
        """Does what callers sent, waiting for it while there is nothing else to do; False when the thread is to end."""
        idle = not self.engine.busy
        while True:
            try:
                message = self._inbox.get(block=idle)
            except queue.Empty:
                return True
            idle = False
            if message is None:
                return False
            if isinstance(message, _Caller):
                self._submit(message)
            elif isinstance(message, _Leave):
                self._forget(message.caller.handle)
            else:
                self._act(message)

    def _submit(self, caller: _Caller) -> None:
        try:
            caller.handle = self.engine.submit(caller.request)
        except ConfigError as error:
            caller.tell(error)
        except Exception as error:  # noqa: BLE001  of values that no check foresaw: the caller's alone
            caller.tell(RequestFailed(-1, error))
        else:
            self._callers[caller.handle] = caller

    def _forget(self, handle: int) -> None:
        self.engine.cancel(handle)
        self._callers.pop(handle, None)

    def _act(self, action: _Action) -> None:
        problem: Exception | None = None
        if self.engine.busy:
            problem = ConfigError("model_path: requests are in flight; weights change between them")
        else:
            try:
                action.work()
            except Exception as error:  # noqa: BLE001  raised where the action comes from
                problem = error
        _put(action.loop, action.outcome, problem)

    def _step(self) -> None:
        finished: list[tuple[int, Generated]] = []
        try:
            finished = self.engine.step()
        except RequestFailed as failure:
            self._fail(failure)
        for handle, result in self.engine.partial().items():
            self._report(handle, result, None)
        for handle, result in finished:
            self._report(handle, result, result.finish_reason)
            self._callers.pop(handle, None)

    def _fail(self, failure: RequestFailed) -> None:
        caller, cause = self._callers.pop(failure.handle, None), failure.__cause__
        if not isinstance(cause, ConfigError):
            logger.error("a request failed", exc_info=failure)
        if caller is not None:
            caller.tell(ConfigError(str(cause)) if isinstance(cause, ConfigError) else failure)

    def _report(self, handle: int, result: Generated, finish: str | None) -> None:
        caller = self._callers.get(handle)
        if caller is None or (finish is None and caller.told == len(result.ids)):
            return
        told = caller.told
        news = News(result.ids[told:], result.logprobs[told:], result.top[told:], finish)
        if not told:
            news.prompt_logprobs, news.prompt_top = result.prompt_logprobs, result.prompt_top
            news.cached_tokens = result.cached_tokens
        caller.told = len(result.ids)
        if not caller.tell(news):
            self._forget(handle)


def _put(loop: asyncio.AbstractEventLoop, inbox: "asyncio.Queue[Any]", item: object) -> bool:
    """Puts into a queue of another thread's event loop; False when the loop has ended."""
    try:
        loop.call_soon_threadsafe(inbox.put_nowait, item)
    except RuntimeError:
        return False
    return True


class Choice:
    """Turns the tokens of one request into deltas of text, reasoning and calls."""

    def __init__(self, tokenizer: K2Tokenizer, request: Request) -> None:
        self._reader = TurnReader(tokenizer, markup=request.markup, stops=request.stop_strings)
        self._stop_ids = request.stop_ids
        self.deltas: list[Delta] = []
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.top: list[list[tuple[int, float]]] = []
        self.finish: str | None = None
        self.cached_tokens = 0

    def feed(self, news: News) -> list[Delta]:
        self.cached_tokens += news.cached_tokens
        self.ids += news.ids
        self.logprobs += news.logprobs
        self.top += news.top
        deltas = self._reader.feed([token for token in news.ids if token not in self._stop_ids])
        if self._reader.stopped:
            news.finish = "stop"
        if news.finish is not None:
            deltas += self._reader.close()
        self.deltas += deltas
        if news.finish is not None:
            called = any(delta.call is not None for delta in self.deltas)
            self.finish = "tool_calls" if called and news.finish == "stop" else news.finish
        return deltas
