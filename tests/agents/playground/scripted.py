"""A server whose model writes what a script says, token by token: everything behind and before the network is real."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from agents.playground.__main__ import HOST, NAMES
from k2model.chat.tokenizer import K2Tokenizer
from k2model.inference.request import Generated, Request
from k2model.serving import service as serving
from k2model.serving.app import make_app
from k2model.serving.page import PageTools
from k2model.serving.server import bind

Script = Callable[[str], str]  # the prompt as text → the turn, with its markers


class ScriptedEngine:
    """The engine's face; one token of each request a step."""

    def __init__(self, tokenizer: K2Tokenizer, script: Script, max_length: int, pause_s: float) -> None:
        self.tokenizer, self.script = tokenizer, script
        self.max_length, self.pause_s = max_length, pause_s
        self.model = SimpleNamespace(state_dict=dict)
        self.active: dict[int, tuple[list[int], Generated, Request]] = {}
        self.waiting: list[int] = []
        self.submitted = 0

    @property
    def busy(self) -> bool:
        return bool(self.active)

    def submit(self, request: Request) -> int:
        self.submitted += 1
        written = self.script(self.tokenizer.decode(request.prompt))
        ids = [*self.tokenizer.encode(written, parse_special=True), self.tokenizer.im_end]
        self.active[self.submitted] = ids, Generated(len(request.prompt)), request
        return self.submitted

    def cancel(self, handle: int) -> None:
        self.active.pop(handle, None)

    def partial(self) -> dict[int, Generated]:
        return {handle: generated for handle, (_, generated, _) in self.active.items()}

    def interrupt(self) -> None:
        self.active.clear()

    def step(self) -> list[tuple[int, Generated]]:
        time.sleep(self.pause_s)
        finished = []
        for handle, (ids, generated, request) in list(self.active.items()):
            generated.ids.append(ids[len(generated.ids)])
            generated.logprobs.append(0.0)
            generated.top.append([])
            whole = len(generated.ids) == len(ids)
            if whole or len(generated.ids) == request.max_tokens:
                generated.finish_reason = "stop" if whole else "length"
                finished.append((handle, generated))
                del self.active[handle]
        return finished


@contextmanager
def scripted_server(
    tokenizer: K2Tokenizer, script: Script, tools: PageTools | None, *, max_length: int = 40_000, pause_s: float = 0.002
) -> Iterator[str]:
    """The URL of a server whose model is called `scripted`."""
    network: Any = SimpleNamespace(config=SimpleNamespace(vocab_size=tokenizer.vocab_size))
    engine = ScriptedEngine(tokenizer, script, max_length, pause_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "_engine", lambda *_: engine)
        service = serving.Service(network, tokenizer, "scripted", max_batch=4, max_length=max_length)
    with serve(make_app(service, tools, NAMES)) as url:
        yield url
    service.close()


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """The URL of an application on a thread of this process."""
    sock = bind(HOST, 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        yield f"http://{HOST}:{sock.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        sock.close()


def counted(url: str, name: str) -> float:
    """The sum of the server's metrics whose line begins so."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def leave_after_a_piece(url: str, model: str, **body: Any) -> None:
    """Asks for a long answer and goes when its first text is here."""
    ask = {"model": model, "messages": [{"role": "user", "content": "forever"}], "stream": True} | body
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=ask, timeout=30) as answer:
        assert answer.status_code == 200
        next(line for line in answer.iter_lines() if line.startswith("data:") and '"role"' not in line)


def wait_until_left(url: str, times: int) -> None:
    """Until nothing is decoded and so many callers were counted as gone."""
    left = 'k2_requests_total{endpoint="chat",status="499"}'
    deadline = time.monotonic() + 20
    while (counted(url, "k2_active_requests"), counted(url, left)) != (0, times):
        assert time.monotonic() < deadline, httpx.get(f"{url}/metrics").text
        time.sleep(0.02)
