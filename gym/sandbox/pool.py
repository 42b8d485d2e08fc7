"""Workers in front of zygotes: jobs wait in a queue, limits start when a job starts."""

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from gym.sandbox.job import Job, Outcome, SandboxError, Verdict
from gym.sandbox.third_party import hidden_places
from gym.sandbox.verdict import failed, outcome
from gym.sandbox.zygote_link import receive, send

Level = Literal["fork", "namespaces"]
START_S = 120.0


class Worker:
    """One zygote process; runs one job at a time."""

    def __init__(self, slot: int, level: Level, preload: Sequence[str], libraries: Path | None = None) -> None:
        self.slot, self.level, self.preload = slot, level, list(preload)
        self.libraries = libraries
        self._start()

    def _start(self) -> None:
        shared = Path("/dev/shm")
        self.base = tempfile.mkdtemp(prefix="sandbox-", dir=shared if os.access(shared, os.W_OK) else None)
        mine, theirs = socket.socketpair()
        env = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        alone = ["-I"]
        if self.libraries is not None:  # no site-packages, and hashes that are the same in every sandbox
            alone, env = ["-P", "-s", "-S"], {**env, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        boot = [sys.executable, *alone, "-X", "utf8", "-c", _BOOT, str(Path(__file__).parent)]
        arguments = [self.base, str(self.slot), self.level, json.dumps(self.preload)]
        self.process = subprocess.Popen(
            [*boot, str(theirs.fileno()), *arguments, "libraries" if self.libraries else ""],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        theirs.close()
        self.link = mine
        self.link.settimeout(START_S)
        if self.libraries is not None:
            send(self.link, {"folder": str(self.libraries), "hidden": hidden_places()})
        hello = receive(self.link)
        if hello is None or "failed" in hello:
            self.close()
            missing = "the zygote did not start" if hello is None else f"a layer is missing: {hello['failed']}"
            raise SandboxError(f"level {self.level}: {missing}")

    def run(self, job: Job) -> Outcome:
        """Runs a job; a zygote that died is replaced and the job reported as an infrastructure error."""
        if job.argv and self.level == "fork":
            raise SandboxError("level fork runs Python source only; use level namespaces for a command")
        request = job.to_json()
        self.link.settimeout(job.limits.wall_s + 30.0)
        try:
            send(self.link, request)
            answer = receive(self.link)
        except OSError:
            answer = None
        if answer is None:
            self.close()
            self._start()
            return failed("the zygote ended")
        return outcome(answer, job)

    def close(self) -> None:
        """Ends the zygote and everything below it."""
        self.link.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)


# `-I` keeps the script's folder off the path; this puts only that folder there, for `lockdown`.
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); import zygote; zygote.main()"


class Sandbox:
    """A pool of workers; `run` and `map` may be called from any thread."""

    def __init__(self, level: Level, workers: int, preload: Sequence[str] = (), libraries: Path | None = None) -> None:
        if libraries is not None and not libraries.is_dir():
            raise SandboxError(f"libraries {libraries}: no such folder")
        self.level = level
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all: list[Worker] = []
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        for slot in range(workers):
            worker = Worker(_slot(slot), level, preload, libraries)
            self._all.append(worker)
            self._idle.put(worker)

    def run(self, job: Job) -> Outcome:
        """Waits for a worker, then runs."""
        worker = self._idle.get()
        try:
            return worker.run(job)
        finally:
            self._idle.put(worker)

    def submit(self, job: Job) -> "Future[Outcome]":
        """Queues a job."""
        return self._threads.submit(self.run, job)

    def map(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs."""
        return list(self._threads.map(self.run, jobs))

    def close(self) -> None:
        self._threads.shutdown()
        for worker in self._all:
            worker.close()


_counter = 0
_counter_lock = threading.Lock()


def _slot(index: int) -> int:
    """A number that no other slot of this machine is likely to have: users must not be shared."""
    global _counter
    with _counter_lock:
        _counter += 1
        return (os.getpid() * 64 + _counter) % 1_000_000


@contextmanager
def open_sandbox(
    level: Level = "fork", workers: int = 2, preload: Sequence[str] = (), libraries: Path | None = None
) -> Iterator[Sandbox]:
    """A sandbox of the named level.

    Args:
        preload: modules that every program finds imported already, e.g. numpy.
        libraries: folder of the packages that programs find beside the standard library, in place of this environment's
            own. Every other Python code of the machine is hidden from them, copies inside other packages and wheels
            included. Strings hash alike in every such sandbox.

    Raises:
        SandboxError: a layer of this level is missing on this machine.
    """
    sandbox = Sandbox(level, workers, preload, None if libraries is None else libraries.resolve())
    try:
        probe = sandbox.run(Job(source="print(1)") if level == "fork" else Job(argv=["true"]))
        if probe.verdict is not Verdict.OK:
            raise SandboxError(f"level {level}: {probe.detail or probe.stderr}")
        yield sandbox
    finally:
        sandbox.close()
