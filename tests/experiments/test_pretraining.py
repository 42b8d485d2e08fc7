"""What the experiments on pre-training run, and what they leave in MLflow."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from experiments import pretraining, pretraining_arms, pretraining_runs, sparsity
from experiments.pretraining_arms import Experiment
from experiments.pretraining_runs import PretrainArm, PretrainRun, config_of
from experiments.results import RunsFile
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


def test_twice_the_width_is_four_times_the_work_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining_runs, "read_index", lambda path: {"vocab_size": 64, "bos": 1, "eos": 2, "pad": 3})
    narrow, wide = (config_of(PretrainArm("", experts=96, width=width)) for width in (1, 2))
    for name in ("hidden_size", "intermediate_size", "moe_intermediate_size"):
        assert getattr(wide, name) == 2 * getattr(narrow, name)
    assert (wide.n_routed_experts, wide.num_experts_per_tok) == (96, 2)


def test_sparsity_is_tuned_and_run_at_both_widths_and_no_line_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = {"commit": "abc", "size": "smoke"}

    def kept(arm: PretrainArm, seed: int) -> PretrainRun:
        best = 0.02 if arm.experts == 96 else 0.005
        loss = 3.0 + abs(arm.lr - best) + seed / 100
        return PretrainRun(loss, [], [], [], 0.0, 0, code)

    monkeypatch.setattr(pretraining_arms, "kept", kept)
    runs = RunsFile(tmp_path / "sparsity.jsonl", "smoke")
    for _ in range(2):
        sparsity.measure(10, 2, runs)
        lines = runs.lines()
        assert len(lines) == 8 and all(line["stamp"] == code for line in lines)
    assert {(line["arm"], line["lr"], line["steps"]) for line in lines} == {
        ("sparsity 8, width 1", 0.005, 10),
        ("sparsity 48, width 1", 0.02, 10),
        ("sparsity 8, width 2", 0.005, 40),
        ("sparsity 48, width 2", 0.02, 40),
    }
