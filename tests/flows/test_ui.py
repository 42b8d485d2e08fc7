import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, checkout_env
from tests.servers import free_port


@pytest.mark.slow
def test_both_uis_answer_and_stop_together(tmp_path: Path) -> None:
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-m", "flows.ui", "--mlflow-port", str(port)],
        cwd=tmp_path,
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health")
        assert started.stdout is not None
        prefect = started.stdout.readline().split()[-1]
        settings = httpx.get(f"{prefect}/ui-settings").json()
        assert settings["api_url"] == "/api", "on whichever port and host it is"
        page = httpx.get(f"http://127.0.0.1:{port}/").text
        assert "<title>MLflow</title>" in page
        started.send_signal(signal.SIGINT)
        said, _ = started.communicate(timeout=120)
        assert said.splitlines()[-1] == "ui: stopped"
        for url in (prefect, f"http://127.0.0.1:{port}/"):
            with pytest.raises(httpx.ConnectError):
                httpx.get(url)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            httpx.get(url, timeout=5).raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < deadline, url
            time.sleep(0.5)
