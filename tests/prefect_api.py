"""A Prefect server as `flows.server` starts it, and a client of its API."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import checkout_env
from tests.databases import prefect_database
from tests.servers import free_port

HTTP_BUSY = 503
PATIENCE_S, POLL_S = 120.0, 0.5


class _Patient(httpx.HTTPTransport):
    """While its database is locked the server says 503, which Prefect's own client takes as "again"."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + PATIENCE_S
        while (response := super().handle_request(request)).status_code == HTTP_BUSY and time.monotonic() < until:
            response.close()
            time.sleep(POLL_S)
        return response


def client(api: str) -> httpx.Client:
    """Args: api: `http://127.0.0.1:PORT/api`."""
    return httpx.Client(base_url=api, timeout=120, transport=_Patient())


@contextmanager
def server(folder: Path, extra: Mapping[str, str]) -> Iterator[str]:
    """The address of the API of a server that a process in `folder` starts, with its database there.

    Args:
        extra: variables of that process; it must find `flows`.
    """
    port = free_port()
    prefect_database(folder / ".prefect" / "prefect.db")
    start = f"from flows.server import start; print(start({port}, Path('server.log')).pid)"
    code = f"from pathlib import Path; from flows import environment; environment.prepare(); {start}"
    env = checkout_env() | extra
    started = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(int(started.stdout), signal.SIGTERM)
