"""A local Prefect server: the one that runs already, else one of our own, stopped by pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

HOST = "127.0.0.1"


def healthy(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


def start(port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts `prefect server` on 127.0.0.1:`port` and waits until it answers.

    Raises:
        RuntimeError: it ended or did not answer within two minutes; the message names its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)],
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ
            | {"PREFECT_SERVER_UI_API_URL": "/api"},  # else the UI asks port 4200 of the browser's machine
        )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if healthy(f"http://{HOST}:{port}/api"):
            return process
        time.sleep(0.3)
    end(process)
    raise RuntimeError(f"the Prefect server on port {port} did not start; see {log}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server that was started as the leader of a session: SIGTERM, then SIGKILL after 15 s."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def local_server(port: int = 4200) -> Iterator[str]:
    """Yields the API URL of `PREFECT_API_URL`, of a server that listens on `port`, or of a new one."""
    url = os.environ.get("PREFECT_API_URL", f"http://{HOST}:{port}/api")
    if "PREFECT_API_URL" in os.environ or healthy(url):
        os.environ["PREFECT_API_URL"] = url
        yield url
        return
    process = start(port, Path(os.environ["PREFECT_HOME"]) / "server.log")
    os.environ["PREFECT_API_URL"] = url
    try:
        yield url
    finally:
        end(process)
