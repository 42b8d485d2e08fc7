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
    ports = {"prefect": free_port(), "mlflow": free_port()}
    options = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    started = subprocess.Popen(
        [sys.executable, "-m", "flows.ui", *options],
        cwd=tmp_path,
        env=checkout_env() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        for url in (f"http://127.0.0.1:{ports['prefect']}/api/health", f"http://127.0.0.1:{ports['mlflow']}/health"):
            _wait(url)
        settings = httpx.get(f"http://127.0.0.1:{ports['prefect']}/ui-settings").json()
        assert settings["api_url"] == "/api", "on whichever port and host it is"
        page = httpx.get(f"http://127.0.0.1:{ports['mlflow']}/").text
        assert "<title>MLflow</title>" in page
        started.send_signal(signal.SIGINT)
        said, _ = started.communicate(timeout=120)
        assert said.splitlines()[-1] == "ui: stopped"
        for port in ports.values():
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/")
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
