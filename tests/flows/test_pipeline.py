"""The Prefect flow against a real server, in a checkout of its own: stages, assets, retries, places."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.flows.runs import FLOW, Run, ask, ask_list, start, until

pytestmark = pytest.mark.slow


def _task_states(api: str) -> dict[str, list[str]]:
    runs = ask_list(api, "/task_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
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
    artifacts = {artifact["key"]: artifact for artifact in ask_list(api, "/artifacts/latest/filter", {})}
    linked = {key: "/#/experiments/" in one["data"] for key, one in artifacts.items() if key[:5] in ("stage", "mlflo")}
    assert linked == {"stage-inputs": False, "stage-corpus": True, "stage-tokenizer": True, "mlflow-run": True}
    assert {artifacts[f"progress-{name}"]["data"] for name in ("inputs", "corpus", "tokenizer")} == {100.0}
    samples = json.loads(artifacts["samples-corpus"]["data"])
    assert len(samples) == 3 and all(row["text"] for row in samples)
    assert artifacts["samples-corpus"]["description"].startswith("data/corpus.parquet: 3 of ")


def test_outputs_are_assets_whose_lineage_is_the_graphs(smoke_checkout: Path, api: str) -> None:
    """Of the two runs before, the first one made everything; the second one made `inputs` alone."""
    wanted = {"event": {"prefix": ["prefect.asset.materialization"]}}
    events = until(
        lambda: ask(api, "/events/filter", {"filter": wanted, "limit": 50})["events"], lambda found: len(found) >= 8
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
    runs = ask_list(api, "/task_runs/filter", {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}})
    assert [(run["name"], run["run_count"]) for run in runs] == [("corpus", 2)]


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
        flow = start(smoke_checkout, api, "tokenizer", subprocess.PIPE)
        try:
            until(lambda: ask_list(api, "/task_runs/filter", waiting), bool)
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
