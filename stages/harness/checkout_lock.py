"""One pipeline run per checkout: a second one is refused, never interleaved.

A run is owned by one process: the Prefect flow (`K2_OWNER_PID`), else the `dvc` process above the stage,
else the stage itself. Its pid and start time stand in `work/owner.json`, with the MLflow parent run of this
pipeline execution; the entry of a dead owner is taken over.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from stages.harness.errors import InputError


@dataclass(frozen=True)
class Owner:
    pid: int
    started: float
    command: str
    parent_run_id: str | None = None

    def alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1.0
        except psutil.NoSuchProcess:
            return False


def _describe(process: psutil.Process) -> Owner:
    return Owner(process.pid, process.create_time(), " ".join(process.cmdline()[-3:])[:120])


def _me() -> Owner:
    if pid := os.environ.get("K2_OWNER_PID"):
        return _describe(psutil.Process(int(pid)))
    here = psutil.Process()
    for above in here.parents():
        if any(Path(part).name == "dvc" for part in above.cmdline()[:3]):
            return _describe(above)
    return _describe(here)


@contextmanager
def _locked(work: Path) -> Iterator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / "owner.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield work / "owner.json"


def _read(path: Path) -> Owner | None:
    return Owner(**json.loads(path.read_text())) if path.exists() else None


def _write(path: Path, owner: Owner) -> None:
    tmp = path.with_suffix(".tmp")
    tmp.write_text(json.dumps(asdict(owner)))
    tmp.replace(path)


def claim(work: Path) -> Owner:
    """Makes the current pipeline run the owner of this checkout, or joins it when it is already.

    Raises:
        InputError: another live run owns the checkout.
    """
    me = _me()
    with _locked(work) as path:
        current = _read(path)
        if current is not None and current.alive() and (current.pid, current.started) != (me.pid, me.started):
            raise _busy(work, current)
        if current is not None and (current.pid, current.started) == (me.pid, me.started):
            return current
        _write(path, me)
        return me


def refuse_if_busy(work: Path) -> None:
    """Raises InputError when another live run owns this checkout; claims nothing."""
    with _locked(work) as path:
        current = _read(path)
    me = _me()
    if current is not None and current.alive() and (current.pid, current.started) != (me.pid, me.started):
        raise _busy(work, current)


def _busy(work: Path, current: Owner) -> InputError:
    return InputError(
        f"{work.resolve().parent}: another run is active in this checkout "
        f"(pid {current.pid}: {current.command}); wait for it or stop it"
    )


def set_parent_run(work: Path, run_id: str) -> None:
    """Remembers the MLflow parent run of this pipeline execution."""
    with _locked(work) as path:
        current = _read(path)
        if current is None:
            raise RuntimeError(f"{path}: nobody owns this checkout")
        _write(path, replace(current, parent_run_id=run_id))
