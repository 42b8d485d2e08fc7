"""The harness run as a user runs a stage: a process in a checkout, with SQLite MLflow."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.databases import mlflow_database

ROOT = Path(__file__).parents[3]

TOY = """
import os, sys, time
from pathlib import Path
from stages.harness.errors import InputError
from stages.harness.section import Section
from stages.harness.stage import Stage
from stages.tracking.runs import Track

def main():
    with Stage("report", Section, Track) as stage:
        if os.environ.get("FAIL"):
            raise InputError("corpus.paths: x.txt: not found")
        saved = stage.work / "step"
        start = int(saved.read_text()) if saved.exists() else 0
        for step in range(start, 20):
            stage.log({"loss": 1.0 / (step + 1)}, step)
            if step % 5 == 4:
                stage.track.flush()
                saved.write_text(str(step + 1))
            if os.environ.get("STOP_AT") == str(step):
                stage.track.flush()
                print("at", step, flush=True)
                time.sleep(60)
        Path("out").write_text("done")
        stage.finish("20 steps", metrics={"steps": 20})

main()
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    stages = {"report": {"cmd": "x", "deps": ["stages/report", "in.txt"], "params": ["seed", "model"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "stages" / "report").mkdir(parents=True)
    (tmp_path / "stages" / "report" / "x.py").write_text("1")
    (tmp_path / "in.txt").write_text("input")
    (tmp_path / "toy.py").write_text(TOY)
    mlflow_database(tmp_path / "mlflow.db")
    return tmp_path


def _start(checkout: Path, **env: str) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if key not in {"MLFLOW_TRACKING_URI", "K2_PIPELINE_RUN"}}
    clean |= {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"} | env
    command = [sys.executable, "toy.py"]
    return subprocess.Popen(command, cwd=checkout, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _client(checkout: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{checkout / 'mlflow.db'}")


def _children(client: MlflowClient) -> list:
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId")]


def test_a_killed_stage_continues_its_own_run_without_duplicate_points(checkout: Path) -> None:
    first = _start(checkout, STOP_AT="12")
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "at 12"
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = _start(checkout)
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert out.splitlines()[-1].startswith("report: 20 steps, ")
    client = _client(checkout)
    (child,) = _children(client)
    assert child.info.status == "FINISHED"
    points = client.get_metric_history(child.info.run_id, "loss")
    assert sorted(point.step for point in points) == list(range(20))
    assert child.data.tags["stage"] == "report"
    assert child.data.params["model"] == "laptop"
    assert child.inputs.dataset_inputs[0].dataset.name == "in.txt"
    parent = client.get_run(child.data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["report/steps"] == 20
    assert json.loads((checkout / "metrics" / "report.json").read_text()) == {"steps": 20}
    assert (checkout / "work" / "timings.json").exists()


def test_a_users_error_is_one_line_and_status_2(checkout: Path) -> None:
    failed = _start(checkout, FAIL="1")
    _out, err = failed.communicate(timeout=120)
    assert failed.returncode == 2
    own = [line for line in err.splitlines() if line.startswith("report:")]
    assert own == ["report: corpus.paths: x.txt: not found"]
    assert "Traceback" not in err
    (child,) = _children(_client(checkout))
    assert child.info.status == "FAILED"


def test_a_missing_input_and_a_bad_parameter_say_so_before_anything_runs(checkout: Path) -> None:
    (checkout / "in.txt").unlink()
    (checkout / "mlflow.db").unlink()
    _, err = (missing := _start(checkout)).communicate(timeout=300)
    assert (missing.returncode, err.strip()) == (
        2,
        "report: in.txt: not found; run the stage that makes it first (dvc repro report)",
    )
    params = yaml.safe_load((checkout / "params.yaml").read_text()) | {"seed": "one"}
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    _, err = (bad := _start(checkout)).communicate(timeout=300)
    said = "report: params.yaml: seed: Input should be a valid integer (got 'one')"
    assert (bad.returncode, err.strip()) == (2, said)
    assert not (checkout / "mlflow.db").exists()


def test_sigterm_marks_the_run_killed(checkout: Path) -> None:
    stage = _start(checkout, STOP_AT="3")
    assert stage.stdout is not None
    assert stage.stdout.readline().strip() == "at 3"
    time.sleep(0.1)
    stage.send_signal(signal.SIGTERM)
    stage.wait(timeout=30)
    assert stage.returncode == 128 + signal.SIGTERM
    (child,) = _children(_client(checkout))
    assert child.info.status == "KILLED"
