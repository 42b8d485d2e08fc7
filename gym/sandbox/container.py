"""Level `container` by an OCI runtime's command line; `gym.sandbox.kubernetes` is the same on a cluster.

The same jobs and verdicts as the other levels. Limits on memory, processes and the network are the runtime's; the
limit on processor time is an rlimit inside, the wall limit is ours.
"""

import os
import selectors
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from gym.sandbox.job import Job, Outcome, SandboxError, Verdict

RUNTIMES = ("docker", "podman", "nerdctl")
STOP_S = 10.0


class ContainerSandbox:
    """Runs each job in a container of its own.

    Raises:
        SandboxError: the runtime is not on PATH or can't start a container of the image.
    """

    def __init__(self, image: str, runtime: str | None = None, python: str = "python3") -> None:
        names = (runtime,) if runtime else RUNTIMES
        executable = next((path for name in names if (path := shutil.which(name))), None)
        if executable is None:
            raise SandboxError(f"level container needs one of {', '.join(names)} on PATH")
        self.runtime, self.image, self.python = executable, image, python
        probe = self.run(Job(argv=["true"]))
        if probe.verdict is not Verdict.OK:
            raise SandboxError(
                f"level container: {Path(executable).name} can't run {image}: {probe.detail or probe.stderr}"
            )

    def command(self, job: Job, folder: Path, name: str) -> list[str]:
        """The runtime's command line for a job whose files lie in `folder`."""
        limits = job.limits
        inner = list(job.argv) if job.argv else [self.python, "-I", "main.py", *job.args]
        return [
            self.runtime, "run", "--rm", "-i", f"--name={name}", "--network=none", "--read-only", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", "--user=65534:65534", f"--memory={limits.memory_mb}m",
            f"--memory-swap={limits.memory_mb}m", f"--pids-limit={limits.processes}", "--cpus=1",
            f"--ulimit=cpu={max(1, int(limits.cpu_s + 0.999))}", f"--ulimit=fsize={limits.file_mb << 20}",
            f"--ulimit=stack={limits.stack_mb << 20}",
            f"--tmpfs=/tmp:size={limits.file_mb}m", f"--volume={folder}:/work", "--workdir=/work", "--env=HOME=/work",
            *(f"--env={key}={value}" for key, value in sorted(job.env.items())), self.image, *inner,
        ]  # fmt: skip

    def run(self, job: Job) -> Outcome:
        """One container; it is removed whatever happens."""
        name = f"sandbox-{uuid.uuid4().hex[:12]}"
        with tempfile.TemporaryDirectory(prefix="sandbox-") as base:
            folder = Path(base) / "work"
            folder.mkdir()
            folder.chmod(0o777)
            files = dict(job.files) | ({"main.py": job.source} if job.source is not None else {})
            for path, content in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.encode() if isinstance(content, str) else content)
            started = time.monotonic()
            process = subprocess.Popen(
                self.command(job, folder, name),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err, reason = self._watch(process, job, name)
            wall = time.monotonic() - started
            kept = {
                path: (folder / path).read_bytes()
                for path in job.keep
                if (folder / path).is_file() and not (folder / path).is_symlink()
            }
        limit = job.limits.output_bytes
        verdict, detail = _verdict(reason, process.returncode, err.decode("utf-8", "replace"))
        return Outcome(
            verdict,
            process.returncode,
            out[:limit].decode("utf-8", "replace"),
            err[:limit].decode("utf-8", "replace"),
            0.0,
            wall,
            0.0,
            detail,
            kept,
        )

    def _watch(self, process: "subprocess.Popen[bytes]", job: Job, name: str) -> tuple[bytes, bytes, str]:
        """(standard output, standard error, why it was stopped or nothing); never holds more than the limits."""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        end = time.monotonic() + job.limits.wall_s
        seen = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        out, err = seen.values()
        left = memoryview(job.stdin.encode())
        os.set_blocking(process.stdin.fileno(), False)
        reason = ""
        with selectors.DefaultSelector() as ready:
            for fd in seen:
                ready.register(fd, selectors.EVENT_READ)
            ready.register(process.stdin.fileno(), selectors.EVENT_WRITE)
            while ready.get_map() and not reason:
                for key, _ in ready.select(max(0.0, end - time.monotonic())):
                    if key.fd in seen:
                        data = os.read(key.fd, 65536)
                        seen[key.fd] += data
                        if not data:
                            ready.unregister(key.fd)
                        if len(seen[key.fd]) > job.limits.output_bytes:
                            reason = "output_limit"
                        continue
                    try:
                        left = left[os.write(key.fd, left) :]
                    except BrokenPipeError:
                        left = left[len(left) :]
                    if not left:
                        ready.unregister(key.fd)
                        process.stdin.close()
                if time.monotonic() > end:
                    reason = reason or "wall_limit"
        if not reason:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                reason = "wall_limit"
        if reason:
            subprocess.run([self.runtime, "kill", name], capture_output=True, check=False, timeout=STOP_S)
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        return bytes(out), bytes(err), reason

    def map(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Outcomes in the order of the jobs, one after the other."""
        return [self.run(job) for job in jobs]


def _verdict(reason: str, status: int, stderr: str) -> tuple[Verdict, str]:
    last = stderr.strip().rsplit("\n", 1)[-1][:200]
    if reason:
        return Verdict(reason), f"stopped: {reason.replace('_', ' ')}"
    if status in (125, 126, 127):  # the runtime's own failures
        return Verdict.INFRASTRUCTURE_ERROR, last
    if status in (152, -24):
        return Verdict.CPU_LIMIT, "processor time"
    if status in (137, -9) or last.startswith("MemoryError"):
        return Verdict.MEMORY_LIMIT, last or "killed by the runtime"
    if status != 0:
        return Verdict.WRONG_EXIT, last or f"exit status {status}"
    return Verdict.OK, ""
