"""Conversations on declared tools: calls that the schema allows, of values that were said or that came back."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import jsonschema
import pytest

from agents.requests.conversation import Conversation, Requests
from agents.requests.shelf import kind
from agents.tools.everyday import everyday_tools
from k2model.chat.messages import render
from tests.agents.requests.conftest import COUNT, KINDS, MIX
from tests.conftest import ROOT, checkout_env

Call = dict[str, Any]
FACTORS = (1, 10, 60, 100, 1000)  # of units that a user may say instead


def test_every_call_is_valid_under_its_declaration(made: list[Conversation]) -> None:
    for one in made:
        declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in one.declarations()}
        assert len(declared) == len(one.tools), "names are distinct"
        for call in calls(one):
            schema = declared[call["name"]] | {"additionalProperties": False}
            assert not list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(call["arguments"])))
    for one in made[:300]:
        render(one.messages, one.declarations())


def calls(one: Conversation) -> list[Call]:
    return [call["function"] for message in one.messages for call in message.get("tool_calls") or []]


def _holds(text: str, value: Any) -> bool:
    """Whether a reader can take the value from the text."""
    low = text.lower()
    if isinstance(value, bool):
        return True  # said by with and without
    if isinstance(value, list):
        return all(_holds(text, item) for item in value)
    if isinstance(value, dict):
        return all(_letters(key) in _letters(text) and _holds(text, inner) for key, inner in value.items())
    if isinstance(value, (int, float)):
        numbers = {float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)}
        words = "two three four five six seven eight nine ten".split()
        spoken = {number + 2.0 for number, word in enumerate(words) if re.search(rf"\b{word}\b", low)}
        scaled = any(abs(n - value * factor) < 1e-6 for n in numbers for factor in FACTORS)
        return scaled or value in spoken or any(abs(n / 100 - value) < 1e-9 or n * 1e6 == value for n in numbers)
    if re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4}|\d\d\.\d\d\.\d{4}", value):
        return any(_is_day(part, value) for part in _dates(text))
    if re.fullmatch(r"\d\d:\d\d", value):
        hour, minute = map(int, value.split(":"))
        return value in text or f"{(hour + 11) % 12 + 1}:{minute:02}" in text
    return _letters(value) in _letters(text)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())


def _dates(text: str) -> list[datetime]:
    days = [datetime.fromisoformat(day.replace("/", "-")) for day in re.findall(r"\d{4}[-/]\d\d[-/]\d\d", text)]
    months = "jan feb mar apr may jun jul aug sep oct nov dec".split()
    for a, b, year in re.findall(r"(\w+) (?:of )?(\w+),? (\d{4})", text.lower()):
        day, month = (a, b) if a[0].isdigit() else (b, a)
        digits = re.match(r"\d+", day)
        if digits and month[:3] in months:
            days.append(datetime(int(year), months.index(month[:3]) + 1, int(digits[0])))
    return days


def _is_day(day: datetime, value: str) -> bool:
    return value in (f"{day:%Y-%m-%d}", f"{day:%m/%d/%Y}", f"{day:%d.%m.%Y}")


def test_every_value_of_a_call_was_said_by_the_user_or_came_back_before(made: list[Conversation]) -> None:
    lost = Counter[str]()
    for one in made:
        before = ""
        for message in one.messages:
            if message["role"] in ("user", "tool"):
                before += "\n" + message["content"]
            for call in message.get("tool_calls") or []:
                for name, value in json.loads(call["function"]["arguments"]).items():
                    if not _holds(before, value):
                        lost[f"{call['function']['name']}.{name}={value!r}: {before[-200:]}"] += 1
    assert not lost, lost.most_common(3)


def test_where_no_tool_fits_nothing_is_called_and_the_same_request_is_called_where_one_does(
    made: list[Conversation],
) -> None:
    called: dict[str, bool] = {}
    pairs = 0
    for one in made:
        talk = [message for message in one.messages if message["role"] != "system"]
        said, acts = talk[0]["content"], bool(talk[1].get("tool_calls"))
        if one.kinds[0] in ("call", "no_tool"):
            assert acts == (one.kinds[0] == "call")
            pairs += called.get(said, acts) != acts
            called[said] = acts
        turns = "".join(
            " " if message["role"] == "user" else "c" if message.get("tool_calls") else "" for message in talk
        )
        assert turns.split(" ").count("") - 1 >= one.kinds.count("no_tool"), "each is answered without a call"
    assert pairs > COUNT / 30


def test_shares_of_conversations_are_those_that_are_aimed_at(made: list[Conversation], requests: Requests) -> None:
    kinds = [set(one.kinds) for one in made]
    results = [[m["content"] for m in one.messages if m["role"] == "tool"] for one in made]
    assert 0.15 <= sum('{"error"' in "".join(each) for each in results) / COUNT <= 0.25
    assert 0.15 <= sum(bool(each & {"no_tool", "ask_back"}) for each in kinds) / COUNT <= 0.25
    assert 0.10 <= sum(_parallel(one) for one in made) / COUNT <= 0.20
    assert sum(_dependent(one) > 1 for one in made) / COUNT >= 0.5
    assert {kind for each in kinds for kind in each} == set(KINDS)
    declared = Counter("everyday" if offer.tool else "real" for one in made for offer in one.tools)
    assert declared["real"] / declared.total() >= 0.6
    asked = Counter[str]()
    for one in made:
        offers = {offer.name: offer for offer in one.tools}
        asked.update("everyday" if offers[name].tool else kind(offers[name].group) for name, _ in one.gold)
    assert 0.45 <= asked["everyday"] / asked.total() <= 0.62


def _parallel(one: Conversation) -> bool:
    return any(len(message.get("tool_calls") or []) > 1 for message in one.messages)


def _dependent(one: Conversation) -> int:
    """How many calls hold a text that an earlier result has and no user said."""
    said, results, count = "", "", 0
    for message in one.messages:
        said += message["content"] if message["role"] == "user" else ""
        results += message["content"] if message["role"] == "tool" else ""
        for call in message.get("tool_calls") or []:
            values = json.loads(call["function"]["arguments"]).values()
            texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
            new = [text for text in texts if isinstance(text, str) and len(text) > 2 and text not in said]
            count += any(text in results for text in new)
    return count


def test_every_service_specification_is_declared(made: list[Conversation], requests: Requests) -> None:
    seen = {offer.key for one in made for offer in one.tools}
    services = {offer.key for offer in requests.shelf.sources["service"]}
    assert len(services) > 1500
    assert services <= seen


def test_thoughts_stand_at_every_message_of_a_conversation_or_at_none(made: list[Conversation]) -> None:
    thoughtful = 0
    for one in made:
        reasons = [m.get("reasoning_content") for m in one.messages if m["role"] == "assistant"]
        assert all(reasons) or not any(reasons)
        thoughtful += all(reasons)
    assert thoughtful / COUNT == pytest.approx(MIX.thoughts, abs=0.04)


def test_wording_is_diverse(made: list[Conversation]) -> None:
    """Masked sentences: the ten most frequent are at most 5 % of all."""
    masked = Counter[str]()
    for one in made:
        for message in one.messages:
            if message["role"] == "user":
                masked[re.sub(r"\"[^\"]*\"|[A-Z]\S*|\d\S*", "_", message["content"])] += 1
    assert sum(count for _, count in masked.most_common(10)) <= 0.05 * masked.total()
    assert len(masked) >= 0.8 * masked.total()


def test_sources_without_a_tool_are_refused() -> None:
    with pytest.raises(ValueError, match="library: no tool can be asked for"):
        Requests(everyday_tools(), [], MIX, 0)


def test_sources_without_weight_are_not_declared(requests: Requests) -> None:
    alone = replace(MIX, everyday=1, library=0, service=0)
    rows = [
        {
            "name": "seek",
            "application": "files",
            "source": "python",
            "description": "Find the notes and files.",
            "parameters": '{"type": "object", "properties": {"x": {"type": "number"}}}',
            "returns": "{}",
            "state_model": "",
        }
    ]
    only = Requests(everyday_tools(), rows, alone, 1)
    assert all(offer.tool for number in range(60) for offer in only.make(number).tools)


def test_two_processes_make_the_same_bytes() -> None:
    code = (
        "import json; from itertools import islice;"
        "from agents.requests.conversation import *; from agents.requests.mix import *;"
        "from agents.tools.everyday import everyday_tools; from agents.tools.real import aws;"
        "from stages.tools.__main__ import _specified;"
        "rows = [_specified(tool) for tool in islice(aws(), 60)];"
        "r = Requests(everyday_tools(), rows, Mix(2, 0, 1, 0, 0.1, 0.2, 0.1, 0.15, 0.3, 0.6, 0.2), 3);"
        "print(json.dumps([[c.messages, c.declarations()] for c in map(r.make, range(60))]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=checkout_env() | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hashed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hashed in ("0", "1")
    }
    assert len(said) == 1
