"""Applications by a teacher: repaired when they are told what is wrong, kept when everything in them works."""

import json
from typing import Any

import pytest
import yaml

from agents.chat.endpoint import EndpointClient, EndpointOptions
from agents.chat.protocol import ChatRefusal, ChatRequest
from agents.conversations.invent import REPAIRS, check, invent
from agents.worlds.reading import FOLDER, authored, parse
from bench.mock_endpoint import Action, MockEndpoint
from tests.answering import Answering

Content = dict[str, Any]


def desk(name: str = "bread_school", domain: str = "home", **changes: Any) -> Content:
    """An application of the given name that works."""
    content: Content = yaml.load((FOLDER / "bike_workshop.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    content |= {"application": name, "domain": domain, "today": "2026-03-02"}
    for path, value in changes.items():
        inner = content
        *before, last = path.split("__")
        for key in before:
            inner = inner[key] if isinstance(inner, dict) else inner[int(key)]
        inner[last] = value
    return content


UNKNOWN = desk(actions__finish_job__why=None)
DEAD = desk(actions__finish_job__require=[{"if": "job.hours > 99", "else": "short", "says": "{job.id} is short"}])
OFF = desk(actions__finish_job__effects=[{"set": "job", "to": {"hours": "1 / (job.hours - 2)", "status": "ready"}}])


def answers(*contents: Content | str) -> Answering:
    """Says one after the other in each dialog."""

    def answer(request: ChatRequest) -> str:
        turn = sum(message["role"] == "assistant" for message in request.messages)
        given = contents[min(turn, len(contents) - 1)]
        return given if isinstance(given, str) else json.dumps(given)

    return Answering(answer)


def test_a_broken_application_is_repaired_by_what_it_is_told() -> None:
    client = answers("Sure, here is a desk!", UNKNOWN, f"```json\n{json.dumps(desk())}\n```")
    made = invent(client, ["home"], 1, 0, known=["bike_workshop"])
    if not made.applications:  # a fence is no JSON: then the plain object
        client = answers("Sure, here is a desk!", UNKNOWN, desk())
        made = invent(client, ["home"], 1, 0, known=["bike_workshop"])
    assert [content["application"] for content in made.applications] == ["bread_school"]
    assert not made.left_out and not made.refused
    assert parse(made.applications[0]).name == "bread_school"
    first, second, third = client.asked
    assert "format" in first.messages[0]["content"] and '"bike_workshop"' in first.messages[0]["content"]
    assert "the domain 'home', not one of: bike_workshop" in first.messages[1]["content"]
    assert "it is no JSON object" in second.messages[-1]["content"]
    assert "action finish_job: three asks or more, and a why" in third.messages[-1]["content"]
    assert third.messages[-2] == {"role": "assistant", "content": json.dumps(UNKNOWN)}


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        ("I can't.", "no JSON", "it is no JSON object"),
        ("[1, 2]", "does not load", "no mapping"),
        (UNKNOWN, "does not load", "action finish_job"),
        (desk(domain="food"), "other domain", "its domain is 'food', not 'home'"),
        (DEAD, "not reached", "in forty worlds this never happened: finish_job"),
        (OFF, "a value can't be computed", "1 / (job.hours - 2)"),
    ],
)
def test_one_that_never_gets_right_is_counted_by_its_reason(content: Content | str, reason: str, told: str) -> None:
    client = answers(content)
    made = invent(client, ["home"], 2, 0, known=[])
    assert made.left_out == {reason: 2} and not made.applications
    assert len(client.asked) == 2 * (REPAIRS + 1)
    last = client.asked[-1].messages
    assert told in last[-1]["content"] and last[-1]["content"].count("\n") == 0 and len(last) == 2 + 2 * REPAIRS


def test_one_in_which_an_agent_gets_nowhere_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.conversations.invent.solved_share", lambda app: 0.5)
    assert check(json.dumps(desk()), "home") == (
        None,
        "only 50% of the tasks drawn from it can be solved",
        "not solved",
    )


def test_a_name_is_taken_once_and_the_domains_keep_their_order() -> None:
    names = iter(["rail_tickets", "bread_school", "bread_school", "glue_bar"])
    given: dict[int, Content] = {}

    def answer(request: ChatRequest) -> str:
        domain = "food" if "domain 'food'" in request.messages[1]["content"] else "home"
        if request.seed not in given:
            given[request.seed] = desk(next(names), domain)
        return json.dumps(given[request.seed])

    made = invent(Answering(answer), ["food", "home"], 2, 5, known=list(authored()))
    assert [(c["domain"], c["application"]) for c in made.applications] == [
        ("food", "bread_school"),
        ("home", "glue_bar"),
    ]
    assert made.left_out == {"name is taken": 2} and sorted(given) == [5, 6, 7, 8]


def test_a_refusal_costs_its_own_domain_alone() -> None:
    def answer(request: ChatRequest) -> Any:
        if "'food'" in request.messages[1]["content"]:
            return ChatRefusal("refused", "status 400")
        return json.dumps(desk())

    made = invent(Answering(answer), ["food", "home"], 1, 0, known=[])
    assert made.refused == ["food"] and [c["application"] for c in made.applications] == ["bread_school"]


def test_a_server_invents_each_at_its_own_pace_and_again_the_same() -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        text = json.dumps(UNKNOWN if turn == 0 else desk(f"desk_{'abc'[body['seed']]}"))
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return Action(raw=json.dumps({"choices": [choice], "usage": {}}).encode())

    with MockEndpoint(behave) as server:
        client = EndpointClient(server.url, EndpointOptions("mock", concurrency=3))
        first, again = (invent(client, ["home"], 3, 0, known=[]) for _ in range(2))
    assert first == again and [c["application"] for c in first.applications] == ["desk_a", "desk_b", "desk_c"]


UNUSABLE = [
    "9" * 4301,
    "[" * 20_000,
    '{"a":' * 1_000,
    "NaN",
    "null",
    '"a"',
    "{}",
    '{"application": ' + "9" * 301 + "}",
    "é\ud800",
]


@pytest.mark.parametrize("text", UNUSABLE, ids=[text[:12] for text in UNUSABLE[:-1]] + ["half a pair"])
def test_nothing_that_a_teacher_writes_is_an_error(text: str) -> None:
    made = invent(answers(text), ["home"], 1, 0, known=[])
    assert sum(made.left_out.values()) == 1 and set(made.left_out) <= {"no JSON", "does not load"}


@pytest.mark.parametrize("bad", ["__import__('os').getcwd()", "job.__class__", "(lambda: 1)()", "2 ** 9999999"])
def test_code_of_a_teacher_does_not_load(bad: str) -> None:
    content, problem, reason = check(json.dumps(desk(actions__finish_job__let={"x": bad})), "home")
    assert (content, reason) == (None, "does not load") and "action finish_job: let x" in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"actions__finish_job__let": {"x": "max(1)"}},
        {"actions__finish_job__let": {"x": "round(job.mechanic.hours_free)"}},
        {"actions__finish_job__let": {"x": "today + job.estimate * 99999999"}},
        {"actions__finish_job__let": {"x": "total(job, each.mechanic.hours_free)"}},
        {"entities__job__fields__estimate": "money = hours / (hours - 2)"},
        {"policies__0__when": "job.mechanic.hours_free + 1 > 0"},
        {"actions__finish_job__effects": [{"remove": "job.bike"}]},
        {"actions__finish_job__effects": [{"set": "job", "to": {"bike": "job"}}]},
    ],
)
def test_values_that_have_none_are_told_and_never_raised(changes: dict[str, Any]) -> None:
    content, problem, reason = check(json.dumps(desk(**changes)), "home")
    assert content is None and reason in ("a value can't be computed", "not reached") and "\n" not in problem
