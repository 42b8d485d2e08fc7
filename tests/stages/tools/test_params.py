"""MCP servers in params.yaml: a URL, a command, or a mapping that says more; what is none of these is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.harness.errors import InputError
from stages.harness.inputs import named_paths
from stages.harness.section import load_section
from stages.tools.params import ToolsParams
from tests.conftest import ROOT


def load(folder: Path, servers: list[Any]) -> ToolsParams:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["tools"]["mcp_servers"] = servers
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return load_section("tools", ToolsParams)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_all_three_forms_are_servers_and_only_a_mapping_can_ask_for_execution(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("")
    command = ["python", "shop.py", "--port=1"]
    mapping = {"server": ["python", "-m", "crm"], "name": "customers", "execute": True}
    p = load(tmp_path, ["http://tools.example/mcp", command, mapping])
    read = [(server.called, server.execute) for server in p.mcp_servers]
    assert read == [("tools.example", False), ("shop", False), ("customers", True)]
    assert dict(named_paths(p, "tools")) == {"tools.mcp_servers.1.server.1": Path("shop.py")}


@pytest.mark.parametrize(
    ("servers", "problem"),
    [
        ([5], "5: neither a URL, nor a command"),
        ([{"server": []}], "neither a URL, nor a command"),
        ([{"execute": True}], "neither a URL, nor a command"),
        ([{"server": "http://a/mcp", "exec": True}], "exec"),
        ([["python", "a.py"], ["node", "b/a.js"]], "two are called a; give one a name"),
    ],
)
def test_what_is_no_server_is_one_clear_line(tmp_path: Path, servers: list[Any], problem: str) -> None:
    with pytest.raises(InputError, match="tools") as caught:
        load(tmp_path, servers)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
