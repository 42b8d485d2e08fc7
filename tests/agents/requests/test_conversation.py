"""Conversations on declared tools: calls that the schema allows and the user's words hold, none where no tool fits."""

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import islice
from typing import Any

import jsonschema
import pytest

from agents.requests.conversation import Conversation, Mix, Requests
from agents.tools.everyday import everyday_tools
from agents.tools.library import functions
from agents.tools.real import aws
from k2model.chat.messages import render
from stages.tools.__main__ import _specified
from tests.conftest import ROOT, checkout_env

MIX = Mix(everyday=0.6, library=0.2, service=0.2, mcp=0.0, parallel=0.15, no_tool=0.2, ask_back=0.1)
COUNT = 700
LIBRARY = ("statistics", "calendar", "textwrap", "colorsys", "shutil", "base64", "heapq")


@pytest.fixture(scope="module")
def requests() -> Requests:
    return Requests(everyday_tools(), [_specified(tool) for tool in [*islice(aws(), 400), *functions(LIBRARY)]], MIX, 7)


@pytest.fixture(scope="module")
def made(requests: Requests) -> list[Conversation]:
    return [requests.make(number) for number in range(COUNT)]


def turns(one: Conversation) -> list[tuple[str, list[dict[str, Any]]]]:
    """(what the user said up to there in this turn, the calls), by turn; an answer that asks back joins two."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    kinds, said = iter(one.kinds), ""
    kind = next(kinds)
    for message in one.messages:
        if message["role"] == "user":
            said += "\n" + message["content"]
        elif message["role"] == "assistant" and (message.get("tool_calls") or kind == "no_tool"):
            found.append((said, [call["function"] for call in message.get("tool_calls") or []]))
            said, kind = "", next(kinds, "")
    return found


def test_every_call_is_valid_under_its_declaration(made: list[Conversation]) -> None:
    for one in made:
        declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in one.declarations()}
        assert len(declared) == len(one.tools), "names are distinct"
        for _, calls in turns(one):
            for call in calls:
                schema = declared[call["name"]] | {"additionalProperties": False}
                jsonschema.validate(json.loads(call["arguments"]), schema)
        render(one.messages, one.declarations())


def _holds(text: str, value: Any, schema: dict[str, Any]) -> bool:
    """Whether a reader can take the value from the text."""
    low = text.lower()
    if isinstance(value, bool):
        return True  # said by with and without
    if isinstance(value, list):
        return all(_holds(text, item, {}) for item in value)
    if isinstance(value, (int, float)):
        numbers = {float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)}
        words = "two three four five six seven eight nine ten".split()
        spoken = {number + 2.0 for number, word in enumerate(words) if re.search(rf"\b{word}\b", low)}
        close = any(abs(n - value) < 1e-9 or abs(n / 100 - value) < 1e-9 or n * 1e6 == value for n in numbers)
        return close or value in spoken
    if re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4}|\d\d\.\d\d\.\d{4}", value):
        return any(_is_day(part, value) for part in _dates(text))
    if re.fullmatch(r"\d\d:\d\d", value):
        hour, minute = map(int, value.split(":"))
        return value in text or f"{(hour + 11) % 12 + 1}:{minute:02}" in text
    return _letters(value) in _letters(text)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())


def _dates(text: str) -> list[datetime]:
    found = [datetime.fromisoformat(day) for day in re.findall(r"\d{4}-\d\d-\d\d", text)]
    months = "jan feb mar apr may jun jul aug sep oct nov dec".split()
    for a, b, year in re.findall(r"(\w+) (\w+),? (\d{4})", text.lower()):
        day, month = (a, b) if a[0].isdigit() else (b, a)
        digits = re.match(r"\d+", day)
        if digits and month[:3] in months:
            found.append(datetime(int(year), months.index(month[:3]) + 1, int(digits[0])))
    return found


def _is_day(day: datetime, value: str) -> bool:
    return value in (f"{day:%Y-%m-%d}", f"{day:%m/%d/%Y}", f"{day:%d.%m.%Y}")


def test_every_value_of_a_call_stands_in_the_users_words(made: list[Conversation]) -> None:
    lost = Counter[str]()
    for one in made:
        for said, calls in turns(one):
            for call in calls:
                for name, value in json.loads(call["arguments"]).items():
                    if not _holds(said, value, {}):
                        lost[f"{call['name']}.{name}={value!r}: {said[:200]}"] += 1
    assert not lost, lost.most_common(3)


def test_where_no_tool_fits_nothing_is_called_and_the_same_request_is_called_where_one_does(
    made: list[Conversation],
) -> None:
    first_of: dict[str, bool] = {}
    pairs = 0
    for one in made:
        for kind, (_, calls) in zip(one.kinds, turns(one), strict=True):
            assert bool(calls) == (kind != "no_tool")
        said, calls = turns(one)[0]
        if said in first_of and first_of[said] != bool(calls):
            pairs += 1
        first_of[said] = bool(calls)
    assert pairs > COUNT / 20


def test_shares_of_turns_are_those_that_were_asked_for(made: list[Conversation]) -> None:
    kinds = Counter(kind for one in made for kind in one.kinds)
    total = sum(kinds.values())
    assert kinds["parallel"] / total == pytest.approx(MIX.parallel, abs=0.03)
    assert kinds["ask_back"] / total == pytest.approx(MIX.ask_back, abs=0.03)
    assert MIX.no_tool - 0.02 < kinds["no_tool"] / total < MIX.no_tool + 0.12, "the paired ones come on top"


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


def test_two_processes_make_the_same_bytes() -> None:
    code = (
        "import json; from agents.requests.conversation import *; from agents.tools.everyday import everyday_tools;"
        "r = Requests(everyday_tools(), [], Mix(1, 0, 0, 0, 0.1, 0.2, 0.1), 3);"
        "print(json.dumps([[c.messages, c.declarations()] for c in map(r.make, range(40))]))"
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
