"""The walking skeleton, at smoke size, as a user runs it: `dvc repro` and what follows."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.conftest import checkout_env
from tests.servers import postgres, s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the whole pipeline runs inside a fixture
Run = Callable[..., "subprocess.CompletedProcess[str]"]
DVC = (sys.executable, "-m", "dvc")
DVC_LINES = ("Updating lock", "Generating lock", "To track", "\t", "To enable", "Use `dvc push`")
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


@pytest.fixture(scope="module")
def ran(smoke_checkout: Path, run_in: Run) -> Path:
    (smoke_checkout / "mlflow.db").unlink()
    said = run_in(smoke_checkout, *DVC, "repro", timeout=1700).stdout
    (smoke_checkout.parent / "said").write_text(said)
    return smoke_checkout


def _stages(folder: Path) -> list[str]:
    return list(yaml.safe_load((folder / "dvc.yaml").read_text())["stages"])


def _executed(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def _pretrained(folder: Path) -> dict[str, str]:
    """Hashes of what pre-training writes, weights and figures."""
    files = sorted((folder / "models" / "pretrain").glob("*.safetensors"))
    assert files
    files += [folder / "metrics" / "pretrain.json", folder / "plots" / "pretrain.csv"]
    return {file.name: subprocess.check_output(["sha256sum", file], text=True).split()[0] for file in files}


def test_every_output_is_there_and_every_stage_tells_its_last_line(ran: Path) -> None:
    for stage in yaml.safe_load((ran / "dvc.yaml").read_text())["stages"].values():
        for out in stage.get("outs", []):
            assert (ran / out).exists(), out
    for part in re.split(r"^Running stage ", (ran.parent / "said").read_text(), flags=re.MULTILINE)[1:]:
        name = part.split("'")[1]
        *_, last = [line for line in part.splitlines() if line and not line.startswith(DVC_LINES)]
        assert re.fullmatch(rf"{name}: .+, [\d,]+\.\d s", last), last
    scores = json.loads((ran / "metrics" / "scores.json").read_text())
    assert 0 < scores["validation_loss"] < 20
    assert scores["facts_ci_low"] <= scores["facts"] <= scores["facts_ci_high"]


def test_a_second_repro_runs_nothing(ran: Path, run_in: Run) -> None:
    started = time.monotonic()
    again = run_in(ran, *DVC, "repro")
    assert _executed(again.stdout) == ["inputs"]  # which only looks at the user's files
    assert time.monotonic() - started < 60


def test_mlflow_has_one_parent_and_a_child_per_stage(ran: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{ran / 'mlflow.db'}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    parents = [run for run in runs if run.data.tags["stage"] == "pipeline"]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert sorted(run.data.tags["stage"] for run in children) == sorted(set(_stages(ran)) - {"inputs"})
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
    changed = run_in(ran, *DVC, "repro", "sft")
    assert _executed(changed.stdout) == ["inputs", "pretrain", "sft"]
    follows = run_in(ran, *DVC, "status", "--json", "rl", "evaluate")
    assert set(json.loads(follows.stdout)) >= {"rl", "evaluate"}
    path.write_text(before)
    back = run_in(ran, *DVC, "repro")
    assert _executed(back.stdout) == ["inputs"]  # restored from DVC's run cache


@pytest.mark.soak  # a minute of processor time; what it measures is tested apart
def test_the_rephrasing_experiment_leaves_an_arm_per_seed_in_mlflow(ran: Path, run_in: Run) -> None:
    size = "--preset smoke --documents 2 --versions 1 --candidates 2 --options 2 --max-chars 400 --seeds 1".split()
    size += "--base-steps 2 --rows 2 --length 32".split()
    rephrasing = (sys.executable, "-m", "experiments.rephrase")
    done = run_in(ran, *rephrasing, *size, "--threads", "1", "--out", "work/rephrase.jsonl")
    assert done.stdout.splitlines()[-1].startswith("rephrase experiment: ")
    records = [json.loads(line) for line in (ran / "work" / "rephrase.jsonl").read_text().splitlines()]
    arms = {record["arm"]: record for record in records if record["record"] == "arm"}
    client = MlflowClient(tracking_uri=f"sqlite:///{ran / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (parent,) = client.search_runs(experiments, "tags.stage = 'experiment'")
    children = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.info.run_name for run in children} == {"raw, seed 0", "one, seed 0", "many, seed 0"}
    for run in children:
        assert run.data.metrics["logp"] == pytest.approx(arms[run.data.tags["arm"]]["logp"])


def test_killed_in_pretraining_it_resumes_to_the_same_bytes(ran: Path, run_in: Run) -> None:
    whole = _pretrained(ran)
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
    deadline = time.monotonic() + 300
    while not list((ran / "work").glob("pretrain/*/checkpoints/step-*[1-9]/manifest.json")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        assert process.poll() is None, "pretraining ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (ran / "models" / "pretrain").exists()
    resumed = run_in(ran, *DVC, "repro", "--single-item", "--force", "--no-run-cache", "pretrain")
    assert "resumed at step" in resumed.stdout
    assert _pretrained(ran) == whole


def test_an_unknown_key_is_one_line_and_touches_nothing(ran: Path, run_in: Run) -> None:
    path = ran / "params.yaml"
    before, weights = path.read_text(), _pretrained(ran)
    path.write_text(before.replace("pretrain:\n  steps:", "pretrain:\n  stepz:"))
    failed = run_in(ran, sys.executable, "-m", "stages.preflight", check=False)
    path.write_text(before)
    assert (failed.returncode, failed.stderr) == (2, "params.yaml: pretrain.stepz: unknown key\n")
    assert _pretrained(ran) == weights


def test_with_postgresql_and_s3_by_environment_variables_alone(ran: Path, run_in: Run, tmp_path: Path) -> None:
    with postgres(tmp_path / "postgres") as uri, s3(tmp_path, "runs") as access:
        env = access | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://runs/k2"}
        logged = run_in(ran, sys.executable, "-m", "stages.report", **env)
        assert logged.stdout.splitlines()[-1].startswith("report: ")
        promoted = run_in(ran, sys.executable, "-m", "stages.tracking", "--promote", check=False, **env)
        assert "model k2 version 1: " in promoted.stdout, promoted.stderr
        listed = run_in(ran, sys.executable, "-m", "stages.tracking", **env)
        assert listed.stdout.splitlines()[-1].startswith("models: 1 versions")
        with psycopg2.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute("select name, status from runs where name in ('report', 'pipeline', 'register')")
            assert set(cursor.fetchall()) >= {("report", "FINISHED"), ("pipeline", "FINISHED")}
        back = run_in(ran, sys.executable, "-c", READ_BACK, str(tmp_path / "back"), **env)
        uris, answer = back.stdout.splitlines()[-2:]
        assert json.loads(uris)[0].startswith("s3://runs/k2/")
        assert (tmp_path / "back" / "index.html").read_bytes() == (ran / "report" / "index.html").read_bytes()
        assert isinstance(json.loads(answer)["completion"], str)


READ_BACK = """
import json, os, sys
import mlflow, pandas
os.makedirs(sys.argv[1])
mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("k2")
(run,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'report'")
client.download_artifacts(run.info.run_id, "index.html", sys.argv[1])
model = mlflow.pyfunc.load_model("models:/k2@candidate")
print(json.dumps([run.info.artifact_uri]))
print(json.dumps(model.predict(pandas.DataFrame({"prompt": ["a"]}), params={"max_tokens": 3})[0]))
"""


def test_what_one_checkout_pushes_another_pulls_and_runs_nothing(ran: Path, run_in: Run, tmp_path: Path) -> None:
    with s3(tmp_path, "k2-store") as access:
        run_in(ran, *DVC, "remote", "add", "-f", "-d", "store", "s3://k2-store/data")
        run_in(ran, "git", "add", "-A")
        run_in(ran, *GIT, "commit", "-qm", "what dvc repro made", "--allow-empty")
        run_in(ran, *DVC, "push", "-q", **access)
        other = tmp_path / "other"
        run_in(tmp_path, "git", "clone", "-q", str(ran), str(other))
        run_in(other, *DVC, "pull", "-q", **access)
        again = run_in(other, *DVC, "repro")
    assert _executed(again.stdout) == ["inputs"]
    assert _pretrained(other) == _pretrained(ran)


def test_metrics_plots_and_experiments_are_readable(ran: Path, run_in: Run, tmp_path: Path) -> None:
    run_in(ran, "git", "add", "-A")
    run_in(ran, *GIT, "commit", "-qm", "before", "--allow-empty")
    run_in(ran, *DVC, "exp", "run", "--temp", "-n", "shorter", "-S", "pretrain.steps=7", "pretrain")
    shown = run_in(ran, *DVC, "exp", "show", "--csv", "--no-pager").stdout
    rows = list(csv.DictReader(io.StringIO(shown)))
    (shorter,) = [row for row in rows if row["Experiment"] == "shorter"]
    assert shorter["pretrain.steps"] == "7"
    assert len(rows) == 3, "the workspace, the commit and the experiment"
    metrics = run_in(ran, *DVC, "metrics", "diff", "HEAD", "shorter").stdout
    assert re.search(r"^metrics/pretrain\.json +\S+ +[\d.e+-]+ +[\d.e+-]+ +[\d.e+-]+$", metrics, re.MULTILINE), metrics
    run_in(ran, *DVC, "plots", "diff", "HEAD", "shorter", "-o", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    assert "plots/pretrain.csv" in page and '"shorter"' in page
    names = [line.split()[0] for line in run_in(ran, *DVC, "stage", "list").stdout.splitlines()]
    assert names == _stages(ran), "one readable line per stage"
