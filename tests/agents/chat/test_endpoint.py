import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import BudgetExceeded, ChatAnswer, ChatError, ChatRefusal, ChatRequest, ChatResponse, Dialog
from agents.chat.reply import asked_pause
from agents.chat.store import AnswerStore, CachedClient
from bench.mock_endpoint import Action, MockEndpoint, echo

ROOT = Path(__file__).parents[3]
FAST: dict[str, Any] = {"model": "m", "concurrency": 8, "backoff_s": 0.01, "timeout_s": 2.0, "retries": 4}


def _requests(n: int, **changes: Any) -> list[ChatRequest]:
    return [ChatRequest(({"role": "user", "content": f"q{i}"},), max_tokens=5, **changes) for i in range(n)]


def _texts(answers: list[ChatAnswer]) -> list[str]:
    """Answers' texts, `!kind` of a refusal."""
    return [answer.text if isinstance(answer, ChatResponse) else f"!{answer.kind}" for answer in answers]


def _client(server: MockEndpoint, **changes: Any) -> EndpointClient:
    return EndpointClient(server.url, EndpointOptions(**FAST | changes))


@pytest.mark.parametrize(
    "fault",
    [
        Action(status=429, raw=b"{}", headers={"retry-after-ms": "20"}),
        Action(status=500, raw=b"oops"),
        Action(status=503, raw=b"<html>"),
        Action(cut=True),
        Action(delay_s=3.0),
        Action(raw=b'{"choices": [{"mess'),
        Action(raw=b'{"choices": []}'),
        Action(raw=b"[1]"),
        Action(raw=b'{"choices": [{"message": {"content": 3}}]}'),
        Action(raw=b'{"choices": [{"message": {"content": "", "tool_calls": [{"function": {"name": "f"}}]}}]}'),
        Action(raw=b'{"choices": [{"message": {"content": "", "tool_calls": ["f"]}}]}'),
    ],
    ids=[
        "429",
        "500",
        "503",
        "disconnect",
        "slow",
        "half-json",
        "no-choice",
        "list",
        "content-no-string",
        "call-no-arguments",
        "call-no-object",
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_is_lost(fault: Action) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        return fault if before == 0 and body["messages"][-1]["content"] in {"q1", "q5"} else Action()

    with MockEndpoint(behave) as server:
        answers = _client(server, timeout_s=0.5).complete(_requests(9))
        assert _texts(answers) == [f"echo: q{i}" for i in range(9)]
        assert server.asked == {f"q{i}": 2 if i in {1, 5} else 1 for i in range(9)}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error": "no"}'),
        (402, b""),
        (403, b'{"error": "no"}'),
        (404, b'{"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}'),
        (400, b'{"error": {"message": "Invalid model", "code": "model_not_found"}}'),
        (400, b'{"error": {"code": 400, "message": "API key not valid.", "status": "API_KEY_INVALID"}}'),
        (429, b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'),
        (200, b'{"error": {"message": "bad key", "code": 401}}'),
        (200, b'{"error": {"message": "bad key", "code": "401"}}'),
        (307, b""),
    ],
)
def test_what_concerns_every_request_ends_all_at_the_first_try(status: int, body: bytes) -> None:
    with MockEndpoint(lambda _, before: Action(status=status, raw=body)) as server:
        with pytest.raises(ChatError, match="status "):
            _client(server, concurrency=1).complete(_requests(3))
        assert server.asked == {"q0": 1}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": {"message": "The response was filtered", "code": "content_filter"}}', "refused"),
        (400, b'{"error": "no"}', "refused"),
        (400, b"\xff\x00 no JSON", "refused"),
        (400, b"[" * 20_000, "refused"),
        (403, b'{"error": {"message": "input was flagged by moderation"}}', "refused"),
        (422, b'{"detail": [{"msg": "field required"}]}', "refused"),
        (400, b'{"error": {"code": "context_length_exceeded", "message": "too long"}}', "too_long"),
        (400, b'{"message": "This model\'s maximum context length is 8192 tokens."}', "too_long"),
        (413, b"", "too_long"),
        (200, b'{"error": {"message": "blocked", "code": 400}}', "refused"),
        (200, b'{"choices": [{"message": {"content": null, "refusal": "I will not"}}]}', "refused"),
        (200, b'{"choices": [{"message": {"content": "half"}, "finish_reason": "content_filter"}]}', "refused"),
    ],
)
def test_what_is_wrong_with_one_request_costs_that_request_at_the_first_try(
    status: int, body: bytes, kind: str
) -> None:
    def behave(asked: dict[str, Any], before: int) -> Action:
        return Action(status=status, raw=body) if asked["messages"][-1]["content"] == "q1" else Action()

    with MockEndpoint(behave) as server:
        answers = _client(server).complete(_requests(3))
        assert _texts(answers) == ["echo: q0", f"!{kind}", "echo: q2"]
        assert server.asked == {"q0": 1, "q1": 1, "q2": 1}
        refusal = answers[1]
        assert isinstance(refusal, ChatRefusal) and "\n" not in refusal.reason and len(refusal.reason) <= 200


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        (Action(status=500), "failed", 3),
        (Action(status=524), "failed", 3),
        (Action(cut=True), "failed", 3),
        (Action(raw=b'{"choices": []}'), "refused", 2),
        (Action(raw=b'{"choices": [null]}'), "refused", 2),
        (Action(raw=b'{"choices": [{"message": null}]}'), "refused", 2),
    ],
    ids=["500", "524", "disconnect", "no-choice", "null-choice", "null-message"],
)
def test_what_fails_at_every_try_costs_its_request(fault: Action, kind: str, tries: int) -> None:
    def behave(asked: dict[str, Any], before: int) -> Action:
        return fault if asked["messages"][-1]["content"] == "q1" else Action()

    with MockEndpoint(behave) as server:
        answers = _client(server, retries=2).complete(_requests(3))
        assert _texts(answers) == ["echo: q0", f"!{kind}", "echo: q2"]
        assert server.asked["q1"] == tries


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": [{"type": "text", "text": "a "}, {"type": "output_text", "text": "b"}]}, "a b", ""),
        ({"content": ["a", {"type": "image_url", "image_url": {}}, "b"]}, "ab", ""),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "a"}]},
            "a",
            "hm",
        ),
        ({"content": None}, "", ""),
        ({"content": [], "reasoning": "hm"}, "", "hm"),
        ({"content": "a", "tool_calls": None, "refusal": None, "reasoning_content": None}, "a", ""),
    ],
)
def test_content_comes_as_text_as_parts_or_not_at_all(message: dict[str, Any], text: str, reasoning: str) -> None:
    raw = json.dumps({"choices": [{"message": message, "finish_reason": None}], "usage": None}).encode()
    with MockEndpoint(lambda body, before: Action(raw=raw)) as server:
        (answer,) = _client(server).complete(_requests(1))
    assert isinstance(answer, ChatResponse)
    assert (answer.text, answer.reasoning, answer.finish_reason) == (text, reasoning, "stop")


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": None}, {"prompt_tokens": "9", "completion_tokens": -1}])
def test_odd_counts_of_tokens_are_none(usage: Any) -> None:
    raw = json.dumps({"choices": [{"message": {"content": "a"}}], "usage": usage}).encode()
    with MockEndpoint(lambda body, before: Action(raw=raw)) as server:
        (answer,) = _client(server).complete(_requests(1))
    assert isinstance(answer, ChatResponse) and (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


@pytest.mark.parametrize("arguments", [None, "", "{}", {}, {"a": 1}, "[" * 20_000, "9" * 4301])
def test_whatever_the_arguments_of_a_call_are_they_come_back_as_text(arguments: Any) -> None:
    call = {"id": None, "function": {"name": "f", "arguments": arguments}}
    raw = json.dumps({"choices": [{"message": {"content": None, "tool_calls": [call]}}]}).encode()
    with MockEndpoint(lambda body, before: Action(raw=raw)) as server:
        (answer,) = _client(server).complete(_requests(1))
    assert isinstance(answer, ChatResponse)
    written = answer.tool_calls[0]["function"]["arguments"]
    assert written == (arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments))


def test_half_a_surrogate_pair_becomes_a_replacement_character_both_ways(tmp_path: Path) -> None:
    half = chr(0xD83D)
    raw = json.dumps({"choices": [{"message": {"content": f"a{half}b"}}]}).encode()
    store = AnswerStore(tmp_path / "a.sqlite")
    with MockEndpoint(lambda body, before: Action(raw=raw)) as server:
        client = CachedClient(_client(server), store)
        (answer,) = client.complete([ChatRequest(({"role": "user", "content": f"x{half}"},))])
        assert server.asked == {"x\ufffd": 1}
    assert isinstance(answer, ChatResponse) and answer.text == "a\ufffdb"
    assert len(store) == 1


def test_an_endpoint_that_is_not_there_ends_all_with_one_line() -> None:
    options = EndpointOptions(**FAST | {"retries": 1, "concurrency": 3})
    with pytest.raises(ChatError, match=r"^http://127.0.0.1:9/v1: no connection \(ConnectError\), 2 tries$"):
        EndpointClient("http://127.0.0.1:9/v1", options).complete(_requests(5))


class RawServer:
    """Accepts connections on 127.0.0.1 and hands each to `serve` in a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.connections = 0
        self.serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)


@pytest.mark.parametrize("blank", [b" ", b"\n", b": keep-alive\n\n"])
def test_blanks_without_end_are_not_waited_for(blank: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"%x\r\n%s\r\n" % (len(blank), blank))
            time.sleep(0.05)

    server = RawServer(serve)
    options = EndpointOptions("m", timeout_s=0.5, retries=1, backoff_s=0.01)
    started = time.monotonic()
    (answer,) = EndpointClient(f"http://127.0.0.1:{server.port}/v1", options).complete(_requests(1))
    assert answer == ChatRefusal("failed", "no whole answer in 0.5 s, 2 tries")
    assert time.monotonic() - started < 5 and server.connections == 2


def test_blanks_before_an_answer_are_waited_for() -> None:
    with MockEndpoint(lambda body, before: Action(raw=b" \n" * 500 + echo(body))) as server:
        assert _texts(_client(server).complete(_requests(1))) == ["echo: q0"]


def test_a_certificate_that_is_not_accepted_is_said_once(tmp_path: Path) -> None:
    files = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    server = RawServer(lambda connection: context.wrap_socket(connection, server_side=True).close())
    options = EndpointOptions("m", concurrency=2, retries=6)
    with pytest.raises(ChatError, match=r"its certificate is not accepted: self-signed certificate$"):
        EndpointClient(f"https://127.0.0.1:{server.port}/v1", options).complete(_requests(8))
    assert server.connections <= 2


def test_a_plain_server_behind_https_is_said_at_once() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    url = f"https://127.0.0.1:{RawServer(serve).port}/v1"
    with pytest.raises(ChatError, match="does not speak TLS; http:// may be meant"):
        EndpointClient(url, EndpointOptions("m", concurrency=1, timeout_s=5.0)).complete(_requests(2))


def test_each_dialog_goes_on_at_its_own_pace() -> None:
    """One answer takes long; the other dialogs ask all their questions meanwhile, in the free places."""
    ended: list[tuple[int, float]] = []
    started = time.monotonic()

    def dialog(number: int) -> Dialog:
        for turn in range(5):
            answer = yield ChatRequest(({"role": "user", "content": f"{number}.{turn}"},))
            assert isinstance(answer, ChatResponse) and answer.text == f"echo: {number}.{turn}"
        ended.append((number, time.monotonic() - started))

    slow = Action(delay_s=1.5)
    with MockEndpoint(lambda body, before: slow if body["messages"][-1]["content"] == "0.0" else Action()) as server:
        _client(server, concurrency=2).converse(dialog(number) for number in range(20))
        assert server.most_in_flight == 2
    assert [number for number, _ in ended][-1] == 0
    assert max(took for number, took in ended if number) < 1.5


def test_an_error_of_a_dialog_comes_out_as_it_is() -> None:
    def dialog() -> Dialog:
        yield ChatRequest(({"role": "user", "content": "a"},))
        raise LookupError("mine")

    with MockEndpoint() as server, pytest.raises(LookupError, match="mine"):
        _client(server).converse([dialog(), dialog()])


def test_a_failure_does_not_lose_the_answers_in_flight(tmp_path: Path) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        bad = body["messages"][-1]["content"] == "q1"
        return Action(status=401) if bad else Action(delay_s=0.2)

    store = AnswerStore(tmp_path / "a.sqlite")
    with MockEndpoint(behave) as server:
        with pytest.raises(ChatError):
            CachedClient(_client(server, concurrency=4), store).complete(_requests(20))
        assert len(store) == 3  # q0, q2, q3 were in flight; nothing started after the failure
        server.behaviour = lambda body, before: Action()
        answers = CachedClient(_client(server), store).complete(_requests(20))
        assert [answer.cached for answer in answers[:4]] == [True, False, True, True]
        assert server.asked["q0"] == server.asked["q2"] == server.asked["q3"] == 1


def test_concurrency_is_bounded() -> None:
    with MockEndpoint(lambda body, before: Action(delay_s=0.02)) as server:
        _client(server, concurrency=5).complete(_requests(40))
        assert server.most_in_flight == 5


def test_a_pause_that_the_endpoint_asks_for_holds_for_all_requests() -> None:
    times: list[float] = []

    def behave(body: dict[str, Any], before: int) -> Action:
        times.append(time.monotonic())
        return Action(headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"})

    with MockEndpoint(behave) as server:
        _client(server, concurrency=1).complete(_requests(3))
    assert all(later - earlier >= 0.29 for earlier, later in zip(times, times[1:], strict=False))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "1000000"}, 300.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m2.5s"}, 62.5),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1m2s"}, 0.0),
    ],
)
def test_pause_headers(headers: dict[str, str], seconds: float) -> None:
    assert asked_pause(headers) == seconds


def test_the_budget_is_never_exceeded_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "a.sqlite")
    with MockEndpoint() as server:
        client = _client(server, budget_tokens=100, concurrency=1)  # an answer takes 15
        with pytest.raises(BudgetExceeded, match="of 100 tokens"):
            CachedClient(client, store).complete(_requests(50))
        assert 60 <= client.spent_tokens <= 100
        assert len(store) == client.spent_tokens // 15
        dear = _client(server, budget_usd=1e-4, usd_per_million_out=10.0)
        with pytest.raises(BudgetExceeded, match="USD"):
            dear.complete(_requests(50))
        assert dear.spent_usd <= 1e-4


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-verysecret0123456789"
    monkeypatch.setenv("TEACHER_KEY", secret)
    caplog.set_level(logging.DEBUG)

    def behave(body: dict[str, Any], before: int) -> Action:
        if body["messages"][-1]["content"] == "q3":
            return Action(status=401, raw=f"wrong key {secret}".encode())
        return Action()

    store = tmp_path / "a.sqlite"
    with MockEndpoint(behave) as server:
        client = CachedClient(_client(server, key_variable="TEACHER_KEY", concurrency=1), AnswerStore(store))
        with pytest.raises(ChatError, match=r"\[key\]") as failure:
            client.complete(_requests(5))
        assert server.headers_seen[0]["authorization"] == f"Bearer {secret}"
    assert secret not in str(failure.value) + caplog.text + repr(client.client) + repr(vars(client.client))
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("form", ["http://me:{}@{}/v1", "http://{}@{}/v1", "http://{1}/v1?api_key={0}"])
def test_a_secret_in_the_url_is_used_and_stands_in_no_name_log_error_or_exception_chain(
    form: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hunter2-0123456789"
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    caplog.set_level(logging.DEBUG)
    told = f"who are you, {secret}?".encode()
    with MockEndpoint(lambda body, before: Action(status=401, raw=told)) as server:
        host = server.url.split("/")[2]
        client = EndpointClient(form.format(secret, host), EndpointOptions("m", concurrency=1, retries=0))
        assert client.model == f"http://{host}/v1#m"
        with pytest.raises(ChatError, match="status 401: who are you") as failure:
            client.complete(_requests(1))
        assert server.asked == {"q0": 1}
    gone = EndpointClient(form.format(secret, "127.0.0.1:9"), EndpointOptions("m", concurrency=1, retries=0))
    with pytest.raises(ChatError, match="no connection") as unreachable:
        gone.complete(_requests(1))
    chain = "".join(
        "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
        for error in (failure.value, unreachable.value)
    )
    assert "HTTP Request: POST" in caplog.text, "httpx logs its URLs"
    assert secret not in chain + caplog.text + repr(client) + repr(vars(client))


@pytest.mark.parametrize("key", ["sk-0123456789abcdef\n", " sk-0123456789abcdef ", "\tsk-0123456789abcdef\r\n"])
def test_a_key_is_sent_without_the_blanks_around_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with MockEndpoint() as server:
        _client(server).complete(_requests(1))
        assert server.headers_seen[0]["authorization"] == "Bearer sk-0123456789abcdef"


@pytest.mark.parametrize("key", ["sk-0123\n456789", "sk-\u00e9\u20ac56789", "sk-\x0056789"])
def test_a_key_that_no_header_can_carry_is_one_line_without_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\x00" in key:
        monkeypatch.setattr("os.environ", dict(os.environ) | {"OPENAI_API_KEY": key})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with MockEndpoint() as server, pytest.raises(ChatError, match="^OPENAI_API_KEY: holds a character") as failure:
        _client(server).complete(_requests(1))
    assert "56789" not in str(failure.value)


def test_a_short_key_does_not_riddle_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with MockEndpoint(lambda body, before: Action(status=404, raw=b"no such model")) as server:
        with pytest.raises(ChatError, match="status 404: no such model$"):
            _client(server).complete(_requests(1))
        server.behaviour = lambda body, before: Action(status=404, raw=b"no exit for x")
        with pytest.raises(ChatError, match="text withheld"):
            _client(server).complete(_requests(1))


@pytest.mark.parametrize("url", ["http://me:pa/ss-word-1@h/v1", "http://h:port/v1", "http:///v1", "http://[::1/v1"])
def test_what_is_no_url_is_one_line_without_a_password(url: str) -> None:
    with pytest.raises(ChatError, match="no URL") as failure:
        EndpointClient(url, EndpointOptions("m"))
    assert "ss-word" not in str(failure.value) and "\n" not in str(failure.value)


def test_the_request_in_the_wire_format() -> None:
    seen: list[dict[str, Any]] = []

    def behave(body: dict[str, Any], before: int) -> Action:
        seen.append(body)
        call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]}
        raw = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
        return Action(raw=raw.encode())

    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    request = ChatRequest(
        ({"role": "user", "content": "x"}, {"role": "assistant", "content": "pre"}),
        temperature=0.5,
        seed=3,
        stop=("\n",),
        tools=(tool,),
        response_schema={"type": "object"},
    )
    with MockEndpoint(behave) as server:
        (answer,) = _client(server).complete([request])
    (body,) = seen
    assert body["model"] == "m" and body["stop"] == ["\n"] and body["tools"] == [tool] and body["seed"] == 3
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["continue_final_message"] is True
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("", "hm", "tool_calls")
    assert answer.tool_calls[0]["function"]["name"] == "f"


CHILD = """
import sys
from pathlib import Path
from agents.chat.open import open_client
from agents.chat.endpoint import EndpointOptions
from agents.chat.protocol import ChatRequest
url, store = sys.argv[1:]
client = open_client(url, store=Path(store), endpoint=EndpointOptions("m", concurrency=4))
requests = [ChatRequest(({"role": "user", "content": f"q{i}"},), max_tokens=5) for i in range(60)]
print(*(answer.text for answer in client.complete(requests)), sep="\\n")
"""


def test_killed_in_the_middle_nothing_is_lost_and_nothing_asked_twice(tmp_path: Path) -> None:
    store = tmp_path / "a.sqlite"
    with MockEndpoint(lambda body, before: Action(delay_s=0.05)) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(store)]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while sum(server.answered.values()) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        kept = len(AnswerStore(store))
        asked = server.asked.total()
        assert 12 <= kept < 60
        assert asked - kept <= 4 + 4  # only what was in flight, or on its way into the store
        done = subprocess.run(command, env=env, cwd=tmp_path, text=True, capture_output=True, check=True)
        assert done.stdout.split("\n")[:-1] == [f"echo: q{i}" for i in range(60)]
        assert server.asked.total() - asked == 60 - kept
        again = subprocess.run(command, env=env, cwd=tmp_path, text=True, capture_output=True, check=True)
        assert again.stdout == done.stdout
        assert server.asked.total() - asked == 60 - kept
