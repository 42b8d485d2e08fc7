"""The walking skeleton, at smoke size, as a user runs it: `dvc repro` and what follows."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.conftest import checkout_env

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
DVC = (sys.executable, "-m", "dvc")


@pytest.fixture(scope="module")
def ran(smoke_checkout: Path, run_in: Run) -> Path:
    run_in(smoke_checkout, *DVC, "repro", timeout=900)
    return smoke_checkout


def _stages(folder: Path) -> list[str]:
    return list(yaml.safe_load((folder / "dvc.yaml").read_text())["stages"])


def _executed(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def _weights(folder: Path) -> dict[str, str]:
    files = sorted((folder / "models" / "pretrain").glob("*.safetensors"))
    assert files
    return {file.name: subprocess.check_output(["sha256sum", file], text=True).split()[0] for file in files}


def test_every_output_is_there_and_every_stage_tells_its_last_line(ran: Path) -> None:
    for stage in yaml.safe_load((ran / "dvc.yaml").read_text())["stages"].values():
        for out in stage.get("outs", []):
            assert (ran / out).exists(), out
    scores = json.loads((ran / "metrics" / "scores.json").read_text())
    assert 0 < scores["validation_loss"] < 20
    assert scores["facts_ci_low"] <= scores["facts"] <= scores["facts_ci_high"]


def test_a_second_repro_runs_nothing(ran: Path, run_in: Run) -> None:
    started = time.monotonic()
    again = run_in(ran, *DVC, "repro")
    assert _executed(again.stdout) == []
    assert time.monotonic() - started < 60


def test_mlflow_has_one_parent_and_a_child_per_stage(ran: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{ran / 'mlflow.db'}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    parents = [run for run in runs if run.data.tags["stage"] == "pipeline"]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert sorted(run.data.tags["stage"] for run in children) == sorted(_stages(ran))
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert run.data.tags["git.commit"]
        assert run.data.tags["dvc.lock"]
    (pretrain,) = [run for run in children if run.data.tags["stage"] == "pretrain"]
    steps = [point.step for point in client.get_metric_history(pretrain.info.run_id, "train/loss")]
    assert steps == sorted(set(steps))
    assert len(steps) >= 2


def test_a_changed_step_count_runs_only_what_follows(ran: Path, run_in: Run) -> None:
    path = ran / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["pretrain"]["steps"] += 1
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    changed = run_in(ran, *DVC, "repro")
    executed = _executed(changed.stdout)
    assert executed[0] == "pretrain"
    assert not {"corpus", "tokenizer", "tokens"} & set(executed)
    assert {"evaluate", "report"} <= set(executed)
    path.write_text(before)
    back = run_in(ran, *DVC, "repro")
    assert "pretrain" not in _executed(back.stdout)  # restored from DVC's run cache


def test_killed_in_pretraining_it_resumes_to_the_same_bytes(ran: Path, run_in: Run) -> None:
    whole = _weights(ran)
    for folder in (ran / "work").glob("pretrain/*"):
        subprocess.run(["rm", "-r", folder], check=True)
    process = subprocess.Popen(
        [*DVC, "repro", "--single-item", "--force", "--no-run-cache", "pretrain"],
        cwd=ran,
        env=checkout_env(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list((ran / "work").glob("pretrain/*/checkpoints/step-*[1-9]/manifest.json")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        assert process.poll() is None, "pretraining ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (ran / "models" / "pretrain").exists()
    resumed = run_in(ran, *DVC, "repro", "--single-item", "--force", "--no-run-cache", "pretrain")
    assert "resumed at step" in resumed.stdout
    assert _weights(ran) == whole


def test_an_unknown_key_is_one_line_and_touches_nothing(ran: Path, run_in: Run) -> None:
    path = ran / "params.yaml"
    before, weights = path.read_text(), _weights(ran)
    path.write_text(before.replace("pretrain:\n  steps:", "pretrain:\n  stepz:"))
    failed = run_in(ran, sys.executable, "-m", "stages.preflight", check=False)
    path.write_text(before)
    assert (failed.returncode, failed.stderr) == (2, "params.yaml: pretrain.stepz: unknown key\n")
    assert _weights(ran) == weights


def test_a_stage_runs_alone(ran: Path, run_in: Run) -> None:
    alone = run_in(ran, sys.executable, "-m", "stages.tokenizer")
    assert alone.stdout.splitlines()[-1].startswith("tokenizer: ")
