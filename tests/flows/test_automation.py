"""The automation that the docs give, created by Prefect's own command on a real server, and set off by failed runs."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import prefect_api
from tests.conftest import ROOT, checkout_env

pytestmark = pytest.mark.slow
FILE = ROOT / "docs" / "cluster" / "automation.yaml"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    found = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "automation", "create", "--from-file", str(FILE)]
    with prefect_api.server(tmp_path, found) as api:
        env = checkout_env() | found | {"PREFECT_API_URL": api}
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
        with prefect_api.client(api) as asking:
            yield asking


def _made(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    return str(client.post(path, json=body).raise_for_status().json()["id"])


def _end(client: httpx.Client, deployment: str, state: str) -> None:
    run = _made(client, f"/deployments/{deployment}/create_flow_run", {"state": {"type": "RUNNING"}})
    client.post(f"/flow_runs/{run}/set_state", json={"state": {"type": state}, "force": True}).raise_for_status()


def _paused(client: httpx.Client, deployment: str) -> bool:
    return bool(client.get(f"/deployments/{deployment}").raise_for_status().json()["paused"])


def test_two_failed_nights_pause_the_nightly_run_and_nothing_else(client: httpx.Client) -> None:
    flow = _made(client, "/flows/", {"name": "k2-pipeline"})
    nightly, other = (_made(client, "/deployments/", {"name": name, "flow_id": flow}) for name in ("nightly", "run"))
    time.sleep(3)  # the server's triggers read new automations every second
    for state in ("FAILED", "COMPLETED"):
        _end(client, nightly, state)
    for _ in range(3):
        _end(client, other, "FAILED")
    time.sleep(5)
    assert not _paused(client, nightly), "one night has failed"
    _end(client, nightly, "FAILED")
    deadline = time.monotonic() + 120
    while not _paused(client, nightly):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert not _paused(client, other)
