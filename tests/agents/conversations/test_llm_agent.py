"""A language model behind an endpoint acts for the agents; here a mock that knows each conversation's gold plan."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatRequest, ChatResponse
from agents.conversations.llm_agent import Acting, Case, act
from agents.conversations.planner import Policy, make_agent
from agents.conversations.tasks import Application, applications, gold_answer, make_task
from agents.conversations.trajectory import replay
from agents.conversations.users import PERSONAS, script
from agents.tools.evolve import evolve
from bench.mock_endpoint import Action, MockEndpoint
from k2model.chat.messages import render

ACTING = Acting(at_once=7, max_tokens=256, temperature=1.0, context_tokens=100_000, max_steps=60)
PASSING = ("temporarily", "refreshing", "timed out")
Body = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    apps: list[Application] = applications(evolve())
    found = []
    for seed in range(30):
        agent = replace(make_agent(seed, 0, apps), policy=Policy())  # the mock reads no rules
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
        ended: list[int] = []
        done = act(EndpointClient(server.url, EndpointOptions("mock")), cases, ACTING, lambda: ended.append(1))
        assert len(ended) == len(cases)
        assert 1 < server.most_in_flight <= 7
    assert Counter(one.verdict.kept for one in done)[True] >= 25, [one.verdict for one in done]
    for case, one in zip(cases, done, strict=True):
        assert replay(case.app, one.task, one.messages, case.seed)[0] == one.state_hash
        assert "functions." in render(one.messages, one.tools) and "call_of_the_server" not in str(one.messages)
        ids = [call["id"] for m in one.messages for call in m.get("tool_calls") or []]
        assert [int(name.rsplit(":", 1)[1]) for name in ids] == list(range(len(ids)))
        assert [m["content"] for m in one.messages if m["role"] == "user"] == list(case.script.turns)


class Says:
    """A client that gives one answer to everything."""

    model = "says"

    def __init__(self, answer: ChatResponse) -> None:
        self.answer = answer

    def complete(self, requests: Sequence[ChatRequest], on_response: Any = None) -> list[ChatResponse]:
        return [self.answer] * len(requests)


def _call(name: str, arguments: str) -> ChatResponse:
    return ChatResponse("", tool_calls=({"id": "a", "function": {"name": name, "arguments": arguments}},))


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (ChatResponse("I have done it all."), "criterion_missed", ""),
        (ChatResponse("I will", finish_reason="length"), "no_answer", "stopped by token_limit"),
        (_call("fly", "{}"), "no_answer", "stopped by tool_failure"),
        (_call("fly", "{"), "no_answer", "stopped by tool_failure"),
    ],
)
def test_a_model_that_fails_is_a_row_with_a_reason_and_never_an_error(
    cases: list[Case], answer: ChatResponse, verdict: str, reason: str
) -> None:
    for case, one in zip(cases, act(Says(answer), cases, ACTING), strict=True):
        assert (one.verdict.kept, one.verdict.verdict) == (False, verdict)
        assert reason in one.verdict.reason
        assert replay(case.app, one.task, one.messages, case.seed)[0] == one.state_hash
        render(one.messages, one.tools)


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"),
    [("fly", "{}", "undeclared_tool"), ("", "{", "malformed_call"), ("", "[]", "malformed_call")],
)
def test_a_success_with_a_call_that_no_tool_takes_is_not_kept(
    cases: list[Case], name: str, arguments: str, verdict: str
) -> None:
    answer = gold(cases)

    class Stumbles:
        model = "stumbles"

        def complete(self, requests: Sequence[ChatRequest], on_response: Any = None) -> list[ChatResponse]:
            return [self._one(request) for request in requests]

        def _one(self, request: ChatRequest) -> ChatResponse:
            if request.messages[-1]["role"] == "user":
                return _call(name or request.tools[0]["function"]["name"], arguments)
            messages = [m for m in request.messages if "not run" not in str(m) and "unknown tool" not in str(m)]
            said = answer({"messages": messages})
            return ChatResponse(said["content"], tool_calls=tuple(said.get("tool_calls", ())))

    for one in act(Stumbles(), cases, ACTING):
        assert (one.verdict.kept, one.verdict.verdict) == (False, verdict), one.verdict
