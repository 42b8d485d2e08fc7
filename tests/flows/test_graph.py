import subprocess
import sys
from pathlib import Path

import pytest

from flows.graph import Node, restrict, stage_graph

ROOT = Path(__file__).parents[2]


def test_graph_equals_dvc_stage_list() -> None:
    nodes = stage_graph(ROOT)
    command = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(node.name for node in nodes) == sorted(listed.stdout.split())


def test_needs_come_first() -> None:
    nodes = stage_graph(ROOT)
    seen: set[str] = set()
    for node in nodes:
        assert set(node.needs) <= seen, node
        seen.add(node.name)
    by_name = {node.name: node for node in nodes}
    assert "corpus" in by_name["tokenizer"].needs
    assert "pretrain" in by_name["evaluate"].needs


def test_restrict_keeps_what_a_target_needs() -> None:
    nodes = [Node("a", (), ""), Node("b", ("a",), ""), Node("c", ("a",), ""), Node("d", ("b",), "")]
    assert [node.name for node in restrict(nodes, ["d"])] == ["a", "b", "d"]
    assert restrict(nodes, []) == nodes
    with pytest.raises(ValueError, match="no stage named 'x'"):
        restrict(nodes, ["x"])
