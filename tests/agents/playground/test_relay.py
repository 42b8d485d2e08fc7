"""The page before another server: errors in one line, no secret in them, a stream that breaks."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.playground.__main__ import NAMES
from agents.playground.relay import Relay
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from tests.agents.playground.scripted import leave_after_a_piece, scripted_server, serve, wait_until_left

KEY = "sk-verysecret123456"
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
seen: list[str] = []


class Upstream(BaseHTTPRequestHandler):
    """Answers by what the body says."""

    def do_POST(self) -> None:
        seen.append(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"refuse" in body:
            self._send(401, b'{"error": {"message": "wrong key %s\\nsorry"}}' % KEY.encode())
        elif b"page" in body:
            self._send(502, b"<html>\nBad gateway</html>")
        else:  # shorter than promised
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", "9999")
            self.end_headers()
            self.wfile.write(EVENT)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(spec: str, text: str, **headers: str) -> httpx.Response:
    relay = Relay(spec, None, frozenset({"127.0.0.1"}))
    assert relay.name == "m"

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=relay.app), base_url="http://127.0.0.1"
        ) as client:
            return await client.post("/v1/chat/completions", content=text, headers=headers)

    return asyncio.run(send())


def test_an_error_is_handed_on_in_one_line_without_the_key(upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    answer = ask(f"{upstream}#m", "refuse")
    assert seen[-1] == f"Bearer {KEY}"
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == f"{upstream}: wrong key [key] sorry"
    assert ask(f"{upstream}#m", "page").json()["error"]["message"] == f"{upstream}: <html> Bad gateway</html>"


def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    answer = ask("http://user:password1@127.0.0.1:9/v1#m", "x")
    assert answer.status_code == 502
    message = answer.json()["error"]["message"]
    assert message.startswith("http://127.0.0.1:9/v1: ") and "password1" not in message and "\n" not in message


def test_a_stream_that_breaks_ends_with_an_error_event(upstream: str) -> None:
    answer = ask(f"{upstream}#m", "x")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content.startswith(EVENT)
    assert b"the stream broke off" in answer.content.removeprefix(EVENT)


def test_a_foreign_page_may_not_spend_the_key(upstream: str) -> None:
    before = len(seen)
    assert ask(f"{upstream}#m", "x", Origin="http://evil.example").status_code == 403
    assert len(seen) == before


def test_who_leaves_the_page_leaves_the_server_behind_it(tmp_path: Path) -> None:
    save_tokenizer(
        train_tokenizer(["word on and airline status"] * 20, 280), tmp_path, chat_template="", max_length=1024
    )
    with scripted_server(load_tokenizer(tmp_path), lambda _: "on and " * 4000, None) as behind:
        relay = Relay(f"{behind}/v1#scripted", None, NAMES)
        with serve(relay.app) as url:
            assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "scripted"
            leave_after_a_piece(url, "scripted")
            wait_until_left(behind, 1)
            wrong = {"model": "other", "messages": [{"role": "user", "content": "x"}]}
            answer = httpx.post(f"{url}/v1/chat/completions", json=wrong)
            assert answer.status_code == 404
            assert answer.json()["error"]["message"].startswith(f"{behind}/v1: model: 'other' is not served here")
