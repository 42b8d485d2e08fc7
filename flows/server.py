"""A local Prefect server for each checkout: started by its first user, ended with its last one.

Users hold a shared lock on `.prefect/server.users`; who can take it alone is the last. `.prefect/server.json` says
where the server listens. `PREFECT_API_URL` names another server, which is used as it is.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
import psutil

from stages.harness.errors import InputError
from stages.harness.files import write_json

HOST = "127.0.0.1"
PORT = 4200  # taken when it is free
PATIENCE = httpx.Timeout(20.0, connect=2.0)  # a server that has much to do is there all the same


def is_prefect(api_url: str) -> bool:
    """Whether a healthy Prefect server answers there, not merely something."""
    try:
        healthy = httpx.get(f"{api_url}/health", timeout=PATIENCE)
        version = httpx.get(f"{api_url}/admin/version", timeout=PATIENCE)
        return healthy.json() is True and isinstance(version.json(), str)
    except (httpx.HTTPError, ValueError):
        return False


def is_mlflow(url: str) -> bool:
    """Whether an MLflow server answers there, not merely something."""
    try:
        return httpx.get(f"{url}/health", timeout=PATIENCE).text == "OK" and bool(
            httpx.get(f"{url}/version", timeout=PATIENCE).text[:1].isdigit()
        )
    except (httpx.HTTPError, ValueError):
        return False


def free_port(wanted: int) -> int:
    """`wanted`, or a free one where something listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise InputError(f"{HOST}: no free port")


def start(port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts `prefect server` on 127.0.0.1:`port` and waits until it answers.

    Raises:
        RuntimeError: it ended or did not answer within two minutes; the message names its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)],
            stdin=subprocess.DEVNULL,
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
        if _listens(process.pid, port) and is_prefect(f"http://{HOST}:{port}/api"):
            return process
        time.sleep(0.3)
    end(process.pid)
    raise RuntimeError(f"the Prefect server on port {port} did not start; see {log}")


def _listens(pid: int, port: int) -> bool:
    """Whether it is this process, or one below it, that listens on the port: another may have been faster."""
    with suppress(psutil.Error):
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def end(pid: int) -> None:
    """Ends a server that was started as the leader of a session: SIGTERM, then SIGKILL after 15 s."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(pid).wait(15)
        os.killpg(pid, signal.SIGKILL)


def _noted(home: Path) -> tuple[int, str] | None:
    """Process id and API URL of this checkout's server; None when it does not run."""
    path = home / "server.json"
    with suppress(FileNotFoundError, ValueError, KeyError, psutil.Error):
        noted = json.loads(path.read_text())
        pid, port = int(noted["pid"]), int(noted["port"])
        process = psutil.Process(pid)
        if process.cwd() == noted["checkout"] and str(port) in process.cmdline():
            url = f"http://{HOST}:{port}/api"
            return (pid, url) if is_prefect(url) else None
    return None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _join(home: Path) -> tuple[IO[str], str]:
    """Becomes a user of the checkout's server, which is started where none runs."""
    with _alone(home):
        users = (home / "server.users").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
        running = _noted(home)
        if running is not None:
            return users, running[1]
        port = free_port(PORT)
        try:
            process = start(port, home / "server.log")
        except RuntimeError:
            if port != PORT:
                raise
            port = free_port(0)  # somebody was faster on the usual one
            process = start(port, home / "server.log")
        write_json(home / "server.json", {"pid": process.pid, "port": port, "checkout": str(Path.cwd())})
        return users, f"http://{HOST}:{port}/api"


def _leave(home: Path, users: IO[str]) -> None:
    """Is no user any more; the last one ends the server."""
    with _alone(home), users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        running = _noted(home)
        if running is not None:
            end(running[0])
        (home / "server.json").unlink(missing_ok=True)


@contextmanager
def local_server() -> Iterator[str]:
    """Yields the API URL of `PREFECT_API_URL`, or of this checkout's own server.

    Raises:
        InputError: no Prefect server answers at `PREFECT_API_URL`.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        if not is_prefect(url):
            raise InputError(f"PREFECT_API_URL: {url}: no Prefect server answers there")
        yield url
        return
    home = Path(os.environ["PREFECT_HOME"])
    users, url = _join(home)
    os.environ["PREFECT_API_URL"] = url
    try:
        yield url
    finally:
        del os.environ["PREFECT_API_URL"]
        _leave(home, users)
