"""What an experiment of experiments leaves in MLflow."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from experiments import pretraining
from experiments.pretraining_arms import Experiment
from experiments.pretraining_runs import PretrainArm, PretrainRun
from tests.databases import mlflow_database


def test_an_experiments_arms_and_seeds_are_children_of_one_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow_database(tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    pretraining.OUT.parent.mkdir(parents=True)
    pretraining.OUT.write_text("{}")
    experiment = Experiment(2, 2, lambda line: None)
    for name, loss in (("muonclip", 3.0), ("adamw", 4.0)):
        experiment.arms[name] = PretrainArm(name, lr=0.01)
        experiment.runs[name] = [PretrainRun(loss + s, [9.0, loss], [1.0, 2.0], [[1.0]], 0.0, 0) for s in range(2)]
    pretraining.log(experiment)
    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in found if run is not parent}
    assert set(children) == {f"{arm}, seed {seed}" for arm in ("muonclip", "adamw") for seed in (0, 1)}
    for run in children.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.info.status, run.data.params["lr"]) == ("FINISHED", "0.01")
    one = children["adamw, seed 1"]
    assert one.data.metrics["validation_loss"] == 5.0
    assert [point.value for point in client.get_metric_history(one.info.run_id, "train/loss")] == [9.0, 4.0]
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["pretraining.jsonl"]
