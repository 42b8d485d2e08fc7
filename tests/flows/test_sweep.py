"""Experiments and sweeps in a small repository of its own: the real params.yaml, one toy stage."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from flows.experiment import override, parse_changes
from flows.sweep import grid, suggest
from stages.harness.errors import InputError
from tests.conftest import ROOT, checkout_env
from tests.databases import mlflow_database

TOY = """
import json, os, yaml
p = yaml.safe_load(open("params.yaml"))
os.makedirs("metrics", exist_ok=True)
loss = (p["pretrain"]["optimizer"]["lr"] - 0.003) ** 2 + p["seed"]
json.dump({"validation_loss": loss}, open("metrics/scores.json", "w"))
"""
DVC_YAML = {
    "stages": {
        "evaluate": {
            "cmd": "python toy.py",
            "deps": ["toy.py"],
            "params": ["seed", "pretrain"],
            "metrics": [{"metrics/scores.json": {"cache": False}}],
        }
    }
}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "toy.py").write_text(TOY)
    mlflow_database(tmp_path / "mlflow.db")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML))
    (tmp_path / ".gitignore").write_text("/mlflow.db*\n/.prefect/\n/mlartifacts/\n")
    for command in (
        ["git", "init", "-q", "-b", "main"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "x"],
        ["git", "config", "user.name", "t"],
        ["git", "config", "user.email", "t@localhost"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, env=checkout_env())
    return tmp_path


def _flow(repo: Path, *args: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    env = checkout_env() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *args]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_a_grid_gives_experiments_that_dvc_and_the_table_agree_on(repo: Path) -> None:
    before = (repo / "params.yaml").read_text()
    done = _flow(repo, "flows.sweep", "--grid", "pretrain.optimizer.lr=0.002,0.005", "--name", "lr", "--jobs", "2")
    assert (repo / "params.yaml").read_text() == before
    rows = csv.DictReader(io.StringIO(_flow(repo, "dvc", "exp", "show", "--csv").stdout))
    shown = {row["Experiment"]: row for row in rows if row["Experiment"]}
    parent, children = _runs(repo)
    assert (parent.info.run_name, parent.info.status, parent.data.tags["stage"]) == ("lr", "FINISHED", "sweep")
    assert set(children) == {"lr-0", "lr-1"}
    for number, lr in enumerate((0.002, 0.005)):
        name, loss = f"lr-{number}", (lr - 0.003) ** 2
        assert f"{name}  pretrain.optimizer.lr={lr}  validation_loss {loss:.6g}" in done.stdout
        assert float(shown[name]["validation_loss"]) == pytest.approx(loss)
        assert children[name].data.metrics["validation_loss"] == pytest.approx(loss)
        assert children[name].data.params == {"pretrain.optimizer.lr": shown[name]["pretrain.optimizer.lr"]}
        assert children[name].data.tags["dvc.exp"] == name


def _runs(repo: Path) -> tuple[Run, dict[str, Run]]:
    """The one parent in the store, and its children by name."""
    client = MlflowClient(tracking_uri=f"sqlite:///{repo / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "k2"]
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return parent, {run.info.run_name: run for run in children}


@pytest.mark.slow
def test_an_experiment_leaves_the_checkout_as_it_is(repo: Path) -> None:
    before = (repo / "params.yaml").read_text()
    _flow(repo, "flows.experiment", "--set", "pretrain.optimizer.lr=0.004", "--name", "other")
    assert (repo / "params.yaml").read_text() == before
    assert not (repo / "metrics").exists()
    shown = list(csv.DictReader(io.StringIO(_flow(repo, "dvc", "exp", "show", "--csv").stdout)))
    (other,) = [row for row in shown if row["Experiment"] == "other"]
    assert (other["pretrain.optimizer.lr"], other["validation_loss"]) == ("0.004", "1e-06")


@pytest.mark.slow
def test_queued_experiments_run_together_and_leave_the_checkout_as_it_is(repo: Path) -> None:
    for number in (3, 4):
        _flow(repo, "dvc", "exp", "run", "--queue", "-n", f"queued-{number}", "-S", f"seed={number}")
    assert _flow(repo, "dvc", "queue", "status").stdout.count("Queued") == 2
    _flow(repo, "dvc", "exp", "run", "--run-all", "-j", "2")
    rows = csv.DictReader(io.StringIO(_flow(repo, "dvc", "exp", "show", "--csv").stdout))
    assert {row["Experiment"]: row["seed"] for row in rows if row["Experiment"]} == {"queued-3": "3", "queued-4": "4"}
    assert (repo / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()


def test_a_study_asks_optuna_and_names_the_best(repo: Path) -> None:
    args = ("--study", "pretrain.optimizer.lr=log:0.001:0.1", "--trials", "3", "--name", "st")
    lines = _flow(repo, "flows.sweep", *args).stdout.splitlines()
    rates = [float(re.search(r"lr=(\S+)", line)[1]) for line in lines if line.startswith("st-")]  # type: ignore[index]
    assert len(set(rates)) == 3
    assert all(0.001 <= rate <= 0.1 for rate in rates)
    parent, children = _runs(repo)
    assert parent.info.status == "FINISHED"
    assert [float(children[f"st-{k}"].data.params["pretrain.optimizer.lr"]) for k in range(3)] == rates
    best = min(children.values(), key=lambda run: run.data.metrics["validation_loss"])
    said = f"st: best of 3: {best.info.run_name}  pretrain.optimizer.lr={best.data.params['pretrain.optimizer.lr']}"
    assert lines[-1].startswith(said)


@pytest.mark.slow
def test_a_failing_trial_is_a_result(repo: Path) -> None:
    (repo / "toy.py").write_text("raise SystemExit('toy: no luck')")
    subprocess.run(["git", "commit", "-qam", "break"], cwd=repo, check=True)
    done = _flow(repo, "flows.sweep", "--grid", "seed=1", "--name", "bad", check=False)
    assert done.returncode == 1
    assert "bad-0  seed=1  validation_loss failed:" in done.stdout
    parent, children = _runs(repo)
    assert (parent.info.status, children["bad-0"].info.status) == ("FAILED", "FAILED")
    assert children["bad-0"].data.tags["problem"]


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        (["pretrain.stepz=3"], "params.yaml: no key pretrain.stepz"),
        (["pretrain.steps=abc"], "pretrain.steps"),
        (["oops"], "'oops': wanted key=value"),
    ],
)
def test_a_wrong_change_is_one_line_and_nothing_runs(repo: Path, pairs: list[str], line: str) -> None:
    done = _flow(repo, "flows.experiment", *[part for pair in pairs for part in ("--set", pair)], check=False)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_grid_and_suggestions() -> None:
    assert grid({"a": "1,2", "b": "x"}) == [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}]
    assert parse_changes(["a.b=1=2"]) == {"a.b": "1=2"}
    with pytest.raises(InputError, match="no key nothing"):
        override({"seed": 1}, {"nothing": "1"})

    class Fake:
        def suggest_float(self, key: str, low: float, high: float, log: bool) -> float:
            return low if log else high

        def suggest_int(self, key: str, low: int, high: int) -> int:
            return high

        def suggest_categorical(self, key: str, values: list[str]) -> str:
            return values[-1]

    fake = Fake()
    assert suggest(fake, "k", "log:0.001:0.1") == "0.001"  # type: ignore[arg-type]
    assert suggest(fake, "k", "float:1:2") == "2"  # type: ignore[arg-type]
    assert suggest(fake, "k", "int:1:5") == "5"  # type: ignore[arg-type]
    assert suggest(fake, "k", "a,b") == "b"  # type: ignore[arg-type]
