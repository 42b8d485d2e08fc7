"""A model behind an endpoint acts, and plays the user if wanted; here a mock that knows how each case was solved."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, ChatResponse
from agents.chat.store import AnswerStore, CachedClient
from agents.conversations.llm_agent import END, Acting, act
from agents.conversations.trajectory import Case, Trajectory, replay, simulate
from bench.mock_endpoint import Action, MockEndpoint
from k2model.chat.messages import render
from tests.agents.conversations.acted import ACTING, cases_of
from tests.answering import Answering

Body = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return cases_of(24)


@pytest.fixture(scope="module")
def solved(cases: list[Case]) -> dict[int, Trajectory]:
    """By the cases' seeds, how an agent without mistakes served them."""
    done = {case.seed: simulate(case) for case in cases}
    assert all(each.verdict.kept for each in done.values())
    return done


def next_message(body: Body, solved: dict[int, Trajectory]) -> dict[str, Any]:
    """What was said at this point, by the agent, or by the user whom the model plays."""
    done = solved[body["seed"]]
    if body["messages"][0]["content"].startswith("You play a user"):
        said = [m["content"] for m in done.messages if m["role"] == "user"]
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        return {"role": "assistant", "content": said[turn] if turn < len(said) else END}
    turn = sum(m["role"] == "assistant" for m in body["messages"])
    message = [m for m in done.messages if m["role"] == "assistant"][turn]
    calls = [{**call, "id": "call_of_the_server"} for call in message.get("tool_calls") or []]
    return {"role": "assistant", "content": message["content"], "reasoning_content": "as asked", "tool_calls": calls}


def behaviour(
    solved: dict[int, Trajectory], delay_s: Callable[[Body], float] = lambda body: 0.0
) -> Callable[[Body, int], Action]:
    def behave(body: Body, before: int) -> Action:
        choice = {"message": next_message(body, solved), "finish_reason": "stop"}
        return Action(raw=json.dumps({"choices": [choice], "usage": {}}).encode(), delay_s=delay_s(body))

    return behave


def acted(client: ChatClient, cases: Sequence[Case], acting: Acting = ACTING) -> list[Trajectory]:
    done: dict[int, Trajectory] = {}
    act(client, iter(cases), acting, done.__setitem__)
    return [done[index] for index in range(len(cases))]


def plain(messages: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Messages without thoughts."""
    return [(m["role"], m["content"], m.get("tool_calls") or [], m.get("tool_call_id")) for m in messages]


def test_a_model_acts_and_its_conversations_replay_and_are_judged(
    cases: list[Case], solved: dict[int, Trajectory]
) -> None:
    with MockEndpoint(behaviour(solved)) as server:
        done = acted(EndpointClient(server.url, EndpointOptions("mock", concurrency=7)), cases)
        assert 1 < server.most_in_flight <= 7
    for case, each in zip(cases, done, strict=True):
        assert each.verdict.kept, each.verdict
        assert plain(each.messages) == plain(solved[case.seed].messages)
        assert replay(case, each.messages)[0] == each.state_hash == solved[case.seed].state_hash
        assert "functions." in render(each.messages, each.tools) or not each.n_calls
        assert "call_of_the_server" not in str(each.messages)


def test_a_model_plays_the_user_too(cases: list[Case], solved: dict[int, Trajectory]) -> None:
    acting = Acting(256, 1.0, 100_000, 60, plays_user=True)
    seen: list[Body] = []

    def behave(body: Body, before: int) -> Action:
        seen.append(body)
        return behaviour(solved)(body, before)

    with MockEndpoint(behave) as server:
        done = acted(EndpointClient(server.url, EndpointOptions("mock", concurrency=7)), cases, acting)
    for case, each in zip(cases, done, strict=True):
        assert plain(each.messages) == plain(solved[case.seed].messages)
        assert replay(case, each.messages)[0] == each.state_hash
    assert sum(each.verdict.kept for each in done) >= 0.9 * len(done)
    asked = [body for body in seen if body["messages"][0]["content"].startswith("You play a user")]
    assert len(asked) == sum(sum(m["role"] == "user" for m in each.messages) + 1 for each in done)
    for body in asked:
        case = next(case for case in cases if case.seed == body["seed"])
        system, *talk = body["messages"]
        assert "tools" not in body or not body["tools"]
        assert case.surface.app.desk in system["content"] and case.persona in system["content"]
        for goal in case.task.goals:
            assert goal.says in system["content"]
            assert all(value in system["content"] for value in (*goal.credential.values(), *filter(None, [goal.slip])))
            assert goal.expected != "declined" or "say no" in system["content"]
        assert [m["role"] for m in talk][:2] == ["user", "assistant"][: len(talk)]
        assert not any(m.get("tool_calls") for m in talk) and all(m["content"] for m in talk)


@pytest.mark.parametrize(
    "answer", [ChatRefusal("refused", "filtered"), ChatResponse(f"bye {END}"), ChatResponse("  ")], ids=str
)
def test_a_user_who_says_nothing_ends_his_conversation(cases: list[Case], answer: ChatAnswer) -> None:
    acting = Acting(256, 1.0, 100_000, 60, plays_user=True)
    for each in acted(Answering(lambda request: answer), cases[:4], acting):
        assert [m["role"] for m in each.messages] == ["system"]
        assert (each.verdict.kept, each.verdict.verdict) == (False, "criterion_missed")


def _call(name: str, arguments: str) -> ChatResponse:
    return ChatResponse("", tool_calls=({"id": "a", "function": {"name": name, "arguments": arguments}},))


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (ChatRefusal("refused", "status 400: filtered"), "refused", "stopped by refused: status 400: filtered"),
        (ChatRefusal("too_long", "status 413: "), "no_answer", "stopped by context_exhausted"),
        (ChatRefusal("failed", "status 500, 7 tries"), "no_answer", "stopped by infrastructure: status 500, 7 tries"),
        (_call("fly", "9" * 4301), "no_answer", "stopped by tool_failure"),
        (_call("fly", "[" * 20_000), "no_answer", "stopped by tool_failure"),
        (_call("fly", '{"id": NaN}'), "no_answer", "stopped by tool_failure"),
        (_call("fly" + chr(0xD800), ""), "no_answer", "stopped by tool_failure"),
        (ChatResponse("done " + chr(0xDFFF)), "", ""),
        (ChatResponse("I have done it all."), "", ""),
        (ChatResponse("I will", finish_reason="length"), "no_answer", "stopped by token_limit"),
        (_call("fly", "{}"), "no_answer", "stopped by tool_failure"),
        (_call("fly", "{"), "no_answer", "stopped by tool_failure"),
    ],
)
def test_a_model_that_fails_is_a_row_with_a_reason_and_never_an_error(
    cases: list[Case], answer: ChatAnswer, verdict: str, reason: str
) -> None:
    for case, each in zip(cases, acted(Answering(lambda request: answer), cases), strict=True):
        assert not each.verdict.kept and (each.verdict.verdict == verdict or not verdict), each.verdict
        assert reason in each.verdict.reason
        assert replay(case, each.messages)[0] == each.state_hash
        render(each.messages, each.tools)
        json.dumps(each.messages, ensure_ascii=False).encode()


def test_a_context_that_is_full_ends_the_conversation(cases: list[Case]) -> None:
    client = Answering(lambda request: "Hm?", fits=lambda request: len(request.messages) < 4)
    for each in acted(client, cases[:6]):
        assert "stopped by context_exhausted" in each.verdict.reason and len(client.asked) <= 12
    small = Acting(256, 1.0, 400, 60)
    for each in acted(Answering(lambda request: "Hm?"), cases[:6], small):
        assert "stopped by context_exhausted" in each.verdict.reason


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [("fly", "{}", "undeclared_tool"), ("", "{", "malformed_call"), ("", "[]", "malformed_call")],
)
def test_a_success_with_a_call_that_no_tool_takes_is_not_kept(
    cases: list[Case], solved: dict[int, Trajectory], name: str, arguments: str, verdict: str
) -> None:
    def stumbling(request: ChatRequest) -> ChatResponse:
        turn = sum(m["role"] == "assistant" for m in request.messages)
        if turn == 0:
            return _call(name or request.tools[0]["function"]["name"], arguments)
        kept = [m for k, m in enumerate(request.messages) if k not in (2, 3)]
        said = next_message({"messages": kept, "seed": request.seed}, solved)
        return ChatResponse(said["content"], tool_calls=tuple(said.get("tool_calls", ())))

    for case, each in zip(cases, acted(Answering(stumbling), cases), strict=True):
        assert (each.verdict.kept, each.verdict.verdict) == (False, verdict), each.verdict
        assert each.state_hash == solved[case.seed].state_hash


def test_one_slow_answer_holds_no_other_conversation(cases: list[Case], solved: dict[int, Trajectory]) -> None:
    ended: list[tuple[int, float]] = []
    started = time.monotonic()

    def delay_s(body: Body) -> float:
        return 3.0 if body["seed"] == cases[0].seed and len(body["messages"]) == 2 else 0.0

    with MockEndpoint(behaviour(solved, delay_s)) as server:
        client = EndpointClient(server.url, EndpointOptions("mock", concurrency=3))
        act(client, cases, ACTING, lambda index, done: ended.append((index, time.monotonic() - started)))
        assert server.most_in_flight == 3
    assert ended[-1][0] == 0 and ended[-1][1] >= 3.0
    assert {index for index, _ in ended[:-1]} == set(range(1, len(cases)))


def test_a_killed_run_goes_on_and_asks_nothing_twice(
    cases: list[Case], solved: dict[int, Trajectory], tmp_path: Path
) -> None:
    """Killed by SIGKILL: what was answered stands in the store, what was in flight is asked again."""
    requests = Counter[str]()

    def behave(body: Body, before: int) -> Action:
        requests[json.dumps([body["seed"], body["messages"]])] += 1
        return behaviour(solved, lambda _: 0.02)(body, before)

    store = tmp_path / "answers.sqlite"
    with MockEndpoint(behave) as server:
        options = EndpointOptions("mock", concurrency=4)
        command = [sys.executable, "-m", "tests.agents.conversations.acted", server.url, str(store), str(len(cases))]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            for _ in range(6):
                assert process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
        finally:
            process.kill()
            process.wait(20)
        before = requests.total()
        assert before > 6
        again = acted(CachedClient(EndpointClient(server.url, options), AnswerStore(store)), cases)
        assert sum(requests.values()) - len(requests) <= 4 and before < requests.total()
        whole = requests.total()
        assert acted(CachedClient(EndpointClient(server.url, options), AnswerStore(store)), cases) == again
        assert requests.total() == whole
    assert [plain(each.messages) for each in again] == [plain(solved[case.seed].messages) for case in cases]
