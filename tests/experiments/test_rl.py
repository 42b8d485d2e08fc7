"""What the RL experiment leaves of runs that were made up: charts, and MLflow's runs."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from experiments import rl
from experiments.rl import arms
from experiments.rl_outcome import RlOutcome, charts
from tests.databases import mlflow_database

FAMILIES = ["parity", "size"]


def _run(end: float, **measures: float) -> RlOutcome:
    """A run of two iterations; success on both families goes from 0.4 to `end`."""
    start = {f"held_success_{family}": 0.4 for family in FAMILIES} | {"held_critic_accuracy": 0.5}
    last = {f"held_success_{family}": end for family in FAMILIES} | {"held_critic_accuracy": 0.5}
    sampled = {"reward": 0.5, "length": 4.0, "surprise": 0.3, "mismatch": 0.0} | measures
    row = {"iteration": 2.0} | last | sampled
    after = {"outside": 0.5, "outside_n": 40.0, "conversations": 2.0, "text": 5.0}
    return RlOutcome([{"iteration": 0.0} | start, row], after, after, 1.0)


def test_charts_hold_the_means_of_the_arms_that_ran() -> None:
    found = charts({"default": [_run(0.6), _run(0.8)], "int4": [], "bf16": [_run(0.5)]}, FAMILIES)
    assert [chart["title"] for chart in found] == ["Success on held problems, default RL, mean of 2 seeds"]
    assert found[0]["series"] == [{"name": family, "x": [0.0, 2.0], "y": [0.4, 0.7]} for family in FAMILIES]


def test_arms_differ_from_the_lean_one_in_what_they_name() -> None:
    by_name = {arm.name: arm for arm in arms(30)}
    lean = by_name["lean"].changes
    different = {key for key, value in by_name["ptx"].changes.items() if lean.get(key) != value}
    assert different == {"ptx"}
    assert by_name["budget"].start == by_name["no budget"].start == "wordy"


def test_arms_and_seeds_are_children_of_one_parent_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow_database(tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    rl.OUT.parent.mkdir(parents=True)
    rl.OUT.write_text("{}")
    every = [arm for arm in arms(2) if arm.name in ("lean", "ptx")]
    rl.log(every, {"lean": [_run(0.5), _run(0.6)], "ptx": [_run(0.7)]})
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in found if run is not parent}
    assert set(children) == {"lean, seed 0", "lean, seed 1", "ptx, seed 0"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    one = children["lean, seed 1"]
    assert one.data.metrics["after_text"] == 5.0
    history = client.get_metric_history(one.info.run_id, "rl/held_success_parity")
    assert [(point.step, point.value) for point in history] == [(0, 0.4), (2, 0.6)]
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["rl.jsonl"]
