"""Turns as they are written: dependent calls, errors and what comes after them, answers that say what came back."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from agents.requests.conversation import Conversation
from tests.agents.requests.conftest import KINDS

Message = dict[str, Any]


def exchanges(one: Conversation) -> Iterator[tuple[Message, Message, list[Message]]]:
    """(the call, its result, what follows) of messages with one call."""
    for index, message in enumerate(one.messages):
        if len(message.get("tool_calls") or []) == 1:
            yield message["tool_calls"][0]["function"], one.messages[index + 1], one.messages[index + 2 :]


def failed(result: Message) -> bool:
    return list(json.loads(result["content"])) == ["error"]


def test_an_error_is_followed_by_another_call_or_told(made: list[Conversation]) -> None:
    errors = 0
    for one in made:
        for call, result, rest in exchanges(one):
            if not failed(result):
                continue
            errors += 1
            told = json.loads(result["content"])["error"]
            text = told["message"] if isinstance(told, dict) else told
            if rest[0].get("tool_calls"):
                continue
            mentioned = text in rest[0]["content"] or any(
                str(value) in rest[0]["content"] for value in json.loads(call["arguments"]).values()
            )
            assert mentioned, (text, rest[0]["content"])
    assert errors > 300


def test_what_failed_for_a_while_is_called_again_in_the_same_way_and_what_is_denied_is_not(
    made: list[Conversation],
) -> None:
    again = denied = 0
    for one in made:
        for call, result, rest in exchanges(one):
            if not failed(result):
                continue
            text = result["content"]
            if re.search(r"rate limit|unavailable|timed out|busy|too many requests", text):
                repeats = [m["tool_calls"][0]["function"] == call for m in rest[:1] if m.get("tool_calls")]
                assert repeats in ([True], []), "the same call, or the agent gives up after the second"
                again += repeats == [True]
            elif re.search(r"denied|not allowed|not authorized|may only read", text):
                denied += 1
                assert not rest[0].get("tool_calls")
    assert again > 50 and denied > 10


def test_a_corrected_call_differs_in_one_argument(made: list[Conversation]) -> None:
    seen = 0
    for one in made:
        for call, result, rest in exchanges(one):
            following = next((m["tool_calls"][0]["function"] for m in rest[:3] if m.get("tool_calls")), None)
            if not failed(result) or following is None or following["name"] != call["name"] or following == call:
                continue
            if not rest[0].get("tool_calls") and not re.search(r"\?|Please give me", rest[0]["content"]):
                continue  # the user let it be, and asks for something else
            before, after = json.loads(call["arguments"]), json.loads(following["arguments"])
            assert list(before) == list(after)
            assert sum(before[name] != after[name] for name in before) == 1
            seen += 1
    assert seen > 100


def test_calls_of_one_turn_that_depend_on_each_other_come_one_after_the_other(made: list[Conversation]) -> None:
    """Each result stands before the next call of its turn, and every call is answered."""
    steps = 0
    for one in made:
        open_calls: list[str] = []
        since_user = 0
        for message in one.messages:
            if message["role"] == "user":
                since_user = 0
            if message["role"] == "assistant":
                assert not open_calls
                open_calls = [call["id"] for call in message.get("tool_calls") or []]
                since_user += bool(open_calls)
                steps += since_user == 2
            if message["role"] == "tool":
                assert message["tool_call_id"] == open_calls.pop(0)
    assert steps > 300


def test_ids_of_calls_count_over_the_conversation(made: list[Conversation]) -> None:
    for one in made:
        ids = [call["id"] for message in one.messages for call in message.get("tool_calls") or []]
        assert [int(each.rpartition(":")[2]) for each in ids] == list(range(len(ids)))
        assert len(ids) == len(one.gold)


def test_the_entry_that_was_meant_is_the_one_of_the_last_list_that_is_called(made: list[Conversation]) -> None:
    wording = re.compile(r"\b(number two|the second (?:one|of them|in the list)|the top one)")
    checked = 0
    for one in made:
        entries: list[Any] = []
        open_reference = ""
        for message in [*one.messages, {"role": "user", "content": ""}]:
            if message["role"] == "user":
                assert not open_reference, open_reference
                which = wording.findall(message["content"])
                open_reference = message["content"] if len(which) == 1 else ""
                place = 0 if "the top one" in which else 1
            if message["role"] == "tool" and not failed(message):
                lists = [value for value in json.loads(message["content"]).values() if isinstance(value, list)]
                entries = lists[0] if lists and lists[0] else entries
            for call in message.get("tool_calls") or []:
                texts = {text for text in _texts(json.loads(call["function"]["arguments"]))}
                dated = any(re.fullmatch(r"[\d./-]{10}", text) for text in texts)  # perhaps in another form
                entry = entries[place] if place < len(entries) else {}
                meant = texts & {*_texts(entry if isinstance(entry, dict) else {"": entry})}
                checked += bool(open_reference and meant)
                open_reference = "" if meant or dated else open_reference
    assert checked > 100


def _texts(values: dict[str, Any]) -> Iterator[str]:
    for value in values.values():
        yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("no_tool", "denied", "dependent")])
def test_a_turn_of_every_kind_ends_with_an_answer(made: list[Conversation], kind: str) -> None:
    some = [one for one in made if kind in one.kinds]
    assert some
    for one in some:
        last = one.messages[-1]
        assert last["role"] == "assistant" and last["content"] and "tool_calls" not in last


def test_an_answer_to_a_single_call_says_no_number_that_nobody_named(made: list[Conversation]) -> None:
    for one in made:
        before = ""
        for message in one.messages:
            if message["role"] == "assistant" and message["content"]:
                numbers = set(re.findall(r"\d{3,}", message["content"]))
                assert all(number in before for number in numbers), message["content"]
            before += message["content"]
