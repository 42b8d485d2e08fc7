"""A language model behind an endpoint acts for the agents; here a mock that knows each conversation's gold plan."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, ChatResponse
from agents.chat.store import AnswerStore, CachedClient
from agents.conversations.drafting import make_task
from agents.conversations.llm_agent import Acting, Case, act
from agents.conversations.planner import AgentPolicy, make_agent
from agents.conversations.tasks import Application, applications, gold_answer
from agents.conversations.trajectory import Trajectory, replay
from agents.conversations.users import PERSONAS, script
from agents.tools.evolve import evolve
from bench.mock_endpoint import Action, MockEndpoint
from k2model.chat.messages import render
from tests.answering import Answering

ACTING = Acting(max_tokens=256, temperature=1.0, context_tokens=100_000, max_steps=60)
PASSING = ("temporarily", "refreshing", "timed out")
Body = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    apps: list[Application] = applications(evolve())
    found = []
    for seed in range(30):
        agent = replace(make_agent(seed, 0, apps), policy=AgentPolicy())  # the mock reads no rules
        app = next(app for app in apps if app.name == agent.application)
        task = make_task(app, seed, 1 + seed % 4, allowed=set(agent.tools), helpers=True)
        found.append(Case(app, script(app, task, PERSONAS[seed % len(PERSONAS)], seed), agent, seed))
    return found


def gold(cases: Sequence[Case]) -> Callable[[Body], dict[str, Any]]:
    """The message of a model that makes the gold calls one by one, again where the trouble may pass, and reports."""
    plans = {}
    for case in cases:
        last = len(case.script.turns) - 1
        for turn, (said, calls) in enumerate(zip(case.script.turns, case.script.gold_turns, strict=True)):
            plans[said] = calls, gold_answer(case.script.task) if turn == last else "What exactly?"

    def answer(body: Body) -> dict[str, Any]:
        place = max(k for k, m in enumerate(body["messages"]) if m["role"] == "user")
        calls, report = plans[body["messages"][place]["content"]]
        results = [m["content"] for m in body["messages"][place + 1 :] if m["role"] == "tool"]
        made = sum(not any(sign in one for sign in PASSING) for one in results)
        if made >= len(calls):
            return {"role": "assistant", "content": report}
        call = {"name": calls[made].tool, "arguments": json.dumps(calls[made].arguments)}
        one = {"id": "call_of_the_server", "type": "function", "function": call}
        return {"role": "assistant", "content": "", "reasoning_content": "as asked", "tool_calls": [one]}

    return answer


def test_a_model_behind_an_endpoint_acts_and_its_trajectories_replay_and_are_judged(cases: list[Case]) -> None:
    answer = gold(cases)

    def behave(body: Body, before: int) -> Action:
        assert {tool["function"]["name"] for tool in body["tools"]}
        choice = {"message": answer(body), "finish_reason": "stop"}
        return Action(raw=json.dumps({"choices": [choice], "usage": {}}).encode())

    with MockEndpoint(behave) as server:
        done = acted(EndpointClient(server.url, EndpointOptions("mock", concurrency=7)), cases)
        assert 1 < server.most_in_flight <= 7
    assert Counter(one.verdict.kept for one in done)[True] >= 25, [one.verdict for one in done]
    for case, one in zip(cases, done, strict=True):
        assert replay(case.app, one.task, one.messages, case.seed)[0] == one.state_hash
        assert "functions." in render(one.messages, one.tools) and "call_of_the_server" not in str(one.messages)
        ids = [call["id"] for m in one.messages for call in m.get("tool_calls") or []]
        assert [int(name.rsplit(":", 1)[1]) for name in ids] == list(range(len(ids)))
        assert [m["content"] for m in one.messages if m["role"] == "user"] == list(case.script.turns)


def acted(client: ChatClient, cases: Sequence[Case]) -> list[Trajectory]:
    done: dict[int, Trajectory] = {}
    act(client, iter(cases), ACTING, done.__setitem__)
    return [done[place] for place in range(len(cases))]


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
        (ChatResponse("done " + chr(0xDFFF)), "criterion_missed", ""),
        (ChatResponse("I have done it all."), "criterion_missed", ""),
        (ChatResponse("I will", finish_reason="length"), "no_answer", "stopped by token_limit"),
        (_call("fly", "{}"), "no_answer", "stopped by tool_failure"),
        (_call("fly", "{"), "no_answer", "stopped by tool_failure"),
    ],
)
def test_a_model_that_fails_is_a_row_with_a_reason_and_never_an_error(
    cases: list[Case], answer: ChatAnswer, verdict: str, reason: str
) -> None:
    for case, one in zip(cases, acted(Answering(lambda request: answer), cases), strict=True):
        assert (one.verdict.kept, one.verdict.verdict) == (False, verdict)
        assert reason in one.verdict.reason
        assert replay(case.app, one.task, one.messages, case.seed)[0] == one.state_hash
        render(one.messages, one.tools)
        json.dumps(one.messages, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [("fly", "{}", "undeclared_tool"), ("", "{", "malformed_call"), ("", "[]", "malformed_call")],
)
def test_a_success_with_a_call_that_no_tool_takes_is_not_kept(
    cases: list[Case], name: str, arguments: str, verdict: str
) -> None:
    answer = gold(cases)

    def stumbling(request: ChatRequest) -> ChatResponse:
        if request.messages[-1]["role"] == "user":
            return _call(name or request.tools[0]["function"]["name"], arguments)
        messages = [m for m in request.messages if "not run" not in str(m) and "unknown tool" not in str(m)]
        said = answer({"messages": messages})
        return ChatResponse(said["content"], tool_calls=tuple(said.get("tool_calls", ())))

    for one in acted(Answering(stumbling), cases):
        assert (one.verdict.kept, one.verdict.verdict) == (False, verdict), one.verdict


def _behaviour(cases: Sequence[Case], delay_s: Callable[[Body], float]) -> Callable[[Body, int], Action]:
    answer = gold(cases)

    def behave(body: Body, before: int) -> Action:
        choice = {"message": answer(body), "finish_reason": "stop"}
        return Action(raw=json.dumps({"choices": [choice], "usage": {}}).encode(), delay_s=delay_s(body))

    return behave


def test_one_slow_answer_holds_no_other_conversation(cases: list[Case]) -> None:
    slow = cases[0].script.turns[0]
    ended: list[tuple[int, float]] = []
    started = time.monotonic()

    def delay_s(body: Body) -> float:
        return 4.0 if body["messages"][-1]["content"] == slow else 0.0

    with MockEndpoint(_behaviour(cases, delay_s)) as server:
        client = EndpointClient(server.url, EndpointOptions("mock", concurrency=3))
        act(client, cases, ACTING, lambda place, done: ended.append((place, time.monotonic() - started)))
        assert server.most_in_flight == 3
    assert ended[-1][0] == 0 and ended[-1][1] >= 4.0
    assert max(took for place, took in ended if place) < 4.0


def test_a_run_that_ended_in_the_middle_goes_on_to_the_same_conversations(cases: list[Case], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def killed(place: int, done: Trajectory) -> None:
        ended.append(place)
        if len(ended) == 8:
            raise Killed

    ended: list[int] = []
    store = tmp_path / "answers.sqlite"
    with MockEndpoint(_behaviour(cases, lambda body: 0.01)) as server:
        options = EndpointOptions("mock", concurrency=4)
        whole = acted(EndpointClient(server.url, options), cases)
        once = server.asked.total()
        server.asked.clear()
        with pytest.raises(Killed):
            act(CachedClient(EndpointClient(server.url, options), AnswerStore(store)), cases, ACTING, killed)
        again = acted(CachedClient(EndpointClient(server.url, options), AnswerStore(store)), cases)
        assert again == whole
        assert once <= server.asked.total() <= once + 4  # what was in flight is asked again
        server.asked.clear()
        assert acted(CachedClient(EndpointClient(server.url, options), AnswerStore(store)), cases) == whole
        assert not server.asked
