"""What a caller may ask of any sandbox, whichever back end runs the jobs."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from gym.sandbox.job import Job, Outcome, SandboxError


class Box(Protocol):
    """Runs jobs, each in a sandbox of its own. May be called from any thread; further jobs wait for a free worker.

    level: `fork` runs Python source alone, any other also a command (`argv`).
    """

    @property
    def level(self) -> str: ...

    def run(self, job: Job) -> Outcome: ...

    def submit(self, job: Job) -> "Future[Outcome]": ...

    def map(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""
        ...

    def close(self) -> None: ...


class Queued(ABC):
    """A box whose jobs are independent of each other: `workers` of them at once."""

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._free = threading.Semaphore(workers)

    @abstractmethod
    def run_now(self, job: Job) -> Outcome:
        """Runs a job that has a worker."""

    def run(self, job: Job) -> Outcome:
        """Waits for a worker, then runs."""
        with self._free:
            return self.run_now(job)

    def submit(self, job: Job) -> "Future[Outcome]":
        """Queues a job."""
        return self._threads.submit(self.run, job)

    def map(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""
        return list(self._threads.map(self.run, jobs))

    def close(self) -> None:
        self._threads.shutdown()


def check_libraries(folder: Path) -> Path:
    """The absolute path of a library folder.

    Raises:
        SandboxError: there is none, or other users, as which programs run, can't read it.
    """
    if not folder.is_dir():
        raise SandboxError(f"libraries {folder}: no such folder")
    if folder.stat().st_mode & 0o5 != 0o5:
        raise SandboxError(f"libraries {folder}: other users can't read this folder")
    return folder.resolve()
