"""Shards of the rephrasing through a real Prefect server, work pool and worker."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.mock_endpoint import Action, MockEndpoint
from flows.server import end, start
from stages.harness.tables import CORPUS, write_table
from tests import prefect_api
from tests.conftest import checkout_env
from tests.databases import prefect_database
from tests.servers import free_port

pytestmark = pytest.mark.slow

ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "What is it?"}, "finish_reason": "stop"}]}'


def test_shards_go_to_a_pools_workers_and_the_stage_then_asks_nothing(
    smoke_checkout: Path, run_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "doc_id": f"wikipedia_vital/{k}",
            "title": f"River {k}",
            "text": f"River {k} is {k + 20} km long. It flows into the sea.",
            "source": "wikipedia_vital",
            "license": "none",
            "split": "train",
        }
        for k in range(4)
    ]
    write_table(smoke_checkout / "data" / "corpus.parquet", rows, CORPUS)
    monkeypatch.setenv("PREFECT_HOME", str(smoke_checkout / ".prefect"))
    port = free_port()
    prefect_database(smoke_checkout / ".prefect" / "prefect.db")
    server = start(port, smoke_checkout / "server.log")
    api = f"http://127.0.0.1:{port}/api"
    env = {"PREFECT_API_URL": api, "PREFECT_HOME": str(smoke_checkout / ".prefect")}
    prefect = (sys.executable, "-m", "prefect", "--no-prompt")
    worker = None
    try:
        with MockEndpoint(lambda body, before: Action(raw=ANSWER)) as teacher:
            path = smoke_checkout / "params.yaml"
            params = yaml.safe_load(path.read_text())
            params["endpoint"] |= {"concurrency": 4}
            params["rephrase"] |= {
                "teacher": f"{teacher.url}#mock",
                "sources": {"wikipedia_vital": 400},
                "styles": ["faq"],
            }
            path.write_text(yaml.safe_dump(params, sort_keys=False))
            run_in(smoke_checkout, *prefect, "work-pool", "create", "k2-shards", "--type", "process", **env)
            run_in(smoke_checkout, *prefect, "deploy", "--name", "rephrase-shard", **env)
            worker = subprocess.Popen(
                [*prefect, "worker", "start", "--pool", "k2-shards"],
                cwd=smoke_checkout,
                env=checkout_env() | env | {"PREFECT_WORKER_QUERY_SECONDS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            done = run_in(smoke_checkout, sys.executable, "-m", "flows.shards", "2", **env)
            assert done.stdout.splitlines()[-1] == "rephrase: 2 shards completed; next: dvc repro rephrase"
            asked = teacher.asked.total()
            assert asked >= 4
            run_in(smoke_checkout, sys.executable, "-m", "stages.rephrase")
            assert teacher.asked.total() == asked
        with prefect_api.client(api) as asking:
            runs = asking.post("/flow_runs/filter", json={}).raise_for_status().json()
        assert {run["name"] for run in runs if run["work_pool_name"] == "k2-shards"} == {"shard 0 of 2", "shard 1 of 2"}
    finally:
        if worker is not None:
            end(worker.pid)
        end(server.pid)
