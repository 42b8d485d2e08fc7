import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions, _asked_pause
from agents.chat.protocol import BudgetExceeded, ChatError, ChatRequest
from agents.chat.store import AnswerStore, CachedClient
from bench.mock_endpoint import Action, MockEndpoint

ROOT = Path(__file__).parents[3]
FAST: dict[str, Any] = {"model": "m", "concurrency": 8, "backoff_s": 0.01, "timeout_s": 2.0, "retries": 4}


def _requests(n: int, **changes: Any) -> list[ChatRequest]:
    return [ChatRequest(({"role": "user", "content": f"q{i}"},), max_tokens=5, **changes) for i in range(n)]


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
        assert [answer.text for answer in answers] == [f"echo: q{i}" for i in range(9)]
        assert server.asked == {f"q{i}": 2 if i in {1, 5} else 1 for i in range(9)}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_cannot_pass_is_not_tried_again(status: int) -> None:
    with MockEndpoint(lambda body, before: Action(status=status, raw=b'{"error": "no"}')) as server:
        with pytest.raises(ChatError, match=f"status {status}"):
            _client(server, concurrency=1).complete(_requests(3))
        assert server.asked == {"q0": 1}


def test_retries_end() -> None:
    with MockEndpoint(lambda body, before: Action(status=500)) as server:
        with pytest.raises(ChatError, match="status 500, 3 tries"):
            _client(server, retries=2).complete(_requests(1))
        assert server.asked == {"q0": 3}


def test_a_failure_does_not_lose_the_answers_in_flight(tmp_path: Path) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        bad = body["messages"][-1]["content"] == "q1"
        return Action(status=400) if bad else Action(delay_s=0.2)

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
    assert _asked_pause(headers) == seconds


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
