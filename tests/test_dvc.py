"""What dvc.yaml says beside its stages: models by name, and plots; with DVC's own commands in a small repository."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.pretrain.loop import COLUMNS
from tests.conftest import ROOT, checkout_env

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DVC = (sys.executable, "-m", "dvc")
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
CURVES = {  # a table of each stage that has one, with the columns that its plots read
    "plots/pretrain.csv": (",".join(COLUMNS), ",".join("1" for _ in COLUMNS)),
    "plots/sft.csv": ("step,loss,lr", "0,,", "1,2.5,0.1"),
    "plots/rl.csv": ("iteration,reward,truncated,hacked", "0,,,", "1,0.5,0.1,0"),
}
MAKE = """
import pathlib, sys
out = pathlib.Path("models", sys.argv[1])
out.mkdir(parents=True)
(out / "w").write_text(sys.argv[1])
"""


def test_every_model_that_a_stage_makes_has_a_name() -> None:
    models = {out for stage in GRAPH["stages"].values() for out in stage["outs"] if out.startswith("models/")}
    assert {artifact["path"] for artifact in GRAPH["artifacts"].values()} == models
    for name, artifact in GRAPH["artifacts"].items():
        assert artifact["path"] == f"models/{name}" and artifact["type"] == "model"
        assert artifact["desc"] and artifact["labels"]


@pytest.fixture
def repo(tmp_path: Path, run_in: Run) -> Path:
    """A stage in each model stage's place, and the real models and plots."""
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "make.py").write_text(MAKE)
    stages = {name: {"cmd": f"python make.py {name}", "outs": [f"models/{name}"]} for name in GRAPH["artifacts"]}
    beside = {key: GRAPH[key] for key in ("artifacts", "plots")}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages} | beside, sort_keys=False))
    for path, lines in CURVES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("".join(f"{line}\n" for line in lines))
    (folder / ".gitignore").write_text("/models/\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"], [*DVC, "repro", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=folder, check=True, env=checkout_env())
    for command in (["commit", "-qm", "x"], ["tag", "-a", "qat@v1.0.0", "-m", "first"]):
        subprocess.run([*git, *command], cwd=folder, check=True, env=checkout_env())
    return folder


def test_a_model_is_fetched_by_its_name_from_a_checkout(repo: Path, run_in: Run, tmp_path: Path) -> None:
    run_in(tmp_path, *DVC, "artifacts", "get", str(repo), "qat", "--out", "by-name")
    assert (tmp_path / "by-name" / "w").read_text() == "qat"
    run_in(tmp_path, *DVC, "get", str(repo), "models/sft", "--out", "by-path")
    assert (tmp_path / "by-path" / "w").read_text() == "sft"
    none = run_in(tmp_path, *DVC, "artifacts", "get", str(repo), "sft", check=False)
    assert none.returncode != 0 and "sft" in none.stderr, "no commit is tagged as a version of it"


def test_the_plots_read_the_columns_of_the_curves(repo: Path, run_in: Run) -> None:
    drawn = json.loads(run_in(repo, *DVC, "plots", "show", "--json").stdout)
    assert drawn.get("errors", []) == []
    assert {name for plot in GRAPH["plots"] for name in plot} == set(drawn["data"])
    reward = str(drawn["data"]["reward of RL"])
    assert all(column in reward for column in ("reward", "truncated", "hacked"))
    rl = repo / "plots" / "rl.csv"
    rl.write_text(rl.read_text().replace("reward", "rewards"))
    broken = json.loads(run_in(repo, *DVC, "plots", "show", "--json", check=False).stdout)
    assert broken["errors"], "a column that is gone is an error, not an empty plot"
