"""Words by a teacher: checked against what they say; tools, prompts and verdicts of a model behind an endpoint."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatRefusal, ChatRequest
from agents.conversations.drafting import FORMS, make_task
from agents.conversations.judge import NO_JUDGE, ask_llm
from agents.conversations.planner import AgentPolicy, make_agent
from agents.conversations.prompts import write_prompts
from agents.conversations.simulator import Simulator
from agents.conversations.tasks import Application, applications
from agents.conversations.users import PERSONAS, script, untold
from agents.conversations.wording import EXAMPLES, Sentence, lost, of_subgoal, of_tool, reword, worded
from agents.conversations.world import World
from agents.tools.evolve import evolve
from agents.tools.evolve_llm import evolve_with
from bench.mock_endpoint import MockEndpoint
from tests.answering import Answering

_spec = importlib.util.spec_from_file_location("mock_teacher", Path(__file__).with_name("teacher.py"))
assert _spec is not None and _spec.loader is not None
teacher = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(teacher)


@pytest.fixture(scope="module")
def apps() -> list[Application]:
    return applications(evolve())


class Says(Answering):
    """A client that says what a function makes of the request's last message."""

    def __init__(self, function: Any) -> None:
        super().__init__(lambda request: function(str(request.messages[-1]["content"])))


UNUSABLE = [
    *("9" * 4301, "[" * 20_000, '{"a":' * 1_000, "NaN", '{"good": NaN, "reason": ""}', "null", "[1]", '"a"'),
    *('{"items": 3}', '{"items": [3, null, {"name": {}, "fields": 5}]}', '{"prompt": ' + "9" * 4301 + "}"),
]
REFUSED = ChatRefusal("refused", "status 400: content filter")


SET = Sentence(
    "Set the status of seat reservation SR12 to open.",
    "update",
    "update",
    ("seat reservation", "SR12", "status", "open", "to open"),
)
ELSE = Sentence(
    "Set the pages of plan P1 to 9; if that is not permitted, do it for P2 instead.",
    "else",
    "update",
    ("plan", "P1", "pages", "9", "to 9", "if", "instead", "P2"),
)


@pytest.mark.parametrize(
    ("source", "wording", "reason"),
    [
        (SET, "Please change the status of seat reservation SR12 to open.", ""),
        (SET, "Could you put the status of seat reservation SR12 to open?", ""),
        (SET, "Set the status of seat reservation SR12 to open.", "copied"),
        (SET, "Please change the status of seat reservation SR13 to open.", "lost"),
        (SET, "Please change seat reservation SR12 to open, thank you.", "lost"),
        (SET, "Change the status of seat reservation SR12 to open and SR13.", "numbers"),
        (SET, "Please delete the status of seat reservation SR12 to open.", "added"),
        (SET, "Do not set the status of seat reservation SR12 to open.", "added"),
        (SET, "The status of seat reservation SR12 is about to open.", "added"),
        (SET, "You can set the status of seat reservation SR12 to open.", "form"),
        (SET, "Please set the status of seat reservation SR12 to open", "form"),
        (SET, "SR12: status to open, seat reservation.", "act"),
        (ELSE, "Change the pages of plan P1 to 9, or if not permitted, those of P2 instead.", ""),
        (ELSE, "Change the pages of plan P2 to 9, or if not permitted, those of P1 instead.", "numbers"),
    ],
)
def test_a_wording_that_loses_adds_or_turns_something_is_refused(source: Sentence, wording: str, reason: str) -> None:
    assert lost(source, wording) == reason


@pytest.mark.parametrize("form", list(FORMS))
def test_every_request_can_be_worded_and_still_says_what_the_plan_needs(apps: list[Application], form: str) -> None:
    for seed in range(10):
        app = apps[seed * 9 % len(apps)]
        task = make_task(app, seed, 1, forms=(form,))
        sentence = of_subgoal(app, task.subgoals[0])
        assert sentence.form in EXAMPLES and all(one.lower() in sentence.text.lower() for one in sentence.needed)
        said = teacher.answer({"messages": [{"content": sentence.text}]})
        (one,) = reword(Says(lambda text: teacher.answer({"messages": [{"content": text}]})), [sentence], 0)
        assert one.reworded and one.text == said, one.reasons
        for persona in PERSONAS:
            assert untold(script(app, worded(task, [one]), persona, seed)) == []
    (kept,) = reword(Says(lambda text: "I changed it all."), [sentence], 0)
    assert not kept.reworded and kept.text == sentence.text and all(kept.reasons)


def test_descriptions_of_every_action_have_examples_that_pass_their_own_check(apps: list[Application]) -> None:
    for tool in apps[3].tools.values():
        sentence = of_tool(tool)
        assert sentence.form in EXAMPLES
        assert all(one in sentence.text for one in sentence.needed), sentence


def test_a_model_behind_an_endpoint_invents_tools_that_the_simulator_runs() -> None:
    with MockEndpoint(teacher.behave) as server:
        client = EndpointClient(server.url, EndpointOptions("mock", concurrency=4))
        found = evolve_with(client, ["bees", "wax"], 3, 4, 0, known=["airline"])
        again = evolve_with(client, ["bees", "wax"], 3, 4, 0, known=["airline"])
    assert found == again
    assert {tool.kind.application for tool in found.tools} == {"bees_hive", "bees_shed", "wax_hive", "wax_shed"}
    assert len(found.tools) == 4 * 2 * 10 and len({tool.name for tool in found.tools}) == 80
    assert found.left_out == {
        "application: no new name": 2,
        "kind: field type": 4,
        "kind: name": 4,
        "tool: the action does not fit the field": 16,
        "tool: action": 8,
        "tool: field": 8,
    }
    app = applications(found.tools)[0]
    task = make_task(app, 1, 4)
    assert len(task.subgoals) == 4
    simulator = Simulator(list(app.tools.values()), World.generate(app.kinds, 1), 1)
    assert all("unknown tool" not in simulator.call(tool, {}).text for tool in app.tools)


def test_prompts_of_a_model_keep_the_policys_rules(apps: list[Application]) -> None:
    agents = [replace(make_agent(number, 0, apps), policy=AgentPolicy(True, True, 2)) for number in range(6)]
    with MockEndpoint(teacher.behave) as server:
        written = write_prompts(EndpointClient(server.url, EndpointOptions("mock")), agents, 0)
    for agent, own in zip(written, agents, strict=True):
        assert agent.author == "llm" and agent.system.startswith("You are a voice of your own")
        assert agent.system.endswith(agent.policy.rules()) and agent.tools == own.tools
    assert write_prompts(Says(lambda text: "no JSON"), agents, 0) == agents
    assert write_prompts(Says(lambda text: '{"prompt": "too short"}'), agents, 0) == agents


def test_the_llm_judge_decides_and_an_unreadable_answer_keeps_nothing() -> None:
    talk = [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x" * 9_000}]]
    seen: list[ChatRequest] = []

    def judged(said: Any, schema: bool = True) -> Any:
        client = Says(lambda text: said)
        (found,) = ask_llm(client, talk, schema=schema)
        seen.extend(client.asked)
        return found

    assert judged('{"good": true, "reason": "fine"}').kept
    assert judged('{"good": false, "reason": "rude"}').verdict == "llm_judge"
    assert judged("hm").verdict == "llm_judge_unreadable"
    assert judged("Yes, it was.", schema=False).kept
    assert judged("No.", schema=False).verdict == "llm_judge"
    assert judged("Noah", schema=False).verdict == "llm_judge_unreadable"
    assert [request.response_schema is None for request in seen] == [False] * 3 + [True] * 3
    assert all(len(str(request.messages[0]["content"])) < 4_000 for request in seen)


@pytest.mark.parametrize("said", UNUSABLE, ids=lambda said: said[:20])
def test_nothing_that_a_model_writes_ends_judging_prompts_or_inventions(apps: list[Application], said: str) -> None:
    talk = [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}]]
    (verdict,) = ask_llm(Says(lambda text: said), talk)
    assert (verdict.kept, verdict.verdict) == (False, "llm_judge_unreadable")
    agents = [make_agent(0, 0, apps)]
    assert write_prompts(Says(lambda text: said), agents, 0) == agents
    assert not evolve_with(Says(lambda text: said), ["bees"], 2, 2, 0).tools


@pytest.mark.parametrize("good", ['"false"', '"no"', "1", "null", "[]"])
def test_a_verdict_that_is_no_truth_value_is_unreadable(good: str) -> None:
    (verdict,) = ask_llm(Says(lambda text: f'{{"good": {good}, "reason": "x"}}'), [[{"role": "user", "content": "x"}]])
    assert (verdict.kept, verdict.verdict) == (False, "llm_judge_unreadable")


def test_a_refusal_costs_what_was_asked_alone(apps: list[Application]) -> None:
    def refuses(word: str, otherwise: Any) -> Answering:
        return Answering(lambda request: REFUSED if word in str(request.messages) else otherwise(request))

    talks = [[{"role": "user", "content": text}] for text in ("fine", "bad", "fine")]
    verdicts = ask_llm(refuses("bad", lambda request: '{"good": true, "reason": "fine"}'), talks)
    assert [verdict.kept for verdict in verdicts] == [True, False, True]
    assert (verdicts[1].verdict, verdicts[1].reason) == (NO_JUDGE, REFUSED.reason)

    agents = [replace(make_agent(number, 0, apps), system=f"You are {name}.") for number, name in enumerate("ABC")]
    prompt = json.dumps({"prompt": "You are somebody with a voice of your own."})
    written = write_prompts(refuses("You are B.", lambda request: prompt), agents, 0)
    assert [agent.author for agent in written] == ["llm", agents[1].author, "llm"] and written[1] == agents[1]

    worded_ = reword(refuses("SR12", lambda request: ELSE.text), [SET, ELSE], 0)
    assert worded_[0].reasons == ("refused", "refused") and worded_[0].text == SET.text
    assert "refused" not in worded_[1].reasons

    def invents(request: ChatRequest) -> str:
        return str(teacher.answer({"messages": list(request.messages)}))

    found = evolve_with(refuses("domain bees", invents), ["bees", "wax"], 2, 4, 0)
    assert {tool.kind.application for tool in found.tools} == {"wax_hive", "wax_shed"}
    assert found.refused == ["bees_hive", "bees_shed"]
