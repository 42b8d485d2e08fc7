"""A rollout server that sends whatever: streams are read as they are meant, or end with one typed error."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents.chat.losses import Losses
from k2model.inference.request import Request
from stages.rl.backends import RolloutError, ServerBackend

TOKENS = {"choices": [{"token_ids": [5], "logprobs": {"token_logprobs": [-0.5]}, "finish_reason": None}]}
LAST = {"choices": [{"token_ids": [6], "logprobs": {"token_logprobs": [-1]}, "finish_reason": "stop"}]}


class Streaming:
    """Answers every POST with these bytes, in pieces; repeats the last one without end when `endless`."""

    def __init__(self, pieces: list[bytes], endless: bool = False) -> None:
        self.pieces, self.endless = pieces, endless
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in self.pieces:
                self._send(connection, piece)
            while self.endless:
                self._send(connection, self.pieces[-1])
                time.sleep(0.02)
            connection.sendall(b"0\r\n\r\n")
            _part(connection)

    @staticmethod
    def _send(connection: socket.socket, piece: bytes) -> None:
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))


def _part(connection: socket.socket) -> None:
    """Ends the answer and waits for the caller: a close with unread data would reset the connection."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65_536):
        pass


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _step(pieces: list[bytes], endless: bool = False) -> Iterator[Any]:
    backend = ServerBackend(Streaming(pieces, endless).url, "m", 2, 0.5)
    backend.submit(Request([1, 2], 8))
    return iter(backend.step())


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\r"])
def test_an_event_ends_at_a_line_feed_alone(separator: str) -> None:
    text = {"choices": [TOKENS["choices"][0] | {"text": f"a{separator}b"}]}
    ((_, result),) = _step([_event(text), _event(LAST)])
    assert (result.ids, result.logprobs, result.finish_reason) == ([5, 6], [-0.5, -1], "stop")


def test_events_are_whole_whatever_pieces_they_come_in() -> None:
    stream = (
        b": hello\r\n\r\nevent: x\nid: 3\n"
        + _event(TOKENS).replace(b"\n", b"\r\n")
        + _event(LAST)
        + b"data: [DONE]\n\n"
    )
    ((_, result),) = _step([stream[k : k + 1] for k in range(len(stream))])
    assert result.ids == [5, 6]


@pytest.mark.parametrize(
    "event",
    [
        {"choices": []},
        {"choices": None},
        {"usage": {"prompt_tokens": 3}},
        {"choices": [{"token_ids": [], "logprobs": None, "finish_reason": None}]},
        {"choices": [{"token_ids": None, "logprobs": None}]},
        {"choices": [{"index": 0, "text": ""}]},
        {"choices": [], "error": None},
    ],
)
def test_an_event_about_nothing_is_passed_over(event: Any) -> None:
    ((_, result),) = _step([_event(TOKENS), _event(event), _event(LAST)])
    assert (result.ids, result.finish_reason) == ([5, 6], "stop")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (_event({"error": "out of memory"}), "out of memory$"),
        (_event({"error": {"message": "out\nof memory", "code": 500}}), "out of memory$"),
        (_event({"error": {"code": 500}}), "None$"),
        (_event([]), "an event that is list$"),
        (_event({"choices": ["a"]}), "a choice that is str$"),
        (_event({"choices": [{"token_ids": [1], "logprobs": None}]}), "1 tokens with 0 logprobs$"),
        (_event({"choices": [{"token_ids": ["a"], "logprobs": {"token_logprobs": [0.0]}}]}), "no numbers$"),
        (_event({"choices": [{"token_ids": [1], "logprobs": {"token_logprobs": [None]}}]}), "no numbers$"),
        (b"data: {torn\n\n", "not JSON"),
        (b"data: " + b"[" * 20_000 + b"\n\n", "nested deeper"),
        (b'data: {"choices": [{"token_ids": [' + b"9" * 4301 + b"]}]}\n\n", "a number of 4301 digits$"),
        (b'data: {"choices": [{"token_ids": 5, "logprobs": 7}]}\n\n', "no list$"),
        (b"", "the stream ended without a finish reason$"),
    ],
)
def test_an_event_that_is_none_ends_the_wait_with_an_error(event: bytes, line: str) -> None:
    with pytest.raises(RolloutError, match=line) as failure:
        next(_step([_event(TOKENS), *([event] if event else [])]))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("blank", [b": keep-alive\n\n", b"\n", b'data: {"choices": []}\n\n'])
def test_a_server_that_sends_no_token_any_more_is_not_waited_for(blank: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(RolloutError, match="no token in 0.5 s"):
        next(_step([_event(TOKENS), blank], endless=True))
    assert time.monotonic() - started < 10


class Refusing(Streaming):
    """Answers every `every`-th POST with 400, the others with one token and an end."""

    def __init__(self, every: int) -> None:
        self.every, self.count = every, 0
        super().__init__([_event(LAST)])

    def _serve(self, connection: socket.socket) -> None:
        self.count += 1
        if self.count % self.every:
            super()._serve(connection)
            return
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            answer = b'{"error": "filter"}'
            head = b"HTTP/1.1 400 no\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(answer)
            connection.sendall(head + answer)
            _part(connection)


def test_a_request_that_the_server_refuses_costs_that_rollout() -> None:
    losses = Losses(0.2)
    backend = ServerBackend(Refusing(8).url, "m", 1, 5.0, losses)
    handles = [backend.submit(Request([1, 2], 8)) for _ in range(16)]
    results = dict(result for _ in handles for result in backend.step())
    assert sorted(results) == handles
    assert [results[handle].finish_reason for handle in handles].count("refused") == 2
    assert losses.failed == 2 and "filter" in losses.line()


def test_a_server_that_refuses_too_much_ends_the_run_in_one_line() -> None:
    backend = ServerBackend(Refusing(2).url, "m", 1, 5.0, Losses(0.2))
    for _ in range(40):
        backend.submit(Request([1, 2], 8))
    with pytest.raises(RolloutError, match=r"requests got no answer.*max_failed_share is 0\.2"):
        for _ in range(40):
            backend.step()
