"""Jobs in containers of their own: the talk with the first process of one, and the proof that it is closed.

The first process (`container_inside.py`) gets its own code, the job and its files over standard input, so that any
image with Python 3.11 or later will do and nothing of this machine is shared with it.
"""

import contextlib
import json
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gym.sandbox import verdict
from gym.sandbox.box import Box
from gym.sandbox.job import Job, Limits, Outcome, SandboxError, Verdict

HERE = Path(__file__).parent
MODULES = (
    "container_inside", "lockdown", "zygote", "zygote_libraries", "zygote_link", "zygote_processes", "zygote_watch",
)  # fmt: skip
PLACE = "/sandbox/box"  # where jobs live in a container, a file system in memory
OVERHEAD_MB = 96  # of the first process and the runtime's own
PROCESSES_BESIDE = 4  # the first process and the runtime's own
LAST_S = 15.0
PROBE = Limits(cpu_s=20.0, wall_s=120.0, processes=16)
# The modules of the request are gone again before the program starts.
BOOT = """
import importlib.abc, importlib.util, json, sys
def exactly(count):
    parts = []
    while count:
        part = sys.stdin.buffer.raw.read(min(count, 1 << 20))
        if not part:
            raise SystemExit("no request")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in modules else None
    def exec_module(self, module):
        exec(compile(modules[module.__name__], module.__name__ + ".py", "exec"), module.__dict__)
request = json.loads(exactly(int.from_bytes(exactly(4), "big")))
modules = request.pop("modules")
sys.meta_path.insert(0, Finder())
import container_inside
del sys.meta_path[0]
for name in modules:
    sys.modules.pop(name, None)
container_inside.serve(request)
"""


def python_words(*, libraries: bool) -> list[str]:
    """What starts the first process, after the name of the interpreter."""
    return [*(("-P", "-s") if libraries else ("-I",)), "-X", "utf8", "-c", BOOT]


def environment(*, libraries: bool) -> dict[str, str]:
    """Variables of the first process; with libraries, strings hash alike in every sandbox, as at the other levels."""
    return {"OMP_NUM_THREADS": "1", **({"PYTHONHASHSEED": "0"} if libraries else {})}


def new_user() -> int:
    """A user that no other container is likely to have; below 65536, which is all that a rootless runtime may give."""
    return 20_000 + secrets.randbelow(40_000)


def new_name() -> str:
    return f"sandbox-{secrets.token_hex(6)}"


def memory_mb(job: Job) -> int:
    """What the container of a job may take: its files lie in memory."""
    return job.limits.memory_mb + job.limits.file_mb + OVERHEAD_MB


@dataclass(frozen=True)
class Reply:
    """What came from a container. started: the program was started. status: of the command. error: its last line."""

    started: bool
    answer: dict[str, Any] | None
    status: int
    error: str
    late: bool

    def outcome(self, job: Job) -> Outcome:
        """As of any back end. A program that ends its own container is denied that; it gets no second chance."""
        if self.answer is not None:
            return verdict.outcome(self.answer, job)
        if self.late:
            return verdict.failed(f"no answer from the container: {self.error}")
        if not self.started:
            return verdict.failed(self.error or f"the container ended with status {self.status}")
        ended = Verdict.MEMORY_LIMIT if self.status in (137, -9) else Verdict.DENIED
        return Outcome(ended, self.status, "", "", 0.0, 0.0, 0.0, f"the container ended with status {self.status}")


def exchange(
    command: Sequence[str],
    job: Job,
    seconds: float,
    *,
    folders: Mapping[str, str] | None = None,
) -> Reply:
    """Starts `command`, gives the container behind it the job and waits at most `seconds` longer than the job may take.

    Args:
        folders: archives in base64 that are unpacked before the program starts, by their place in the container.
    """
    modules = {name: (HERE / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    request = {"modules": modules, "job": job.to_json(), "folders": dict(folders or {})}
    body = json.dumps(request).encode()
    late = threading.Event()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdin is not None
        assert process.stdout is not None

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(job.limits.wall_s + seconds, give_up)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(len(body).to_bytes(4, "big") + body)
                process.stdin.flush()
            first = _read(process.stdout)
            started = first is not None and "started" in first
            answer = _read(process.stdout) if started else first
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            if answer is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LAST_S)
                process.kill()
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.stdout.close()
        errors.seek(0)
        lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return Reply(started, answer, status, lines[-1][:300] if lines else "", late.is_set())


def _read(pipe: BinaryIO | Any) -> dict[str, Any] | None:
    head = pipe.read(4)
    body = pipe.read(int.from_bytes(head, "big")) if len(head) == 4 else b""
    if not body or len(body) < int.from_bytes(head, "big"):
        return None
    try:
        value: dict[str, Any] = json.loads(body)
    except ValueError:  # an image's own words
        return None
    return value


def probe(box: Box) -> str:
    """Where the interpreter of new containers looks for packages, after a job tried all that must not be possible.

    Raises:
        SandboxError: no job runs, or it could do something that no program may; the line says what.
    """
    source = (HERE / "container_probe.py").read_text(encoding="utf-8")
    done = box.run(Job(source=source, args=[str(PROBE.processes)], limits=PROBE))
    if done.verdict is not Verdict.OK:
        raise SandboxError(done.detail or done.stderr)
    said: dict[str, Any] = json.loads(done.stdout)
    if said["found"]:
        raise SandboxError(f"a program is not confined: {'; '.join(said['found'])}")
    return str(said["packages"])
