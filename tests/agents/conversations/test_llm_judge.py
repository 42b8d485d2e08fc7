"""A model as the judge of what no rule covers: one verdict a criterion, each with a quote that is there."""

import json
from typing import Any

import pytest

from agents.chat.protocol import ChatRefusal, ChatRequest
from agents.conversations.agents import Agent
from agents.conversations.judge import Judgement
from agents.conversations.llm_judge import NAMES, NO_JUDGE, SHOWN, Question, ask_llm
from agents.conversations.making import make_task
from agents.conversations.task import rubric
from agents.conversations.trajectory import QUIET, Case, simulate
from agents.worlds.reading import authored
from agents.worlds.surface import surface
from tests.answering import Answering

CALL = {
    "id": "functions.get_ticket:0",
    "type": "function",
    "function": {"name": "get_ticket", "arguments": '{"id": "TK1"}'},
}
TALK = Question(
    (
        {"role": "system", "content": "You are exact."},
        {"role": "user", "content": "What did ticket TK1 cost?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": CALL["id"], "content": '{"paid": 40}'},
        {"role": "assistant", "content": "It cost 40 euros, as you can see on it."},
    ),
    {"success": [{"must": "be told", "values": [40]}], "policies": ["Never guess."]},
)


def verdicts(**changes: dict[str, Any]) -> str:
    each = {name: {"name": name, "met": True, "message": 4, "quote": "It cost 40 euros"} for name in NAMES}
    for name, change in changes.items():
        each[name] |= change
    return json.dumps({"criteria": list(each.values())})


def judged(text: str, question: Question = TALK, schema: bool = True) -> Judgement:
    (judgement,) = ask_llm(Answering(lambda request: text), [question], schema=schema)
    return judgement


def test_a_conversation_is_kept_when_every_criterion_is_met_and_quoted() -> None:
    kept = judged(verdicts())
    assert (kept.kept, kept.verdict) == (True, "success") and "honest: It cost 40 euros" in kept.reason
    assert judged(verdicts(polite={"message": 3, "quote": '"paid": 40'}, relevant={"message": 2, "quote": "TK1"})).kept
    assert judged(verdicts(polite={"quote": "it  COST 40 euros, as you"})).kept  # in any case and spacing


@pytest.mark.parametrize("name", NAMES)
def test_a_criterion_that_is_not_met_is_the_verdict_with_its_quote(name: str) -> None:
    lost = judged(verdicts(**{name: {"met": False, "quote": "as you can see"}}))
    assert (lost.kept, lost.verdict, lost.reason) == (False, "llm_judge", f"{name}, message 4: as you can see")


UNREADABLE = [
    verdicts(honest={"quote": "It cost 41 euros"}),
    verdicts(honest={"message": 1}),  # it stands in another message
    verdicts(honest={"message": 9}),
    verdicts(honest={"message": "the last"}),
    verdicts(honest={"message": None}),
    verdicts(honest={"met": "true"}),
    verdicts(honest={"met": 1}),
    verdicts(honest={"met": None}),
    verdicts(relevant={"name": "useful"}),
    json.dumps({"criteria": json.loads(verdicts())["criteria"][:3]}),
    json.dumps({"criteria": []}),
    json.dumps({"criteria": [1, None]}),
    json.dumps({"good": True}),
    *("hm", "", "null", "[1]", '"a"', "9" * 4301, "[" * 20_000, '{"criteria":' * 1_000, "NaN", '{"criteria": 3}'),
]


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cant_be_read_or_is_not_quoted_keeps_nothing(text: str) -> None:
    lost = judged(text)
    assert (lost.kept, lost.verdict) == (False, "llm_judge_unreadable")


def test_an_empty_quote_proves_nothing() -> None:
    assert judged(verdicts(honest={"quote": ""})).verdict == "llm_judge_unreadable"
    assert judged(verdicts(honest={"quote": " ... "})).verdict == "llm_judge_unreadable"


def test_a_message_counted_from_the_end_is_none() -> None:
    assert judged(verdicts(honest={"message": -1})).verdict == "llm_judge_unreadable"


def test_the_request_holds_the_rubric_the_rules_and_the_whole_conversation() -> None:
    desk = surface("rail_tickets", 0)
    for seed in range(5):
        task = make_task(desk, seed, 4).task
        agent = Agent("a", "You are exact.", "rail_tickets", 0, tuple(desk.app.actions))
        done = simulate(Case(desk, task, agent, "chatty", seed, QUIET))
        client = Answering(lambda request: verdicts())
        ask_llm(client, [Question(done.messages, rubric(desk.app, task))])
        (request,) = client.asked
        (message,) = request.messages
        text = str(message["content"])
        assert json.dumps(rubric(desk.app, task)["success"], ensure_ascii=False) in text
        assert all(f"- {policy.text}" in text for policy in authored()["rail_tickets"].policies)
        for number, each in enumerate(done.messages):
            assert f"{number} {each['role']}: {each.get('content') or ''}" in text
            for call in each.get("tool_calls") or []:
                assert f"{call['function']['name']}({call['function']['arguments']})" in text
        assert request.response_schema is not None and request.temperature == 0.0
        assert set(request.response_schema["properties"]["criteria"]["items"]["properties"]["name"]["enum"]) == set(
            NAMES
        )


def test_a_refusal_costs_one_conversation_alone() -> None:
    def answer(request: ChatRequest) -> ChatRefusal | str:
        return ChatRefusal("refused", "status 400") if "TK2" in str(request.messages) else verdicts()

    bad = Question([{"role": "user", "content": "TK2"}], TALK.rubric)
    judgements = ask_llm(Answering(answer), [TALK, bad, TALK])  # type: ignore[arg-type]
    assert [each.kept for each in judgements] == [True, False, True]
    assert (judgements[1].verdict, judgements[1].reason) == (NO_JUDGE, "status 400")
    client = Answering(answer)  # type: ignore[arg-type]
    assert ask_llm(client, []) == [] and not client.asked


def test_a_small_judge_says_a_word_about_a_part() -> None:
    assert judged("Yes, it was.", schema=False).kept
    assert judged("No.", schema=False).verdict == "llm_judge"
    assert judged("Noah", schema=False).verdict == "llm_judge_unreadable"
    long = Question([{"role": "user", "content": "first"}, {"role": "assistant", "content": "x" * 9_000 + " last"}], {})
    client = Answering(lambda request: "yes")
    ask_llm(client, [long], schema=False)
    text = str(client.asked[0].messages[0]["content"])
    assert len(text) < SHOWN + 400 and "first" in text and "last" in text and client.asked[0].response_schema is None
