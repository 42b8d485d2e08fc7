import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml

from flows.graph import Node, restrict, stage_graph
from stages.harness.errors import InputError

ROOT = Path(__file__).parents[2]
# What every stage uses and what can change no byte of an output: parameters (DVC compares those by value), files, logs.
HOUSE = ("stages.harness", "stages.tracking", "stages.dial", "stages.preflight")
# A checkpoint as teacher is named by a path that DVC does not know; its code is not a dependency either.
BORDER = {"agents.chat.checkpoint"}
BY_NAME = "gym.benchmarks.open"  # it imports its neighbours when one is asked for


def _outside(module: str) -> bool:
    """Whether the way through the imports ends at `module`."""
    if module in ("stages.harness.teacher", "stages.harness.base_model"):
        return False
    return module in BORDER or module.startswith(HOUSE)


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
    with pytest.raises(InputError, match="no stage named 'x'"):
        restrict(nodes, ["x"])


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("stages", "agents", "gym", "k2model", "kernels", "flows", cache_dir=None)


def _file(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT).as_posix()


@pytest.mark.parametrize("stage", [node.name for node in stage_graph(ROOT)])
def test_dvc_knows_every_file_of_code_that_a_stage_uses(imports: grimp.ImportGraph, stage: str) -> None:
    dependencies = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    todo = [one for one in imports.modules if one == f"stages.{stage}" or one.startswith(f"stages.{stage}.")]
    assert todo
    used = set(todo)
    while todo:
        module = todo.pop()
        new = imports.find_modules_directly_imported_by(module) - used
        if module == BY_NAME:
            new |= {one for one in imports.modules if one.startswith("gym.benchmarks.")} - used
        new = {one for one in new if not _outside(one)}
        used |= new
        todo += new
    files = {_file(module) for module in used}
    code = {file for file in files if (ROOT / file).stat().st_size}
    covered = {file for file in code for one in dependencies if file == one or file.startswith(f"{one}/")}
    assert code == covered
    rooms = [one for one in dependencies if one.split("/")[0] not in ("data", "models", "metrics", "plots", "docs")]
    unused = [one for one in rooms if not any(file == one or file.startswith(f"{one}/") for file in code)]
    assert unused == []
