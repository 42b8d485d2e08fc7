"""System prompts by a model: in its words, with the desk's rules word for word, or the agent's own."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatRefusal, ChatRequest
from agents.conversations.agents import Agent, make_agent, prompt
from agents.conversations.prompts import write_prompts
from agents.worlds.reading import authored
from agents.worlds.surface import surface
from bench.mock_endpoint import Action, MockEndpoint
from tests.answering import Answering

DESKS = [surface(name, 0) for name in list(authored())[:6]]


@pytest.fixture
def agents() -> list[Agent]:
    return [make_agent(number, 0, DESKS) for number in range(6)]


def said(text: str) -> str:
    return json.dumps({"prompt": text})


def test_a_models_prompt_replaces_the_agents_and_nothing_else(agents: list[Agent]) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        text = said(f"You are a voice of your own, number {body['seed']}.")
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return Action(raw=json.dumps({"choices": [choice], "usage": {}}).encode())

    with MockEndpoint(behave) as server:
        written = write_prompts(EndpointClient(server.url, EndpointOptions("mock")), agents, 40)
    for number, (agent, own) in enumerate(zip(written, agents, strict=True)):
        assert agent == replace(own, system=f"You are a voice of your own, number {40 + number}.", author="llm")
        shown = prompt(agent, authored()[agent.application])
        assert all(f"\n- {policy.text}" in shown for policy in authored()[agent.application].policies)


UNUSABLE = [
    *("9" * 4301, "[" * 20_000, '{"a":' * 1_000, "NaN", "null", "[1]", '"a"', "no JSON"),
    *(
        '{"prompt": ' + "9" * 4301 + "}",
        said("too short"),
        said("x" * 500),
        said("You are a {helpful} person, really."),
    ),
]


@pytest.mark.parametrize("text", UNUSABLE, ids=range(len(UNUSABLE)))
def test_what_is_no_prompt_leaves_an_agent_its_own(agents: list[Agent], text: str) -> None:
    assert write_prompts(Answering(lambda request: text), agents, 0) == agents


def test_a_refusal_costs_one_agent_alone(agents: list[Agent]) -> None:
    named = [replace(agent, system=f"You are {name}.") for agent, name in zip(agents, "ABC", strict=False)]

    def answer(request: ChatRequest) -> ChatRefusal | str:
        if "You are B." in str(request.messages):
            return ChatRefusal("refused", "status 400")
        return said("You are somebody with a voice of your own.")

    written = write_prompts(Answering(answer), named, 0)  # type: ignore[arg-type]
    assert [agent.author for agent in written] == ["llm", "grammar", "llm"] and written[1] == named[1]
