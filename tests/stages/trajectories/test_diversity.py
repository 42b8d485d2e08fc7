"""Figures of diversity, on conversations written by hand."""

import json
from typing import Any

from stages.trajectories.diversity import Diversity


def _call(name: str, number: int, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"functions.{name}:{number}", "type": "function", "function": function}


def _row(*messages: dict[str, Any], tools: tuple[str, ...] = ("find", "book")) -> dict[str, str]:
    declared = [{"type": "function", "function": {"name": name}} for name in tools]
    return {"messages": json.dumps(messages), "tools": json.dumps(declared), "source": "simulated"}


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _agent(*calls: dict[str, Any], text: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": text} | ({"tool_calls": list(calls)} if calls else {})


def _result(content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "x", "content": content}


def test_sentences_that_differ_in_their_values_are_one() -> None:
    found = Diversity(frozenset())
    for city in ("Paris", "Rome"):
        found.add(_row(_user(f"Find hotels in {city} for 3 nights"), _agent(_call("find", 0, city=city))))
    found.add(_row(_user("Book it"), _agent(_call("book", 0, title="it"))))
    metrics = found.metrics()
    assert metrics["distinct_sentences"] == 2 / 3
    assert metrics["top_sentences"] == 1.0
    assert metrics["calls_per_conversation"] == 1.0


def test_kinds_of_turns() -> None:
    found = Diversity(frozenset({"find"}))
    found.add(
        _row(
            _user("Find a room in Oslo"),
            _agent(_call("find", 0, city="Oslo"), _call("find", 1, city="Oslo")),
            _result('{"ids": ["room-17", "room-18"]}'),
            _agent(_call("book", 2, id="room-17")),
            _result('{"error": "taken"}'),
            _agent(_call("book", 3, id="room-18")),
            _result('{"status": "ok"}'),
            _agent(text="Booked."),
        )
    )
    found.add(_row(_user("Sing!"), _agent(text="I can't."), tools=("book",)))
    metrics = found.metrics()
    assert metrics["share_parallel"] == metrics["share_dependent"] == metrics["share_error"] == 0.5
    assert metrics["share_no_call"] == 0.5
    assert metrics["declared_real"] == 1 / 3


def test_tools_of_a_server_that_was_called_are_real() -> None:
    diversity = Diversity(frozenset())
    diversity.add(_row(_user("Find a room"), _agent(_call("find", 0))) | {"source": "server"})
    assert diversity.metrics()["declared_real"] == 1.0


def test_a_value_that_the_user_said_is_not_taken_from_a_result() -> None:
    found = Diversity(frozenset())
    agent = [_agent(_call("book", k, id="room-17")) for k in range(2)]
    found.add(_row(_user("Book room-17"), _result('{"ids": ["room-17"]}'), *agent))
    assert found.metrics()["share_dependent"] == 0.0


def test_goodbyes_are_no_wishes_and_questions_are_no_refusals() -> None:
    diversity = Diversity(frozenset())
    diversity.add(
        _row(
            _user("Book a room"),
            _agent(_call("book", 0)),
            _result("{}"),
            _agent(text="Done."),
            _user("Thanks, bye."),
            _agent(text="Bye."),
        )
    )
    assert diversity.metrics()["share_no_call_or_ask_back"] == 0.0
    diversity.add(
        _row(_user("Book a room"), _agent(text="Which city?"), _user("Rome"), _agent(_call("book", 0, city="Rome")))
    )
    metrics = diversity.metrics()
    assert (metrics["share_ask_back"], metrics["share_no_call"], metrics["share_no_call_or_ask_back"]) == (
        0.5,
        0.0,
        0.5,
    )


def test_a_conversation_that_differs_in_its_values_alone_is_a_near_duplicate() -> None:
    diversity = Diversity(frozenset())
    for city in ("Paris", "Rome", "Oslo"):
        text = f"Please find me some quiet hotels in {city} for two nights from Monday, and tell me what they cost"
        diversity.add(_row(_user(text), _agent(_call("find", 0, city=city)), _agent(text="Here.")))
    diversity.add(_row(_user("Turn the lights in the kitchen off before nine"), _agent(_call("book", 0))))
    assert diversity.metrics()["near_duplicates"] == 0.5
