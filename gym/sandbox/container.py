"""Back end `container`: each job in a container of its own, by podman or docker.

The runtime holds the network, the root file system, rights and the sums of memory and processes; what counts for a
verdict is held inside, by the rules of the other levels. `gym.sandbox.kubernetes` is the same on a cluster.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gym.sandbox import remote, rootfs
from gym.sandbox.box import Queued, check_libraries
from gym.sandbox.job import Job, Outcome, SandboxError

COMMAND_S = 120.0
START_S = 60.0


class ContainerSandbox(Queued):
    """Args:
        image: one that the runtime has, with Python 3.11 or later as `python3`; empty takes this machine's Python.
        work: where the root file system of an empty `image` is kept.
        workers: containers at once.
        libraries: folder of Python packages that stands in the place of site-packages, read only.

    Raises:
        SandboxError: no runtime on PATH that can run a job of the image, confined; every reason is named.
    """

    level = "container"

    def __init__(self, image: str, work: Path, workers: int = 2, libraries: Path | None = None) -> None:
        super().__init__(workers)
        mounted = None if libraries is None else check_libraries(libraries)
        self._libraries = ""
        reasons = []
        for self._runtime in runtimes():
            try:
                self._image = self._open(image, work)
                packages = remote.probe(self)
            except SandboxError as error:
                reasons.append(f"{' '.join(self._runtime)}: {error}")
                continue
            if mounted is not None:
                self._libraries = f"{mounted}:{packages}:ro"
            return
        self.close()
        raise SandboxError(f"container: {'; '.join(reasons) or 'needs podman or docker on PATH'}")

    @property
    def runtime(self) -> str:
        """The command that runs containers."""
        return " ".join(self._runtime)

    def _open(self, image: str, work: Path) -> list[str]:
        """The words that name what containers are made of, where the runtime has it."""
        podman = self._runtime[0].endswith("podman")
        if image:
            return [image]
        folder = rootfs.root_folder(work)
        if podman:
            return ["--rootfs", str(folder)]
        name = f"k2-sandbox:{folder.name.removeprefix('rootfs-')}"
        if _call([*self._runtime, "image", "inspect", name]) is not None:
            archive = folder.with_suffix(".tar")
            rootfs.write_tar(folder, archive)
            problem = _call([*self._runtime, "import", str(archive), name])
            archive.unlink()
            if problem is not None:
                raise SandboxError(problem)
        return [name]

    def command(self, job: Job, name: str) -> list[str]:
        """The runtime's command line for the container of a job."""
        limits, memory, user = job.limits, remote.memory_mb(job), remote.new_user()
        libraries = bool(self._libraries)
        podman = self._runtime[0].endswith("podman")
        # nofile and nproc are set again inside; left out, podman raises them to a million, which it may not everywhere.
        return [
            *self._runtime, "run", "--rm", "-i", f"--name={name}", "--log-driver=none", "--pull=never",
            "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
            f"--user={user}:{user}", f"--memory={memory}m", f"--memory-swap={memory}m",
            f"--pids-limit={limits.processes + remote.PROCESSES_BESIDE}", "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=4096:4096", "--ulimit=core=0:0",
            f"--shm-size={1 << 20}", f"--tmpfs={remote.PLACE}:rw,exec,nosuid,nodev,mode=1777,"
            f"size={max(1, limits.file_mb)}m", "--workdir=/", "--entrypoint=",
            *(["--read-only-tmpfs=false", "--http-proxy=false"] if podman else []),
            *([f"--volume={self._libraries}"] if libraries else []),
            *(f"--env={key}={value}" for key, value in remote.environment(libraries=libraries).items()),
            *self._image, "python3", *remote.python_words(libraries=libraries),
        ]  # fmt: skip

    def run_now(self, job: Job) -> Outcome:
        """One container; it is removed whatever happens."""
        name = remote.new_name()
        reply = remote.exchange(self.command(job, name), job, START_S)
        if reply.answer is None:
            _call([*self._runtime, "rm", "--force", name])
        return reply.outcome(job)


def runtimes() -> Iterator[list[str]]:
    """Commands that can run containers: podman with its own choice of a runtime, with runc, docker."""
    podman, docker = shutil.which("podman"), shutil.which("docker")
    if podman:
        yield [podman]
        if shutil.which("runc") or Path("/usr/sbin/runc").exists():
            yield [podman, "--runtime=runc"]
    if docker:
        yield [docker]


def _call(command: list[str]) -> str | None:
    """None when the command did its work, else the last line that it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer after {COMMAND_S:.0f} s"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else (lines[-1][:300] if lines else f"exit status {done.returncode}")
