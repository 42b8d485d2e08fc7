import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema
import psutil
import pytest

from agents.playground.tools import CHANGES, WORLDS, McpSource, Shelf, UnknownWorld, WorldSource, find_world
from agents.tools import harvest
from agents.tools.harvest import McpToolbox, ServerError
from agents.worlds.reading import authored
from k2model.serving.page import OfferedTool

DESK = find_world("rail_tickets")


class Fixed:
    """A source of tools with given names."""

    def __init__(self, *names: str) -> None:
        self.names, self.called = names, ""

    def offered(self) -> Sequence[OfferedTool]:
        functions = [{"name": name, "description": name, "parameters": {"type": "object"}} for name in self.names]
        return [OfferedTool("fixed", {"type": "function", "function": function}, True) for function in functions]

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        return f"{name} of {self.names}", False

    def state(self, conversation: str) -> None:
        return None


def test_an_unknown_world_is_told_those_that_there_are() -> None:
    assert find_world("rail_tickets").app is authored()["rail_tickets"]
    with pytest.raises(UnknownWorld, match="no world 'rail'; there are .*rail_tickets, "):
        find_world("rail")


def test_a_world_offers_all_tools_and_ticks_two_changes_with_what_they_need() -> None:
    offered = WorldSource(DESK).offered()
    assert [tool.declaration["function"]["name"] for tool in offered] == list(DESK.tools)
    on = [tool.declaration["function"]["name"] for tool in offered if tool.on]
    assert on == [
        "find_traveller", "search_trains", "get_train", "list_tickets", "get_ticket", "book_ticket", "refund_ticket"
    ]  # fmt: skip
    for tool in offered:
        jsonschema.Draft202012Validator.check_schema(tool.declaration["function"]["parameters"])


def test_few_tools_of_every_world_are_ticked() -> None:
    for name, app in authored().items():
        source = WorldSource(find_world(name))
        on = {tool.declaration["function"]["name"] for tool in source.offered() if tool.on}
        assert CHANGES < len(on) <= 9, name
        assert len(on & {action.name for action in app.writes}) == CHANGES


def test_each_conversation_has_a_world_that_its_calls_change() -> None:
    source = WorldSource(DESK)
    booked = next(key for key, row in source.state("a")["ticket"].items() if row["status"] == "booked")
    text, error = source.call("a", "refund_ticket", {"ticket_id": booked})
    assert not error and json.loads(text)["status"] == "refunded"
    assert source.state("a")["ticket"][booked]["status"] == "refunded"
    assert source.state("b")["ticket"][booked]["status"] == "booked"
    text, error = source.call("a", "refund_ticket", {"ticket_id": booked})
    assert error and json.loads(text) == {"error": "not_refundable", "message": f"{booked} is refunded"}
    assert source.call("a", "refund_ticket", {})[1]
    source.state("a")["ticket"].clear()  # what was given out is a copy
    assert source.state("a")["ticket"]
    for number in range(WORLDS):
        source.state(str(number))
    assert source.state("a")["ticket"][booked]["status"] == "booked"  # begun anew: it was used longest ago


def test_names_of_several_sources_are_told_apart() -> None:
    shelf = Shelf([Fixed("search", "GitHub:create branch"), Fixed("search", "search_2")])
    names = [tool.declaration["function"]["name"] for tool in shelf.offered()]
    assert names == ["search", "GitHub_create_branch", "search_2", "search_2_2"]
    called = [shelf.call("a", name, {})[0].split(" of ")[0] for name in names]
    assert called == ["search", "GitHub:create branch", "search", "search_2"]
    assert shelf.state("a") is None


def test_an_mcp_server_is_listed_and_called() -> None:
    with McpToolbox([sys.executable, "-m", "mcp_server_time"]) as toolbox:
        shelf = Shelf([McpSource(toolbox), WorldSource(DESK)])
        offered = {tool.declaration["function"]["name"]: tool for tool in shelf.offered()}
        assert offered["get_current_time"].on
        assert offered["get_current_time"].source == f"MCP: {sys.executable} -m mcp_server_time"
        text, error = shelf.call("a", "get_current_time", {"timezone": "Asia/Tokyo"})
        assert not error and "+09:00" in text
        assert shelf.call("a", "get_current_time", {"timezone": "Moon/Base"})[1]
        assert "ticket" in (shelf.state("a") or {})


def test_a_server_that_ended_is_an_error_of_the_call_and_closes() -> None:
    dies = """
import os
from mcp.server import MCPServer
server = MCPServer("dies")
@server.tool()
def die() -> str:
    os._exit(3)
server.run()
"""
    with McpToolbox([sys.executable, "-c", dies]) as toolbox:
        source = McpSource(toolbox)
        assert [tool.declaration["function"]["name"] for tool in source.offered()] == ["die"]
        for _ in range(2):
            text, error = source.call("a", "die", {})
            assert error and json.loads(text)["error"]


def test_a_server_that_never_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvest, "TIMEOUT_S", 0.5)
    with pytest.raises(ServerError, match=r"^MCP server sleep 98\.7: no answer within 0\.5 s$"):
        McpToolbox(["sleep", "98.7"]).__enter__()
    assert not [child for child in psutil.Process().children() if "98.7" in child.cmdline()]


def test_no_secret_of_an_mcp_server_is_shown() -> None:
    for server in (["serve", "--api-key=sk-abc123def456"], "https://user:secret1word@host.example/mcp?key=abcdefgh"):
        source = McpSource(McpToolbox(server))
        assert "abc" not in source._source and "secret1word" not in source._source
