"""MLflow that is away, was tidied in its UI, is of another version, or has moved: no stage ends, nothing is lost."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import mlflow
import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from stages.harness import checkout_lock
from stages.tracking import __main__ as models
from stages.tracking import outbox
from stages.tracking.runs import Track, log_run, send_unsent
from tests.databases import mlflow_database
from tests.servers import free_port

STEPS = 250  # more than one batch


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "K2_MLFLOW_PARENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("K2_PIPELINE_RUN", "this run")
    monkeypatch.setattr(outbox, "PAUSE_S", 0.0)
    folder = tmp_path / "checkout"
    mlflow_database(folder / "mlflow.db")
    monkeypatch.chdir(folder)
    return Path()


def _track(root: Path, stage: str = "sft") -> Track:
    work = root / "work" / stage / "f1"
    work.mkdir(parents=True, exist_ok=True)
    return Track(stage, root, work, {"seed": 0, stage: {"lr": 0.1}}, {"data/x": "a" * 64}, system=False)


def _learn(track: Track, first: int = 0, last: int = STEPS) -> None:
    for step in range(first, last):
        track.log({"loss": 1.0 / (step + 1)}, step)
    track.flush()


def _client(uri: str | None = None) -> MlflowClient:
    return MlflowClient(uri or f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def _runs(client: MlflowClient, stage: str) -> list:
    experiments = [e.experiment_id for e in client.search_experiments()]
    return client.search_runs(experiments, f"tags.stage = '{stage}'")


def _check(client: MlflowClient, stage: str = "sft") -> None:
    (run,) = _runs(client, stage)
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(steps) == list(range(STEPS))
    assert run.info.status == "FINISHED" and run.data.params["seed"] == "0" and run.data.params["sft.lr"] == "0.1"
    assert run.inputs.dataset_inputs[0].dataset.name == "x"
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.metrics["sft/loss"] == 0.5 and parent.info.status == "FINISHED"


@contextmanager
def _server(port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline and process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_a_server_that_is_away_or_killed_in_a_run_is_told_later(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    track = _track(root)  # nobody listens
    _learn(track, last=100)
    with _server(port, tmp_path) as server:
        _learn(track, 100, 200)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        _learn(track, 200)
        (root / "curve.csv").write_text("step,loss\n")
        track.artifact(root / "curve.csv")
        track.end("FINISHED", {"sft/loss": 0.5})
    said = capfd.readouterr().out
    assert "the stage goes on, what is not sent is kept" in said
    assert said.strip().splitlines()[-1].endswith("the next stage or k2 models --send sends them")
    assert (root / "work" / "sft" / "f1" / "unsent.jsonl").exists()

    with _server(port, tmp_path):
        other = _track(root, "rl")  # the next stage sends what was left
        other.end("FINISHED", {})
        client = _client(uri)
        _check(client)
        (run,) = _runs(client, "sft")
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["curve.csv"]
        assert send_unsent(root) == 0
        assert not list(root.glob("work/*/*/unsent.jsonl"))


def test_a_database_of_another_version_ends_no_stage(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = _track(root, "corpus")
    first.end("FINISHED", {})
    with sqlite3.connect("mlflow.db") as database:
        (version,) = database.execute("select version_num from alembic_version").fetchone()
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
    database.close()
    mlflow.tracking._tracking_service.utils._tracking_store_registry._get_store_with_resolved_uri.cache_clear()
    track = _track(root)
    _learn(track)
    track.end("FINISHED", {"sft/loss": 0.5})
    assert not log_run(root, "an evaluation", params={}, metrics={}, tags={})
    said = capfd.readouterr().out
    assert "the stage goes on" in said and "the run 'an evaluation' is not logged" in said
    with sqlite3.connect("mlflow.db") as database:
        database.execute("update alembic_version set version_num = ?", (version,))
    database.close()
    mlflow.tracking._tracking_service.utils._tracking_store_registry._get_store_with_resolved_uri.cache_clear()
    assert send_unsent(root) == 0
    _check(_client())


def test_a_killed_run_whose_points_were_not_sent_goes_on_without_duplicates(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    _learn(_track(root), last=140)  # killed here; its checkpoint is at 120
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    again = _track(root)
    _learn(again, 120)
    again.end("FINISHED", {"sft/loss": 0.5})
    _check(_client())


def test_what_was_deleted_in_the_ui_is_restored_or_made_anew(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = _track(root)
    _learn(first, last=10)
    mlflow.end_run("KILLED")
    client = _client()
    (deleted,) = _runs(client, "sft")
    client.delete_run(deleted.info.run_id)
    client.delete_run(deleted.data.tags["mlflow.parentRunId"])
    client.delete_experiment(deleted.info.experiment_id)
    again = _track(root)
    _learn(again)
    again.end("FINISHED", {"sft/loss": 0.5})
    assert "experiment k2 was deleted: restored" in capfd.readouterr().out
    active = client.search_runs([deleted.info.experiment_id], "tags.stage = 'sft'", ViewType.ACTIVE_ONLY)
    finished = [run for run in active if run.info.run_id != deleted.info.run_id]
    steps = [point.step for point in client.get_metric_history(finished[0].info.run_id, "loss")]
    assert sorted(steps) == list(range(STEPS))


def test_a_renamed_checkout_writes_to_where_it_is(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").write_text("a")
    first = _track(root, "corpus")
    first.artifact(Path("a.txt"))
    first.end("FINISHED", {})
    moved = tmp_path / "another name"
    monkeypatch.chdir(tmp_path)
    shutil.move(tmp_path / "checkout", moved)
    monkeypatch.chdir(moved)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it in this process
    second = _track(root)
    second.artifact(Path("a.txt"))
    second.end("FINISHED", {})
    assert not (tmp_path / "checkout").exists()
    client = _client()
    for stage in ("corpus", "sft"):
        (run,) = _runs(client, stage)
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["a.txt"]
        assert run.info.artifact_uri.startswith((moved / "mlartifacts").as_uri())


def test_the_command_sends_what_waits_and_not_while_a_stage_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for stage in ("corpus", "sft"):
        track = _track(root, stage)
        _learn(track)
        track.end("FINISHED", {"sft/loss": 0.5})
    with pytest.raises(SystemExit) as away:
        models.main(["--send"])
    assert away.value.code == 1 and "2 stage runs have records" in capsys.readouterr().out
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with checkout_lock.claim(root / "work"), pytest.raises(SystemExit) as busy:
        models.main(["--send"])
    assert busy.value.code == 2 and "another run is active" in capsys.readouterr().err
    with pytest.raises(SystemExit) as sent:
        models.main(["--send"])
    assert sent.value.code == 0 and "0 stage runs have records" in capsys.readouterr().out
    _check(_client())
