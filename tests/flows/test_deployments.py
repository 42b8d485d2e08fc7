"""Deployments served, scheduled, asked by their forms, and stopped, against a real server."""

import csv
import io
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.conftest import checkout_env
from tests.flows.runs import FLOW, Run, ask, ask_list, checkpoints, end, start, until

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


def test_deployments_are_served_scheduled_and_take_parameters(smoke_checkout: Path, api: str, run_in: Run) -> None:
    served = subprocess.Popen(
        [sys.executable, "-m", "flows.deploy", "--every", "20", "--target", "tokenizer"],
        cwd=smoke_checkout,
        env=checkout_env() | {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        names = {"nightly", "run", "resume", "evaluate", "experiment", "sweep"}
        found = until(lambda: [d for d in ask_list(api, "/deployments/filter", {})], lambda ds: len(ds) == len(names))
        assert {deployment["name"] for deployment in found} == names
        form = next(d for d in found if d["name"] == "experiment")["parameter_openapi_schema"]
        assert "Optimizer steps" in str(form["definitions"]["Parameters"]["properties"]["pretrain_steps"])
        by_name = {deployment["name"]: deployment["id"] for deployment in found}
        nightly = {"deployments": {"id": {"any_": [by_name["nightly"]]}}}
        scheduled = until(lambda: ask_list(api, "/flow_runs/filter", nightly), bool)
        assert {run["auto_scheduled"] for run in scheduled} == {True}
        run_form = next(d for d in found if d["name"] == "run")["parameter_openapi_schema"]
        assert "Stages to run" in run_form["properties"]["targets"]["description"]
        assert form["properties"]["targets"]["description"]
        fired = until(lambda: [run for run in ask_list(api, "/flow_runs/filter", nightly) if run["end_time"]], bool)
        assert (fired[-1]["state_type"], fired[-1]["auto_scheduled"]) == ("COMPLETED", True)
        httpx.post(f"{api}/deployments/{by_name['nightly']}/pause_deployment").raise_for_status()
        asked = {"parameters": {"seed": 3, "more": {"corpus.min_chars": "90"}}, "name": "asked", "targets": ["corpus"]}
        _run_to_the_end(api, by_name["experiment"], asked)
        shown = run_in(smoke_checkout, sys.executable, "-m", "dvc", "exp", "show", "--csv").stdout
        (row,) = [row for row in csv.DictReader(io.StringIO(shown)) if row["Experiment"] == "asked"]
        assert (row["seed"], row["corpus.min_chars"]) == ("3", "90"), "what the form was given went to dvc exp run -S"
        shown = {artifact["key"] for artifact in ask_list(api, "/artifacts/latest/filter", {})}
        assert {"stage-corpus", "mlflow-run"} <= shown
        _cancel_in_pretraining(smoke_checkout, api, served.pid, by_name["run"])
    finally:
        end(served)


def _run_to_the_end(api: str, deployment: str, parameters: dict[str, Any]) -> None:
    run = ask(api, f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    done = until(
        lambda: httpx.get(f"{api}/flow_runs/{run['id']}", timeout=120).json(),
        lambda found: found["state_type"] in ("COMPLETED", "FAILED", "CRASHED"),
    )
    assert done["state_type"] == "COMPLETED", done["state"]["message"]


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (k2 doctor says so)")
def test_a_browser_shows_the_deployments_and_the_form(api: str) -> None:
    deployments = {one["name"]: one["id"] for one in ask_list(api, "/deployments/filter", {})}
    ui = api.removesuffix("/api")
    page = _text(f"{ui}/deployments")
    assert "6 Deployments" in page
    assert all(f"{name} k2-" in page for name in ("nightly", "run", "resume", "evaluate", "experiment", "sweep"))
    form = _text(f"{ui}/deployments/deployment/{deployments['experiment']}/run")
    for said in ("Seed of every random choice", "Optimizer steps of the first pre-training phase", "Iterations of RL"):
        assert said in form


def _text(url: str) -> str:
    """What a browser shows, without markup."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        "--dump-dom",
        url,
    ]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def _cancel_in_pretraining(checkout: Path, api: str, server: int, deployment: str) -> None:
    """Cancelled as the UI does it: no process is left, and the stage's checkpoints are."""
    params = checkout / "params.yaml"
    before = params.read_text()
    value = yaml.safe_load(before)
    value["pretrain"]["steps"] = 4000
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    run = ask(api, f"/deployments/{deployment}/create_flow_run", {"parameters": {"targets": ["pretrain"]}})
    until(lambda: checkpoints(checkout), bool)
    tree = [one for one in psutil.Process(server).children(recursive=True) if "stages.pretrain" in one.cmdline()]
    assert tree
    cancel = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    ask(api, f"/flow_runs/{run['id']}/set_state", cancel)
    until(
        lambda: httpx.get(f"{api}/flow_runs/{run['id']}", timeout=120).json()["state_type"],
        lambda state: state == "CANCELLED",
    )
    _, alive = psutil.wait_procs(tree, timeout=120)
    assert not alive
    assert checkpoints(checkout)
    params.write_text(before)


def test_terminated_in_pretraining_it_leaves_no_process_and_a_second_run_is_refused(
    smoke_checkout: Path, api: str, run_in: Run
) -> None:
    params = smoke_checkout / "params.yaml"
    value = yaml.safe_load(params.read_text())
    value["pretrain"]["steps"] = 5000
    old = set(checkpoints(smoke_checkout))
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    process = start(smoke_checkout, api, "pretrain")
    try:
        deadline = time.monotonic() + 300
        while not set(checkpoints(smoke_checkout)) - old:
            assert process.poll() is None, "the flow ended before it could be terminated"
            assert time.monotonic() < deadline, "pretraining wrote no checkpoint"
            time.sleep(0.05)
        tree = psutil.Process(process.pid).children(recursive=True)
        assert any("stages.pretrain" in " ".join(child.cmdline()) for child in tree)
        second = run_in(smoke_checkout, *FLOW, PREFECT_API_URL=api, check=False)
        assert second.returncode == 2
        assert "another run is active" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(tree, timeout=20)
    assert not alive
    free = run_in(smoke_checkout, sys.executable, "-m", "stages.preflight")
    assert free.stderr == ""
