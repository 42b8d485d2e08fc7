"""The calls of two models to a user's held tools, side by side."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from agents.servers.evaluation import own_items
from experiments import your_tools
from stages.harness.tables import TOOLS, write_table
from tests.conftest import ROOT

COUNT = 12


def row(number: int) -> dict[str, str]:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {
        "name": f"get_thing_{number}",
        "domain": "mcp",
        "application": "town",
        "origin": "real",
        "source": "mcp",
        "description": f"Gets thing number {number} of a city.",
        "parameters": json.dumps(parameters),
        "returns": "{}",
        "state_model": "",
    }


class Model:
    """`tuned` makes every call right, `base` none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResponse]:
        if self.name == "base":
            return [ChatResponse("I can't.") for _ in requests]
        gold = [item.gold[0] for item in own_items([row(number) for number in range(COUNT)], per_tool=4, seed=0)]
        functions = [{"name": name, "arguments": json.dumps(arguments)} for name, arguments in gold]
        return [ChatResponse("", tool_calls=({"function": function},)) for function in functions]


def test_right_calls_of_both_models_stand_by_tool_and_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "data").mkdir()
    write_table(tmp_path / "data/tools.parquet", [row(number) for number in range(COUNT)], TOOLS)
    monkeypatch.setattr(your_tools, "open_client", Model)
    arguments = ["--before", "base", "--after", "tuned", "--per-tool", "4"]
    monkeypatch.setattr(sys, "argv", ["your_tools", *arguments])
    your_tools.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| tool | base | tuned |"
    assert len(lines) == 2 + 3 + 1
    assert lines[2].endswith("| 0 of 4 (0% [0%, 49%]) | 4 of 4 (100% [51%, 100%]) |")
    assert lines[-1] == "| town, all | 0 of 12 (0% [0%, 24%]) | 12 of 12 (100% [76%, 100%]) |"


def test_without_a_server_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "data").mkdir()
    write_table(tmp_path / "data/tools.parquet", [{**row(0), "source": "everyday"}], TOOLS)
    monkeypatch.setattr(sys, "argv", ["your_tools", "--before", "a", "--after", "b"])
    with pytest.raises(SystemExit, match=r"no tools of MCP servers; name one in tools\.mcp_servers"):
        your_tools.main()
