"""Single turns: short, ended by the call, a third of them without a tool that fits."""

import json
from collections import Counter
from dataclasses import replace

import jsonschema
import pytest

from agents.requests.conversation import Conversation, Requests
from agents.requests.shelf import alike
from agents.requests.singles import Singles
from agents.tools.everyday import everyday_tools
from agents.tools.library import functions
from stages.tools.__main__ import _specified
from tests.agents.requests.conftest import LIBRARY, MIX

COUNT = 1000
SINGLE_MIX = replace(
    MIX, everyday=0.6, library=0.4, service=0.0, no_tool=0.35, ask_back=0.05, parallel=0.08, beside=0.2, thoughts=0.1
)


@pytest.fixture(scope="module")
def maker() -> Singles:
    return Singles(everyday_tools(), [_specified(tool) for tool in functions(LIBRARY)], SINGLE_MIX, 7)


@pytest.fixture(scope="module")
def singles(maker: Singles) -> list[Conversation]:
    return [maker.make(number) for number in range(COUNT)]


def _calls(one: Conversation) -> list[dict[str, str]]:
    return [call["function"] for message in one.messages for call in message.get("tool_calls") or []]


def test_kinds_have_their_shares(singles: list[Conversation]) -> None:
    kinds = Counter(one.kinds[0] for one in singles)
    for name in ("no_tool", "ask_back", "parallel"):
        assert kinds[name] / COUNT == pytest.approx(getattr(SINGLE_MIX, name), abs=0.045)
    assert kinds.total() == sum(len(one.kinds) for one in singles) == COUNT


def test_each_ends_with_its_call_or_with_an_answer_where_no_tool_fits(singles: list[Conversation]) -> None:
    for one in singles:
        assert all(message["role"] != "tool" for message in one.messages)
        assert one.messages[-1]["role"] == "assistant"
        assert bool(_calls(one)) == (one.kinds[0] != "no_tool")
        assert [(call["name"], json.loads(call["arguments"])) for call in _calls(one)] == one.gold
        assert all("tool_calls" not in message for message in one.messages[:-1])


def test_calls_are_valid_and_of_a_declared_tool(singles: list[Conversation]) -> None:
    for one in singles:
        declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in one.declarations()}
        assert 1 <= len(declared) == len(one.tools) <= 4
        for call in _calls(one):
            jsonschema.validate(json.loads(call["arguments"]), declared[call["name"]])


def test_what_is_declared_does_not_tell_whether_a_tool_fits(singles: list[Conversation]) -> None:
    """As often authored tools, and as often one alone: a network would learn that instead of reading the request."""
    fitting = [one.tools for one in singles if one.kinds[0] in ("call", "ask_back")]
    without = [one.tools for one in singles if one.kinds[0] == "no_tool"]
    for share in (
        lambda kits: sum(offer.tool is not None for kit in kits for offer in kit) / sum(map(len, kits)),
        lambda kits: sum(len(kit) == 1 for kit in kits) / len(kits),
    ):
        assert share(fitting) == pytest.approx(share(without), abs=0.1)


def test_many_repeat_a_request_without_the_tool_that_fitted(singles: list[Conversation]) -> None:
    pairs = 0
    for one, other in zip(singles, singles[1:], strict=False):
        said = [[m["content"] for m in each.messages if m["role"] == "user"] for each in (one, other)]
        if said[0] == said[1]:
            pairs += 1
            assert one.kinds == ["call"] and other.kinds == ["no_tool"]
            (fitting,) = [offer for offer in one.tools if offer.name == one.gold[0][0]]
            assert not any(alike(offer, fitting) for offer in other.tools)
    assert pairs >= 0.07 * COUNT


def test_they_are_less_than_half_as_long_as_whole_conversations(singles: list[Conversation]) -> None:
    whole = Requests(everyday_tools(), [_specified(tool) for tool in functions(LIBRARY)], SINGLE_MIX, 7)

    def size(one: Conversation) -> int:
        return len(json.dumps([one.messages, one.declarations()]))

    assert sum(map(size, singles[:200])) < 0.5 * sum(size(whole.make(number)) for number in range(200))
