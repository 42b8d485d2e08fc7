"""The authored everyday tools: all readable, all different, of many types."""

from collections import Counter

import pytest

from agents.requests.values import pools
from agents.tools.everyday import Type, everyday_tools


def test_there_are_many_and_no_two_are_the_same() -> None:
    tools = everyday_tools()
    assert len(tools) >= 330
    assert len({tool.domain for tool in tools}) >= 36
    assert len({(tool.domain, tool.name) for tool in tools}) == len({tool.what for tool in tools}) == len(tools)
    for tool in tools:
        assert any(not parameter.optional for parameter in tool.parameters), tool.name
        assert len({parameter.name for parameter in tool.parameters}) == len(tool.parameters), tool.name


def test_types_are_those_that_service_specifications_lack() -> None:
    kinds = Counter(parameter.type.base for tool in everyday_tools() for parameter in tool.parameters)
    total = kinds.total()
    assert (kinds["int"] + kinds["number"] + kinds["share"] + kinds["year"]) / total > 0.3
    assert kinds["list"] / total > 0.06
    assert kinds["enum"] / total > 0.08


def test_phrases_hold_their_value_once() -> None:
    for tool in everyday_tools():
        for parameter in tool.parameters:
            assert parameter.phrase.count("{}") == (parameter.type.base != "yes"), f"{tool.name}.{parameter.name}"


def test_pools_have_enough_to_draw_from() -> None:
    assert min(len(set(values)) for values in pools().values()) >= 20


def test_what_is_no_type_is_named() -> None:
    with pytest.raises(ValueError, match="no type 'citty'"):
        Type.parse("citty", frozenset({"city"}))
