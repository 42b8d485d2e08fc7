"""What tests of the flow ask of a Prefect server, and wait for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import prefect_api
from tests.conftest import checkout_env

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FLOW = (sys.executable, "-m", "flows.pipeline")


def _answer(api: str, path: str, body: dict[str, Any]) -> Any:
    with prefect_api.client(api) as asking:
        return asking.post(path, json=body).raise_for_status().json()


def ask_list(api: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _answer(api, path, body)
    return found


def ask(api: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _answer(api, path, body)
    return found


def until(read: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 600) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < deadline, value
        time.sleep(0.5)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and its group; on a busy machine Prefect's own shutdown can take long."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start(checkout: Path, api: str, target: str, output: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    """The flow up to a stage, in a process of its own."""
    env = checkout_env() | {"PREFECT_API_URL": api}
    return subprocess.Popen([*FLOW, "--target", target], cwd=checkout, env=env, stdout=output, stderr=output, text=True)


def checkpoints(checkout: Path) -> list[Path]:
    return list((checkout / "work").glob("pretrain/*/checkpoints/step-*[1-9]/manifest.json"))
