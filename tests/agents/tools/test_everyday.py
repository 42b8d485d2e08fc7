"""The authored everyday tools: all readable, all different, of many types."""

from collections import Counter

import pytest

from agents.tools.everyday import EverydayTool, Type, _linked, everyday_tools, facts, pools


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
        Type.parse("citty")


def test_every_tool_says_what_comes_back_and_many_have_one_that_goes_on_with_it() -> None:
    tools = everyday_tools()
    assert all(tool.returns for tool in tools)
    assert sum(bool(tool.then) for tool in tools) >= 90
    names = {tool.name for tool in tools}
    assert all(set(tool.then) <= names for tool in tools)


def test_facts_are_known_of_every_value_that_can_be_asked_about() -> None:
    for tool in everyday_tools():
        kinds = {parameter.name: parameter.type for parameter in tool.parameters}
        for kind in tool.returns.values():
            if kind.base == "fact":
                assert set(pools()[kinds[kind.unit].pool]) <= set(facts()[kind.pool]), tool.name


def test_a_tool_that_takes_nothing_of_a_result_can_not_go_on_with_it() -> None:
    (rate,) = (tool for tool in everyday_tools() if tool.name == "country_vat_rate")
    for then, message in (({"nowhere": {}}, "no tool 'nowhere'"), ({"book_rating": {}}, "takes nothing of the result")):
        odd = EverydayTool(rate.domain, rate.verb, rate.what, rate.name, rate.parameters, rate.returns, then)
        with pytest.raises(ValueError, match=message):
            _linked(odd, {tool.name: tool for tool in everyday_tools()})
