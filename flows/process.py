"""Running `dvc` below Prefect so that a cancelled or timed-out task leaves no process behind.

Prefect can't interrupt a thread, and a cancelled flow leaves `dvc` and the training process alive. So each
command gets its own session, a timer ends the whole group, the flow stops every live group when it ends, and
`flows.supervise` does so when the flow was killed.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from agents.chat.redact import public

GRACE_S = 12.0
SUPERVISE = str(Path(__file__).resolve().with_name("supervise.py"))

_live: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
stopping = threading.Event()  # what waits in a thread looks at it: Prefect can't interrupt a thread


class StageTimeout(Exception):
    """A stage ran past its time limit and was stopped; its work folder lets the next run continue."""


class StageFailed(Exception):
    """A stage ended with a non-zero status; the message is its last line."""


def _signal(process: subprocess.Popen[str], signum: int) -> None:
    try:
        os.killpg(process.pid, signum)
    except ProcessLookupError:
        return


def stop(process: subprocess.Popen[str]) -> None:
    """Ends a process group: SIGTERM, then SIGKILL after `GRACE_S` seconds."""
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    _signal(process, signal.SIGKILL)


def stop_all() -> None:
    """Ends every live process group that this module started, and tells threads that wait."""
    stopping.set()
    with _lock:
        live = list(_live)
    for process in live:
        stop(process)


def run(
    command: list[str],
    *,
    timeout_s: float,
    on_line: Callable[[str], None],
    cwd: Path = Path(),
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """Runs a command in its own session, with `environ` added to this process's environment; returns its lines.

    Raises:
        StageTimeout: it ran longer than `timeout_s` seconds.
        StageFailed: it ended with a non-zero status.
    """
    process = subprocess.Popen(
        [sys.executable, SUPERVISE, *command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environ or {}),
    )
    with _lock:
        _live.add(process)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        stop(process)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.rstrip()
            if line:
                lines.append(line)
                on_line(line)
        status = process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        timer.cancel()
        with _lock:
            _live.discard(process)
    if expired.is_set():
        raise StageTimeout(f"{public(' '.join(command))}: stopped after {timeout_s:,.0f} s")
    if status != 0:
        raise StageFailed(_reason(lines, status))
    return lines


def _reason(lines: list[str], status: int) -> str:
    """The stage's own last line, not DVC's `failed to reproduce`."""
    for line in reversed(lines):
        if not line.startswith(("ERROR: failed to reproduce", "Running stage", ">", "hint:")):
            return f"{line} (status {status})"
    return f"status {status}"


def dvc(*args: str) -> list[str]:
    """The `dvc` command line of this Python environment, waiting for DVC's lock."""
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *args]
