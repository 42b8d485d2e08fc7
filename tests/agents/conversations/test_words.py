"""The sentences of users and agents keep what the reading of them relies on; values are said so that they are known."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest

from agents.conversations import words
from agents.conversations.acts import asks_to_confirm, asks_which, asks_who, not_there, questions
from agents.conversations.agents import Agent
from agents.conversations.making import NoTask, make_task
from agents.conversations.reports import refuses
from agents.conversations.said import is_said
from agents.conversations.trajectory import Case, simulate
from agents.conversations.users import NO, PERSONAS, YES
from agents.conversations.words import (
    date_forms,
    frame,
    frames,
    main_clause,
    spoken,
    tidied,
    time_forms,
    upper_first,
    without_underscores,
)
from agents.worlds.fields import FieldType, draw
from agents.worlds.reading import authored
from agents.worlds.surface import shaped

TODAY = date(2026, 5, 11)
SLOTS: dict[str, Any] = {
    "x": "cancel TK12", "X": "Cancel TK12", "what": "cancel TK12", "value": "417", "right": "TK13", "wrong": "TK12",
    "field": "email", "noun": "ticket", "nouns": "tickets", "plural": "tickets", "about": "TK12", "About": "TK12",
    "it": "the price of TK12", "It": "The price of TK12", "is": "is", "Field": "Email", "why": "TK12 has been used",
    "rule": "Refund two tickets at most.", "done": "TK13 is refunded.", "of": "TK13", "tool": "find_ticket",
}  # fmt: skip
ANSWERS = (
    "forbidden limit stranger failed unclear unsure unavailable outside declined instead done told counted totalled"
)
LEAST = {
    "user": {
        **dict.fromkeys(("open_plain", "open_polite", "open_terse", "open_chatty", "open_formal"), 25),
        **{"next": 40, "ask_field": 15, "ask_count": 15, "ask_total": 15, "affirm": 60, "identify": 60, "thanks": 60},
    },
    "agent": {},
    "thoughts": {},
}
OTHERWISE = {"user": 6, "agent": 12, "thoughts": 15}


def forms(text: str) -> Iterator[str]:
    """Every sentence that a frame stands for, its slots filled."""
    parts = re.split(r"(\{(?:[^{}]|\{\w+\})*\|(?:[^{}]|\{\w+\})*\})", text)
    choices = [part[1:-1].split("|") if part.startswith("{") and "|" in part else [part] for part in parts]
    for chosen in product(*choices):
        yield re.sub(r"\{(\w+)\}", lambda match: str(SLOTS[match[1]]), "".join(chosen))


def sentences(who: str, kind: str) -> list[str]:
    return [form for text in frames(who)[kind] for form in forms(text)]


@pytest.mark.parametrize("who", ["user", "agent", "thoughts"])
def test_every_frame_is_whole_and_there_are_many_of_each_kind(who: str) -> None:
    for kind in frames(who):
        told = sentences(who, kind)
        assert len(set(told)) >= LEAST[who].get(kind, OTHERWISE[who]), kind
        for sentence in told:
            assert not re.search(r"[{}|]|  |\w [.,;:!?](?!\.)|[,;:][.!]", sentence), (kind, sentence)
            assert re.match(r"[A-Z]", sentence) or who == "user" or re.match(r"\(|417|find_ticket", sentence), sentence


def test_an_alternative_is_drawn_and_may_hold_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "frames", lambda who: {"kind": ["{a|b} {x}{|, not {y}}."]})
    drawn = {frame("who", "kind", Random(seed), x="{1|2}", y="|") for seed in range(60)}
    assert drawn == {"a {1|2}.", "b {1|2}.", "a {1|2}, not |.", "b {1|2}, not |."}


def test_a_slot_that_is_not_given_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "frames", lambda who: {"kind": ["{x}"]})
    with pytest.raises(KeyError, match="x"):
        frame("who", "kind", Random(0))


@pytest.mark.parametrize("kind", ["affirm", "affirm_what", "correct_value"])
def test_a_yes_is_read_as_one(kind: str) -> None:
    for sentence in sentences("user", kind):
        assert YES.search(sentence) and not NO.search(sentence), sentence


def test_a_no_is_read_as_one() -> None:
    for sentence in sentences("user", "refuse"):
        assert NO.search(sentence) and not YES.search(sentence), sentence


def test_what_an_agent_asks_is_understood() -> None:
    for sentence in sentences("agent", "confirm"):
        assert "?" in sentence and asks_to_confirm(" ".join(questions(sentence))), sentence
    for sentence in sentences("agent", "identify"):
        assert "?" in sentence and asks_who(" ".join(questions(sentence)), "email"), sentence
    for sentence in sentences("agent", "which"):
        assert "ticket" in sentence and asks_which(" ".join(questions(sentence)), ["ticket"]), sentence
    for sentence in sentences("agent", "wrong_id"):
        assert "TK12" in sentence and (not_there(sentence) or questions(sentence)), sentence


def test_an_answer_is_no_question() -> None:
    for kind in [*ANSWERS.split(), "told_after", "bye"]:
        for sentence in sentences("agent", kind):
            assert not questions(sentence), sentence


@pytest.mark.parametrize("kind", ["forbidden", "limit", "stranger", "failed", "outside", "unavailable", "unsure"])
def test_what_is_not_done_is_said_with_a_negation(kind: str) -> None:
    for sentence in sentences("agent", kind):
        assert refuses(sentence), sentence


@pytest.mark.parametrize("kind", ["told", "counted", "totalled", "told_after"])
def test_what_is_told_holds_the_value(kind: str) -> None:
    for sentence in sentences("agent", kind):
        assert is_said(417, [sentence], TODAY) and not is_said(41, [sentence], TODAY), sentence


def test_a_day_in_any_form_is_recognised_and_taken_for_no_other() -> None:
    days = [TODAY + timedelta(days=away) for away in range(-40, 300, 3)]
    for day in days:
        for form in date_forms(day, TODAY):
            assert is_said(day.isoformat(), [f"It is on {form}."], TODAY), form
            near = [day + timedelta(days=away) for away in (-31, -30, -10, -7, -1, 1, 7, 9, 10, 11, 20, 30, 31, 100)]
            others = [other for other in near if is_said(other.isoformat(), [form], TODAY)]
            assert not others, (form, others)


def test_a_time_in_any_form_is_recognised_and_taken_for_no_other() -> None:
    times = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]
    for time in times:
        for form in time_forms(time):
            assert is_said(time, [f"It leaves at {form}, I think."], TODAY), form
            assert [other for other in times if is_said(other, [form], TODAY)] == [time], form


@pytest.mark.parametrize(
    "kind",
    ["date -30..200", "time", "int 1..12", "int 0..90000 kWh", "money 3..9000", "number 0.5..30 kg", "email", "phone",
     "one of on_time, passed_on, given up"],
)  # fmt: skip
def test_a_value_is_recognised_as_it_is_spoken(kind: str) -> None:
    made = FieldType.parse(kind)
    for seed in range(150):
        rng = Random(seed)
        value = draw(made, rng, TODAY)
        text = spoken(made, value, rng, TODAY)
        assert "_" not in text
        assert is_said(value, [f"That is {text}."], TODAY), text


def test_a_year_or_a_code_has_no_comma() -> None:
    made = FieldType.parse("int 1900..90000")
    assert not any("," in spoken(made, value, Random(value), TODAY) for value in range(1900, 90000, 777))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("settle a incident of an card", "settle an incident of a card"),
        ("a user, a unit, a urgent call, a hour", "a user, a unit, an urgent call, an hour"),
        ("a 8 mm drill and a one", "an 8 mm drill and a one"),
        ("move it to tomorrow, not on today, but on this Friday", "move it to tomorrow, not today, but this Friday"),
        ("1 copies, one pieces, 11 copies", "1 copy, one piece, 11 copies"),
        ("1 airings were stopped", "1 airing was stopped"),
        ("look on this ticket", "look on this ticket"),
    ],
)
def test_articles_and_numbers_agree(text: str, right: str) -> None:
    assert tidied(text) == right


def test_a_main_clause_ends_where_reasons_begin_and_never_in_a_date() -> None:
    assert main_clause("cancel TK12, I want the money back") == "cancel TK12"
    assert main_clause("warn Bo: left rubbish") == "warn Bo"
    assert main_clause("move it to Saturday, May 16 at 9:30 for 1,200 euros") == (
        "move it to Saturday, May 16 at 9:30 for 1,200 euros"
    )
    assert main_clause("plan it for May 3rd, 2027, it is late") == "plan it for May 3rd, 2027"


def test_names_keep_their_letters() -> None:
    assert [upper_first(text) for text in ("map-tiles is down", "bo@x.example", "four seats", "it", "TK12")] == [
        "map-tiles is down", "bo@x.example", "Four seats", "It", "TK12",
    ]  # fmt: skip
    assert without_underscores("PK1 is handed_in") == "PK1 is handed in"


def test_whole_conversations_have_no_braces_and_no_underscores() -> None:
    said = []
    for number, name in enumerate(authored()):
        desk = shaped(authored()[name], number % 3)
        persona = PERSONAS[number % len(PERSONAS)]
        try:
            task = make_task(desk, number, 3, persona).task
        except NoTask:
            continue
        agent = Agent("agent", "Use the tools.", desk.app.name, desk.number, tuple(desk.app.actions), slip=0.1)
        held = simulate(Case(desk, task, agent, persona, number))
        said += [message for message in held.messages if message["role"] in ("user", "assistant")]
    assert len(said) > 400
    for message in said:
        text = str(message.get("content") or "")
        assert not re.search(r"[{}|\x00]|  |\.\.(?!\.)|[a-z]_[a-z]", text), text
        assert not re.search(r"[{}\x00]", message.get("reasoning_content") or ""), message
