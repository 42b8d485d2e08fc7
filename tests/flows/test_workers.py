"""Workers of a pool against a real server: one that crashes, and several that share sandbox jobs."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from gym.sandbox import Job
from tests.conftest import checkout_env
from tests.flows.runs import FLOW, Run, ask, ask_list, checkpoints, end, until

pytestmark = pytest.mark.slow


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


def test_a_crashed_workers_run_goes_on_at_another_worker(smoke_checkout: Path, api: str, run_in: Run) -> None:
    params = smoke_checkout / "params.yaml"
    value = yaml.safe_load(params.read_text())
    value["pretrain"]["steps"] = 30
    params.write_text(yaml.safe_dump(value, sort_keys=False))
    run_in(smoke_checkout, *FLOW, "--target", "tokens", PREFECT_API_URL=api, timeout=1200)
    url = {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")}
    prefect = (sys.executable, "-m", "prefect", "--no-prompt")
    run_in(smoke_checkout, *prefect, "work-pool", "create", "k2", "--type", "process", **url)
    run_in(smoke_checkout, *prefect, "work-pool", "set-concurrency-limit", "k2", "1", **url)
    run_in(smoke_checkout, *prefect, "deploy", "--name", "resume", **url)
    run_in(smoke_checkout, sys.executable, "-m", "flows.recovery", "--silence", "10", **url)
    found = [(one["name"], one["work_pool_name"], one) for one in ask_list(api, "/deployments/filter", {})]
    (deployment,) = [one for *where, one in found if where == ["resume", "k2"]]
    body = {"parameters": {"targets": ["pretrain"]}}
    run = ask(api, f"/deployments/{deployment['id']}/create_flow_run", body)
    workers = [_worker(smoke_checkout, api, "first")]
    try:
        until(lambda: checkpoints(smoke_checkout), bool)
        tree = [psutil.Process(workers[0].pid), *psutil.Process(workers[0].pid).children(recursive=True)]
        for process in tree[::-1]:
            process.kill()
        workers.append(_worker(smoke_checkout, api, "second"))
        done = until(
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
            end(worker)


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
            end(worker)
    assert done.stdout.splitlines()[-1] == "sandbox: 10 jobs: 9 ok, 1 wrong_exit"
    outcomes = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["stdout"] for one in outcomes] == [f"{k * k}\n" for k in range(10)]
    assert outcomes[5]["verdict"] == "wrong_exit"
    runs = [run for run in ask_list(api, "/flow_runs/filter", {}) if run["name"].startswith("jobs-")]
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
    bad.write_bytes(b"\x80\n")
    refused = run_in(smoke_checkout, *command[:3], "bad.jsonl", "outcomes.jsonl", check=False, **url)
    assert refused.stderr.splitlines()[-1] == "sandbox: bad.jsonl: not UTF-8: invalid start byte at byte 0"
