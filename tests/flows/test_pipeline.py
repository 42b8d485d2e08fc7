"""The Prefect flow against a real server, in a checkout of its own."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from gym.sandbox import Job
from tests import prefect_api
from tests.conftest import checkout_env

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
FLOW = (sys.executable, "-m", "flows.pipeline")


@pytest.fixture(scope="module")
def api(smoke_checkout: Path) -> Iterator[str]:
    with prefect_api.server(smoke_checkout, {"PREFECT_HOME": str(smoke_checkout / ".prefect")}) as api:
        yield api


def _answer(api: str, path: str, body: dict[str, Any]) -> Any:
    with prefect_api.client(api) as asking:
        return asking.post(path, json=body).raise_for_status().json()


def _post(api: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _answer(api, path, body)
    return found


def _one(api: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _answer(api, path, body)
    return found


def _task_states(api: str) -> dict[str, list[str]]:
    runs = _post(api, "/task_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run["name"], []).append(run["state_name"])
    return names


def test_a_stage_completes_once_and_is_cached_after(smoke_checkout: Path, api: str, run_in: Run) -> None:
    first = run_in(smoke_checkout, *FLOW, "--target", "tokenizer", PREFECT_API_URL=api)
    assert first.stdout.splitlines()[-1] == "pipeline: inputs completed, corpus completed, tokenizer completed"
    again = run_in(smoke_checkout, *FLOW, "--target", "tokenizer", PREFECT_API_URL=api)
    assert again.stdout.splitlines()[-1] == "pipeline: inputs completed, corpus cached, tokenizer cached"
    assert _task_states(api) == {
        "inputs": ["Completed", "Completed"],
        "corpus": ["Completed", "Cached"],
        "tokenizer": ["Completed", "Cached"],
    }
    artifacts = {artifact["key"]: artifact for artifact in _post(api, "/artifacts/latest/filter", {})}
    linked = {key: "/#/experiments/" in one["data"] for key, one in artifacts.items() if key[:5] in ("stage", "mlflo")}
    assert linked == {"stage-inputs": False, "stage-corpus": True, "stage-tokenizer": True, "mlflow-run": True}
    assert {artifacts[f"progress-{name}"]["data"] for name in ("inputs", "corpus", "tokenizer")} == {100.0}
    samples = json.loads(artifacts["samples-corpus"]["data"])
    assert len(samples) == 3 and all(row["text"] for row in samples)
    assert artifacts["samples-corpus"]["description"].startswith("data/corpus.parquet: 3 of ")


def test_outputs_are_assets_whose_lineage_is_the_graphs(smoke_checkout: Path, api: str) -> None:
    """Of the two runs before, the first one made everything; the second one made `inputs` alone."""
    wanted = {"event": {"prefix": ["prefect.asset.materialization"]}}
    events = _until(
        lambda: _one(api, "/events/filter", {"filter": wanted, "limit": 50})["events"], lambda found: len(found) >= 8
    )
    assert {one["event"] for one in events} == {"prefect.asset.materialization.succeeded"}
    here = f"{smoke_checkout.resolve().as_uri()}/"
    made = [one["resource"]["prefect.resource.id"].removeprefix(here) for one in events]
    corpus = ["data/corpus.parquet", "data/corpus_card.md", "data/facts.parquet", "metrics/corpus.json"]
    assert sorted(made) == sorted([*corpus, "data/inputs", "data/inputs", "data/tokenizer", "metrics/tokenizer.json"])
    tokenizer = events[made.index("data/tokenizer")]
    lock = yaml.safe_load((smoke_checkout / "dvc.lock").read_text())["stages"]["tokenizer"]["outs"]
    assert tokenizer["payload"]["md5"] == next(out["md5"] for out in lock if out["path"] == "data/tokenizer")
    assert tokenizer["payload"]["bytes"] > 0 and "/#/experiments/" in tokenizer["payload"]["mlflow"]
    related = [one["prefect.resource.id"] for one in tokenizer["related"] if one["prefect.resource.role"] == "asset"]
    assert sorted(related) == sorted(f"{here}{path}" for path in [*corpus, "data/inputs"])
    roles = {one["prefect.resource.role"]: one["prefect.resource.id"] for one in tokenizer["related"]}
    assert roles["asset-materialized-by"] == "dvc"


def test_a_failing_stage_is_retried_and_says_its_own_line(smoke_checkout: Path, api: str, run_in: Run) -> None:
    params = smoke_checkout / "params.yaml"
    before = params.read_text()
    value = yaml.safe_load(before)
    value["corpus"]["sources"] = ["debian:no-such-package"]
    value["pipeline"]["default"] |= {"retries": 1, "retry_delay_s": 0.1}
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    try:
        failed = run_in(smoke_checkout, *FLOW, "--target", "tokenizer", PREFECT_API_URL=api, check=False)
    finally:
        params.write_text(before)
    assert failed.returncode != 0
    (said,) = [line for line in failed.stderr.splitlines() if line.startswith("pipeline: ")]
    assert said.startswith("pipeline: stage corpus: ")
    assert "no-such-package" in said
    runs = _post(api, "/task_runs/filter", {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}})
    assert [(run["name"], run["run_count"]) for run in runs] == [("corpus", 2)]


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
        found = _until(lambda: [d for d in _post(api, "/deployments/filter", {})], lambda ds: len(ds) == len(names))
        assert {deployment["name"] for deployment in found} == names
        form = next(d for d in found if d["name"] == "experiment")["parameter_openapi_schema"]
        assert "Optimizer steps" in str(form["definitions"]["Parameters"]["properties"]["pretrain_steps"])
        by_name = {deployment["name"]: deployment["id"] for deployment in found}
        nightly = {"deployments": {"id": {"any_": [by_name["nightly"]]}}}
        scheduled = _until(lambda: _post(api, "/flow_runs/filter", nightly), bool)
        assert {run["auto_scheduled"] for run in scheduled} == {True}
        run_form = next(d for d in found if d["name"] == "run")["parameter_openapi_schema"]
        assert "Stages to run" in run_form["properties"]["targets"]["description"]
        assert form["properties"]["targets"]["description"]
        fired = _until(lambda: [run for run in _post(api, "/flow_runs/filter", nightly) if run["end_time"]], bool)
        assert (fired[-1]["state_type"], fired[-1]["auto_scheduled"]) == ("COMPLETED", True)
        httpx.post(f"{api}/deployments/{by_name['nightly']}/pause_deployment").raise_for_status()
        asked = {"parameters": {"seed": 3, "more": {"corpus.min_chars": "90"}}, "name": "asked", "targets": ["corpus"]}
        _run_to_the_end(api, by_name["experiment"], asked)
        shown = run_in(smoke_checkout, sys.executable, "-m", "dvc", "exp", "show", "--csv").stdout
        (row,) = [row for row in csv.DictReader(io.StringIO(shown)) if row["Experiment"] == "asked"]
        assert (row["seed"], row["corpus.min_chars"]) == ("3", "90"), "what the form was given went to dvc exp run -S"
        shown = {artifact["key"] for artifact in _post(api, "/artifacts/latest/filter", {})}
        assert {"stage-corpus", "mlflow-run"} <= shown
        _cancel_in_pretraining(smoke_checkout, api, served.pid, by_name["run"])
    finally:
        _end(served)


def _run_to_the_end(api: str, deployment: str, parameters: dict[str, Any]) -> None:
    run = _one(api, f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    done = _until(
        lambda: httpx.get(f"{api}/flow_runs/{run['id']}", timeout=120).json(),
        lambda found: found["state_type"] in ("COMPLETED", "FAILED", "CRASHED"),
    )
    assert done["state_type"] == "COMPLETED", done["state"]["message"]


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (k2 doctor says so)")
def test_a_browser_shows_the_deployments_and_the_form(api: str) -> None:
    deployments = {one["name"]: one["id"] for one in _post(api, "/deployments/filter", {})}
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
    run = _one(api, f"/deployments/{deployment}/create_flow_run", {"parameters": {"targets": ["pretrain"]}})
    _until(lambda: _checkpoints(checkout), bool)
    tree = [one for one in psutil.Process(server).children(recursive=True) if "stages.pretrain" in one.cmdline()]
    assert tree
    cancel = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    _one(api, f"/flow_runs/{run['id']}/set_state", cancel)
    _until(
        lambda: httpx.get(f"{api}/flow_runs/{run['id']}", timeout=120).json()["state_type"],
        lambda state: state == "CANCELLED",
    )
    _, alive = psutil.wait_procs(tree, timeout=120)
    assert not alive
    assert _checkpoints(checkout)
    params.write_text(before)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and its group; on a busy machine Prefect's own shutdown can take long."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _until(read: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < deadline, value
        time.sleep(0.5)


def test_terminated_in_pretraining_it_leaves_no_process_and_a_second_run_is_refused(
    smoke_checkout: Path, api: str, run_in: Run
) -> None:
    params = smoke_checkout / "params.yaml"
    value = yaml.safe_load(params.read_text())
    value["pretrain"]["steps"] = 5000
    old = set(_checkpoints(smoke_checkout))
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    process = subprocess.Popen(
        [*FLOW, "--target", "pretrain"],
        cwd=smoke_checkout,
        env=checkout_env() | {"PREFECT_API_URL": api},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while not set(_checkpoints(smoke_checkout)) - old:
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


def test_a_stage_waits_for_a_place_among_all_workers_and_can_be_stopped_meanwhile(
    smoke_checkout: Path, api: str
) -> None:
    params = smoke_checkout / "params.yaml"
    before = params.read_text()
    value = yaml.safe_load(before)
    value["pipeline"]["stages"]["tokenizer"] = value["pipeline"]["default"] | {"at_once": 1}
    limits = f"{api}/v2/concurrency_limits"
    httpx.post(f"{limits}/", json={"name": "k2-tokenizer", "limit": 1}).raise_for_status()
    place = {"names": ["k2-tokenizer"], "slots": 1, "mode": "concurrency", "lease_duration": 300}
    waiting = {"task_runs": {"name": {"any_": ["tokenizer"]}, "state": {"type": {"any_": ["RUNNING"]}}}}
    for vocabulary, stopped in ((768, False), (736, True)):
        value["tokenizer"]["vocab_size"] = vocabulary
        params.write_text(yaml.safe_dump(value, sort_keys=False))
        held = httpx.post(f"{limits}/increment-with-lease", json=place).raise_for_status().json()
        flow = subprocess.Popen(
            [*FLOW, "--target", "tokenizer"],
            cwd=smoke_checkout,
            env=checkout_env() | {"PREFECT_API_URL": api},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _until(lambda: _post(api, "/task_runs/filter", waiting), bool)
            time.sleep(2)
            assert "stages.tokenizer" not in _commands(flow.pid), "it runs while another has the only place"
            if stopped:
                flow.send_signal(signal.SIGTERM)
            else:
                free = {"lease_id": held["lease_id"]}
                httpx.post(f"{limits}/decrement-with-lease", json=free).raise_for_status()
            said, problem = flow.communicate(timeout=120)
        finally:
            params.write_text(before)
            flow.kill()
        if stopped:
            assert flow.returncode == 130
            assert "pipeline: stopped; the next run goes on from work/" in problem.splitlines()
        else:
            assert said.splitlines()[-1].endswith(", tokenizer completed")
            assert httpx.get(f"{limits}/k2-tokenizer").json()["active_slots"] == 0


def _commands(pid: int) -> str:
    return "\n".join(" ".join(child.cmdline()) for child in psutil.Process(pid).children(recursive=True))


def test_the_kubernetes_pool_is_one_that_prefect_takes(smoke_checkout: Path, api: str, run_in: Run) -> None:
    template = smoke_checkout / "docs" / "cluster" / "kubernetes-pool.json"
    create = ("work-pool", "create", "k2-jobs", "--type", "kubernetes", "--base-job-template", str(template))
    url = {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")}
    run_in(smoke_checkout, sys.executable, "-m", "prefect", "--no-prompt", *create, **url)
    kept = httpx.get(f"{api}/work_pools/k2-jobs").json()
    assert (kept["type"], kept["base_job_template"]) == ("kubernetes", json.loads(template.read_text()))


def _worker(checkout: Path, api: str, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "k2", "--name", name],
        cwd=checkout,
        env=checkout_env()
        | {"PREFECT_API_URL": api, "PREFECT_HOME": str(checkout / ".prefect"), "K2_ALIVE_S": "2"}
        | {"PREFECT_WORKER_QUERY_SECONDS": "1", "MLFLOW_TRACKING_URI": f"sqlite:///{checkout / 'mlflow.db'}"},
        stdout=(checkout / f"{name}.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _checkpoints(checkout: Path) -> list[Path]:
    return list((checkout / "work").glob("pretrain/*/checkpoints/step-*[1-9]/manifest.json"))


def test_a_crashed_workers_run_goes_on_at_another_worker(smoke_checkout: Path, api: str, run_in: Run) -> None:
    params = smoke_checkout / "params.yaml"
    value = yaml.safe_load(params.read_text())
    value["pretrain"]["steps"] = 30
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    old = set(_checkpoints(smoke_checkout))
    url = {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")}
    prefect = (sys.executable, "-m", "prefect", "--no-prompt")
    run_in(smoke_checkout, *prefect, "work-pool", "create", "k2", "--type", "process", **url)
    run_in(smoke_checkout, *prefect, "work-pool", "set-concurrency-limit", "k2", "1", **url)
    run_in(smoke_checkout, *prefect, "deploy", "--name", "resume", **url)
    run_in(smoke_checkout, sys.executable, "-m", "flows.recovery", "--silence", "10", **url)
    (deployment,) = [
        one for one in _post(api, "/deployments/filter", {}) if (one["name"], one["work_pool_name"]) == ("resume", "k2")
    ]
    body = {"parameters": {"targets": ["pretrain"]}}
    run = _one(api, f"/deployments/{deployment['id']}/create_flow_run", body)
    workers = [_worker(smoke_checkout, api, "first")]
    try:
        _until(lambda: set(_checkpoints(smoke_checkout)) - old, bool)
        tree = [psutil.Process(workers[0].pid), *psutil.Process(workers[0].pid).children(recursive=True)]
        for process in tree[::-1]:
            process.kill()
        workers.append(_worker(smoke_checkout, api, "second"))
        done = _until(
            lambda: httpx.get(f"{api}/flow_runs/{run['id']}", timeout=120).json(),
            lambda one: one["state_type"] in ("COMPLETED", "FAILED"),
        )
        log = (smoke_checkout / "second.log").read_text()
        assert (done["state_type"], done["run_count"]) == ("COMPLETED", 2), f"{done['state']['message']}\n{log[-4000:]}"
        states = httpx.get(f"{api}/flow_run_states/", params={"flow_run_id": run["id"]}).json()
        names = [one["name"] for one in states]
        assert "Crashed" in names and "AwaitingRetry" in names
        assert "continues at step" in log or "resum" in log
    finally:
        for worker in workers:
            _end(worker)


def test_sandbox_jobs_run_on_the_workers_of_a_pool(smoke_checkout: Path, api: str, run_in: Run) -> None:
    url = {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")}
    prefect = (sys.executable, "-m", "prefect", "--no-prompt")
    run_in(smoke_checkout, *prefect, "work-pool", "create", "k2", "--type", "process", "--overwrite", **url)
    run_in(smoke_checkout, *prefect, "deploy", "--name", "sandbox", **url)
    jobs = [Job(source=f"print({k} * {k}); raise SystemExit({k} == 5)", files={"a": b"x"}) for k in range(10)]
    path, out = smoke_checkout / "jobs.jsonl", smoke_checkout / "outcomes.jsonl"
    path.write_text("".join(json.dumps(job.to_json()) + "\n" for job in jobs))
    workers = [_worker(smoke_checkout, api, name) for name in ("east", "west")]
    try:
        command = (sys.executable, "-m", "flows.sandbox", "jobs.jsonl", "outcomes.jsonl", "--shard", "5")
        done = run_in(smoke_checkout, *command, "--deployment", "k2-sandbox/sandbox", **url)
    finally:
        for worker in workers:
            _end(worker)
    assert done.stdout.splitlines()[-1] == "sandbox: 10 jobs: 9 ok, 1 wrong_exit"
    outcomes = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["stdout"] for one in outcomes] == [f"{k * k}\n" for k in range(10)]
    assert outcomes[5]["verdict"] == "wrong_exit"
    runs = [run for run in _post(api, "/flow_runs/filter", {}) if run["name"].startswith("jobs-")]
    assert {run["name"] for run in runs} == {"jobs-0", "jobs-5"}
    assert {run["state_type"] for run in runs} == {"COMPLETED"}
    assert all(run["work_pool_name"] == "k2" for run in runs)
    assert not list(smoke_checkout.glob("outcomes.jsonl.*"))
    here = run_in(smoke_checkout, *command, **url)  # the same without a pool
    assert here.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    bad = smoke_checkout / "bad.jsonl"
    bad.write_text(json.dumps(jobs[0].to_json()) + '\n{"source": "1", "argv": ["sh"]}\n')
    refused = run_in(smoke_checkout, *command[:3], "bad.jsonl", "outcomes.jsonl", check=False, **url)
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (
        2, "sandbox: bad.jsonl: line 2: no job: a job is either source or argv"
    )  # fmt: skip
