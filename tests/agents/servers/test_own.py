"""A user's server of 12 tools: its name, the tools held for measuring, items and RL tasks, and when it is called."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from agents.requests.calls import score
from agents.servers import rl_family
from agents.servers.evaluation import answered, own_items
from agents.servers.executed import ExecutedConversations
from agents.servers.own import by_server, default_name, held, learnable
from agents.tools.harvest import McpToolbox, harvest
from stages.tools.__main__ import _mcp

SERVER = Path(__file__).with_name("workshop.py")
Row = dict[str, Any]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the server writes its calls."""
    return tmp_path / "calls.jsonl"


@pytest.fixture
def rows(calls: Path) -> list[Row]:
    return [_mcp(tool, "workshop") for tool in harvest([sys.executable, str(SERVER), str(calls)])]


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("http://user:secret@tools.example:8001/mcp?key=1", "tools.example"),
        (["python", "shop.py", "--port=1"], "shop"),
        (["python3.11", "-m", "mcp_server_time", "--local-timezone", "UTC"], "mcp_server_time"),
        (["uvx", "mcp-server-git"], "mcp-server-git"),
        (["/opt/bin/crm"], "crm"),
    ],
)
def test_a_server_is_called_by_its_host_or_program(server: str | list[str], name: str) -> None:
    assert default_name(server) == name


def test_a_quarter_of_the_tools_is_held_whatever_their_order(rows: list[Row]) -> None:
    assert len(rows) == 12
    kept = {row["name"] for row in held(rows)}
    assert len(kept) == 3
    assert {row["name"] for row in held(rows[::-1])} == kept
    assert held(rows[:7]) == []
    other = {"source": "botocore", "application": "s3", "name": next(iter(kept))}
    assert learnable([other, *rows]) == [other, *(row for row in rows if row["name"] not in kept)]
    assert list(by_server([other, *rows])) == ["workshop"]


def test_every_one_of_the_twelve_tools_gets_requests_whose_calls_it_accepts(rows: list[Row]) -> None:
    items = [item for row in rows for item in own_items([{**row, "application": row["name"]}], per_tool=4, seed=1)]
    assert {item.gold[0][0] for item in items} == {row["name"] for row in rows}
    for item in items:
        name, arguments = item.gold[0]
        declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in item.tools}
        jsonschema.validate(arguments, declared[name])


def test_items_ask_for_held_tools_alone_and_are_the_same_again(rows: list[Row]) -> None:
    items = own_items(rows, per_tool=5, seed=3)
    assert items == own_items(rows, per_tool=5, seed=3)
    assert {item.gold[0][0] for item in items} == {row["name"] for row in held(rows)}
    assert len(items) == 15
    assert all(len(item.tools) > 2 for item in items)


class Scripted:
    """Answers with the calls it is given, one request after the other."""

    model = "scripted"

    def __init__(self, calls: Sequence[tuple[str, Any]]) -> None:
        self.calls = calls

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResponse]:
        assert all(request.tools and request.temperature == 0.0 for request in requests)
        functions = [{"name": name, "arguments": json.dumps(arguments)} for name, arguments in self.calls]
        return [ChatResponse("", tool_calls=({"function": function},)) for function in functions]


def test_gold_answers_are_right_and_answers_of_another_item_are_not(rows: list[Row]) -> None:
    items = own_items(rows, per_tool=3, seed=0)
    gold = [item.gold[0] for item in items]
    assert all(answered(Scripted(gold), items))  # type: ignore[arg-type]
    assert not any(answered(Scripted(gold[3:] + gold[:3]), items))  # type: ignore[arg-type]


def test_rl_tasks_want_calls_of_tools_that_are_not_held(rows: list[Row]) -> None:
    tasks = rl_family.tasks(rows, 160, 20, 5, "train")
    held_names = {row["name"] for row in held(rows)}
    for task in tasks:
        ((name, arguments),) = task.payload["gold"]
        assert name not in held_names
        assert held_names.isdisjoint(tool["function"]["name"] for tool in task.payload["declared"])
        assert score(task, [(name, arguments)]).score == 1.0
        assert score(task, [(name, {**arguments, "surely_not": 1})]).score == 0.0
        assert score(task, []).score == 0.0
    assert len({task.payload["gold"][0][0] for task in tasks}) == 9
    assert rl_family.tasks([], 160, 5, 0, "train") == []


def test_harvesting_and_making_tasks_never_call_a_tool(rows: list[Row], calls: Path) -> None:
    own_items(rows, per_tool=2, seed=0)
    rl_family.tasks(rows, 160, 12, 0, "train")
    assert not calls.exists()


def test_an_executed_conversation_holds_the_servers_own_results_and_calls_nothing_else(
    rows: list[Row], calls: Path
) -> None:
    with McpToolbox([sys.executable, str(SERVER), str(calls)]) as toolbox:
        conversations = ExecutedConversations(learnable(rows), toolbox, base=2)
        made = [one for one in map(conversations.make, range(12)) if one is not None]
    lines = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == ["list_repairs", {"status": None}]
    assert len(made) >= 6
    assert any(one.dependent for one in made)
    for one in made:
        results = [message["content"] for message in one.messages if message["role"] == "tool"]
        for (name, arguments), text in zip(one.gold, results, strict=True):
            if text.startswith("Error"):
                continue
            assert any(name == called and arguments.items() <= given.items() for called, given in lines), (name, lines)
            if name == "free_slots":
                assert json.loads(text)["day"] == arguments["day"]
            if name == "order_parts":
                assert json.loads(text)["order"].endswith(f"-{arguments['count']}")
