"""The program that runs the containers of official SWE-bench instances: Docker or podman, whichever does.

The official harness talks to Docker by its socket, and by the program `docker`. Podman offers the same socket while
one of its processes serves it, and stands in for the program.
"""

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gym.sandbox import SandboxError

COMMAND_S, INFO_S, PULL_S, SOCKET_S = 150.0, 30.0, 1800.0, 20.0
PROCESSES = 4096  # as gym.sandbox.container has it
IDLE_S = 3600  # a socket that nobody asks for so long ends by itself, should we be killed


@dataclass(frozen=True)
class Engine:
    """A program of the command line of Docker, and the variables that it needs."""

    program: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def podman(self) -> bool:
        return Path(self.program).name == "podman"

    def run(self, *arguments: str, stdin: str = "", timeout: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Raises SandboxError: the program isn't there, or doesn't end in time."""
        try:
            return subprocess.run(
                [self.program, *arguments], input=stdin, capture_output=True, text=True, errors="replace",
                timeout=timeout, env={**os.environ, **self.variables}, check=False,
            )  # fmt: skip
        except OSError as error:
            raise SandboxError(f"{self.program}: {error}") from None
        except subprocess.TimeoutExpired:
            raise SandboxError(f"{self} {arguments[0]}: no answer after {timeout:.0f} s") from None

    def __str__(self) -> str:
        return Path(self.program).name + (" with settings of ours" if self.variables else "")

    def name(self, image: str) -> str:
        """An image as this engine finds it: podman knows no registry unless it is named, Docker takes its own."""
        first, rest, _ = image.partition("/")
        if not self.podman or (rest and (first == "localhost" or "." in first or ":" in first)):
            return image
        here = self.run("image", "exists", image).returncode == 0
        return image if here else f"docker.io/{image}"

    def problem(self, image: str) -> str:
        """Why a container of the image, as the harness makes it, doesn't start; empty where it does."""
        try:
            done = self.run("run", "--rm", "--cap-add=SYS_ADMIN", self.name(image), "true", timeout=PULL_S)
        except SandboxError as error:
            return str(error)
        return f"{self}: {last_line(done)}" if done.returncode else ""

    @contextmanager
    def socket(self) -> Iterator[dict[str, str]]:
        """The variables under which a program that wants Docker finds this engine.

        Raises:
            SandboxError: podman offers no socket.
        """
        if not self.podman:
            yield {}
            return
        with tempfile.TemporaryDirectory(prefix="podman-") as folder:
            place, program = Path(folder, "docker.sock"), Path(folder, "docker")
            program.write_text(f'#!/bin/sh\nexec {self.program} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
            said = Path(folder, "said")
            with said.open("w", encoding="utf-8") as log:
                service = subprocess.Popen(
                    [self.program, "system", "service", f"--time={IDLE_S}", f"unix://{place}"],
                    env={**os.environ, **self.variables}, stdout=log, stderr=log,
                )  # fmt: skip
            try:
                end = time.monotonic() + SOCKET_S
                while not place.exists():
                    if service.poll() is not None or time.monotonic() > end:
                        lines = said.read_text(encoding="utf-8", errors="replace").split("\n")
                        raise SandboxError(f"{self} system service: {' '.join(lines[-2:]).strip() or 'no socket'}")
                    time.sleep(0.05)
                path = f"{folder}:{os.environ.get('PATH', os.defpath)}"
                yield {**self.variables, "PATH": path, "DOCKER_HOST": f"unix://{place}"}
            finally:
                service.terminate()
                service.wait()


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
    return lines[-1]


def _own_settings(work: Path) -> dict[str, str]:
    """Variables of a podman with runc, without systemd, whose containers have limits that anyone may set.

    By itself podman raises both to a million, which a machine may refuse even to root.
    """
    nofile, nproc = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    nproc = PROCESSES if nproc < 0 else min(PROCESSES, nproc)
    ulimits = f'"nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"'
    lines = ["[containers]", f"default_ulimits = [{ulimits}]", "[engine]", 'cgroup_manager = "cgroupfs"']
    if shutil.which("runc", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"):
        lines.append('runtime = "runc"')
    work.mkdir(parents=True, exist_ok=True)
    place = work.absolute() / "containers.conf"
    place.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return {"CONTAINERS_CONF": str(place)}


def engines(work: Path) -> list[Engine]:
    """What may run containers here, the official one first.

    Raises:
        SandboxError: neither program is here, or each says why it can't.
    """
    found, reasons = list[Engine](), list[str]()
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program is None:
            continue
        engine = Engine(program)
        try:
            done = engine.run("info", timeout=INFO_S)
            # A `docker` that is podman in disguise has no socket of its own; podman itself comes next.
            said = engine.run("--version").stdout.lower() if name == "docker" else ""
        except SandboxError as error:
            reasons.append(str(error))
            continue
        if done.returncode:
            reasons.append(f"{name}: {last_line(done)}")
        elif "podman" not in said:
            found += [engine] if name == "docker" else [engine, Engine(program, _own_settings(work))]
    if not found:
        raise SandboxError("; ".join(reasons) or "neither program is on PATH")
    return found


def working(candidates: Sequence[Engine], image: str) -> Engine:
    """The first that starts a container of the image, which it fetches where it must.

    Raises:
        SandboxError: none does; the reason of each.
    """
    reasons = []
    for engine in candidates:
        reason = engine.problem(image)
        if not reason:
            return engine
        reasons.append(reason)
    raise SandboxError(f"{image}: {'; '.join(reasons)}")
