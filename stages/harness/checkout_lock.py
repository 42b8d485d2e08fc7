"""One pipeline run per checkout: a second one is refused, never interleaved.

The locks are the operating system's, on open files: they end with the process that holds them, whatever ended it.

    work/stage.lock   held by the stage that runs
    work/run.lock     held alone by a Prefect flow from its first stage to its last, and shared by a stage outside a
                      flow; a flow's own stages know its name, `K2_PIPELINE_RUN`, which stands in the file
"""

import ctypes
import fcntl
import os
import secrets
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psutil

from stages.harness.errors import InputError

RUN_VARIABLE = "K2_PIPELINE_RUN"
GRACE_S = 10.0  # for a stage that was told to end and is still writing
PR_SET_PDEATHSIG = 1


def _try_lock(path: Path, how: int) -> IO[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _sign(handle: IO[str], text: str) -> None:
    handle.truncate(0)
    handle.write(text)
    handle.flush()


def _busy(path: Path) -> InputError:
    command = path.read_text().rpartition("\n")[2]
    holder = f" ({command})" if command else ""
    return InputError(
        f"{path.resolve().parents[1]}: another run is active in this checkout{holder}; wait for it or stop it"
    )


def _lock_run(path: Path) -> IO[str] | None:
    """A stage's share of `run.lock`; None when the stage belongs to the flow that holds it."""
    handle = _try_lock(path, fcntl.LOCK_SH)
    if handle is None and path.read_text().partition("\n")[0] != os.environ.get(RUN_VARIABLE):
        raise _busy(path)
    return handle


def _command() -> str:
    return " ".join(sys.orig_argv[-3:])[:120]


def claim(work: Path, wait_s: float = GRACE_S) -> ExitStack:
    """Takes this checkout for one stage, until the stack is closed or the process ends.

    Raises:
        InputError: another stage or flow runs in this checkout.
    """
    stack = ExitStack()
    if (run := _lock_run(work / "run.lock")) is not None:
        stack.enter_context(run)
    path = work / "stage.lock"
    deadline = time.monotonic() + wait_s
    while (handle := _try_lock(path, fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            stack.close()
            raise _busy(path)
        time.sleep(0.1)
    _sign(handle, _command())
    stack.enter_context(handle)
    return stack


@contextmanager
def hold(work: Path) -> Iterator[None]:
    """Takes this checkout for a flow; the stages that it starts are let in by `K2_PIPELINE_RUN`.

    Raises:
        InputError: another stage or flow runs in this checkout.
    """
    path = work / "run.lock"
    handle = _try_lock(path, fcntl.LOCK_EX)
    if handle is None:
        raise _busy(path)
    with handle:
        os.environ[RUN_VARIABLE] = secrets.token_hex(8)
        _sign(handle, f"{os.environ[RUN_VARIABLE]}\n{_command()}")
        try:
            yield
        finally:
            del os.environ[RUN_VARIABLE]


def refuse_if_busy(work: Path) -> None:
    """Raises InputError when another stage or flow runs in this checkout; takes nothing."""
    claim(work, wait_s=0.0).close()


def end_with_parent(signum: int = signal.SIGTERM) -> None:
    """From now on this process gets `signum` when the process that started it is gone, even by SIGKILL."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def end_with_dvc() -> None:
    """The stage gets SIGTERM when the `dvc` above it is gone, though a shell between them may live on; ranks follow
    their launcher.
    """
    if "RANK" in os.environ:
        end_with_parent()
    if (dvc := dvc_above()) is not None:
        handle = os.pidfd_open(dvc.pid)
        threading.Thread(target=_end_after, args=(handle,), name="end-with-dvc", daemon=True).start()


def _end_after(handle: int) -> None:
    """Waits for the process of a pidfd, then ends this one: gently first."""
    select.select([handle], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)


def dvc_above() -> psutil.Process | None:
    """The nearest `dvc` process above this one."""
    for process in psutil.Process().parents():
        if any(Path(part).name == "dvc" for part in process.cmdline()[:3]):
            return process
    return None


def pipeline_run() -> str:
    """The name of the pipeline run that this stage belongs to: the flow's, else one of its `dvc` process."""
    if name := os.environ.get(RUN_VARIABLE):
        return name
    pid = getattr(dvc_above(), "pid", os.getpid())
    started = (
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    )  # ticks since boot: no clock moves it
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{pid}/{started}"
