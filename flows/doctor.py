"""What this machine has, and what each missing thing disables: `k2 doctor`."""

import argparse
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from gym.sandbox import Job, SandboxError, open_sandbox
from gym.sandbox.lockdown import LEAST_LANDLOCK, landlock_abi, seccomp_filter
from kernels.errors import ConfigError
from kernels.forms import forms
from stages.harness.errors import InputError
from stages.harness.sandbox import sandboxes
from stages.harness.section import PARAMS


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what is disabled when that isn't enough."""

    what: str
    good: bool
    state: str
    disables: str

    def line(self) -> str:
        return (
            f"ok    {self.what:<18} {self.state}"
            if self.good
            else f"miss  {self.what:<18} {self.state}: {self.disables}"
        )


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Finding("python", good, platform.python_version(), "the pinned packages; 3.11 or 3.12 is needed")


def _processors() -> Finding:
    count = os.cpu_count() or 1
    return Finding(
        "processors", count >= 2, f"{count}", "the hour or two of a laptop run, which takes about twice as long on one"
    )


def _memory() -> Finding:
    total = psutil.virtual_memory().total / 2**30
    return Finding("memory", total > 13, f"{total:.1f} GiB", "pretrain to qat at laptop size, which take 7 to 11 GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path()).free / 2**30
    return Finding("disk", free > 20, f"{free:.1f} GiB free", "a laptop run, which takes about 18 GiB with its cache")


def _program(name: str, disables: str, *others: str) -> Finding:
    path = next(filter(None, map(shutil.which, (name, *others))), None)
    return Finding(name, path is not None, path or "not found", disables)


def _layers() -> Iterator[Finding]:
    abi = landlock_abi()
    found = f"ABI {abi}" if abi > 0 else "not in this kernel"
    needed = f"every sandbox level here, which need ABI {LEAST_LANDLOCK} (Linux 6.7)"
    yield Finding("Landlock", abi >= LEAST_LANDLOCK, found, needed)
    try:
        seccomp_filter(allow_exec=True)
        yield Finding("seccomp", True, f"a filter for {platform.machine()}", "")
    except OSError as error:
        yield Finding("seccomp", False, str(error), "every sandbox level here")
    limit = Path("/proc/sys/user/max_user_namespaces")
    count = int(limit.read_text()) if limit.exists() else 0
    yield Finding("user namespaces", count > 0, f"{count} allowed", "sandbox namespaces")


def _sandbox(level: Literal["fork", "namespaces"]) -> Finding:
    disables = {"fork": "code tasks and code benchmarks", "namespaces": "shell jobs and jobs in C"}[level]
    try:
        with open_sandbox(level, workers=1):
            return Finding(f"sandbox {level}", True, "every layer works", disables)
    except SandboxError as error:
        return Finding(f"sandbox {level}", False, str(error), disables)


def _backend() -> Iterator[Finding]:
    """The back end that params.yaml names, when it is another than this machine's kernel."""
    if not PARAMS.exists():
        return
    try:
        backend = sandboxes()
        if backend.name == "fork":
            return
        with backend.open() as box:
            said = box.run(Job(source="import platform; print(platform.python_version())"))
            yield Finding(f"sandbox {backend.name}", True, f"Python {said.stdout.strip()}", "")
    except (InputError, SandboxError) as error:
        disables = "code tasks of rl, and code benchmarks; sandbox.backend: fork needs nothing of it"
        yield Finding("sandbox.backend", False, str(error), disables)


def _data() -> Iterator[Finding]:
    """What DVC says of the checkout's data, where there is a pipeline."""
    if not Path("dvc.yaml").exists():
        return
    from dvc.exceptions import DvcException  # with DVC a second to import

    from flows import data_status

    disables = "scores of what stands here; dvc repro makes it, dvc pull fetches what a remote has"
    try:
        found = data_status.read()
        yield Finding("data", found.good, found.line(), disables)
    except DvcException as error:
        yield Finding("data", False, str(error).splitlines()[0], disables)


def _port(port: int, option: str) -> Finding:
    with socket.socket() as connection:
        connection.settimeout(0.5)
        taken = connection.connect_ex(("127.0.0.1", port)) == 0
    what = f"our own server there; k2 ui {option} takes another port"
    return Finding(f"port {port}", not taken, "taken" if taken else "free", what)


def _gpu() -> Finding:
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return Finding("GPU", torch.cuda.is_available(), name, "Triton kernels and the presets above laptop; CPU is used")


def examine() -> Iterator[Finding]:
    """Every finding, cheap ones first."""
    yield _python()
    yield _processors()
    yield _memory()
    yield _disk()
    yield _program("g++", "INT4 kernels and DeepSpeed's shared-memory operator; plain torch is used, slower", "c++")
    yield _program("ninja", "DeepSpeed's shared-memory operator; gloo alone is used")
    yield _program("git", "everything: DVC and every run's identity need it")
    yield from _layers()
    yield _sandbox("fork")
    yield _sandbox("namespaces")
    yield from _backend()
    yield _program("node", "jobs in JavaScript")
    yield _program("docker", "the official SWE-bench harness; repairs are graded in our sandbox", "podman")
    yield _program("chromium", "new screenshots, and the browser tests of the report and the chat page")
    yield from _data()
    yield _port(4200, "Prefect listens on a free one")
    yield _port(5000, "the MLflow UI listens on a free one")
    yield _gpu()


def main() -> int:
    argparse.ArgumentParser(
        description="Says what this machine has, and what each missing thing disables."
    ).parse_args()
    missing = 0
    for finding in examine():
        missing += not finding.good
        print(finding.line(), flush=True)
    try:
        for form in forms():
            print(f"form  {form.loop:<24} {form.form}: {form.why}")
    except ConfigError as error:
        print(f"doctor: {error}", file=sys.stderr)
        return 2
    print(f"doctor: {missing} missing; the laptop pipeline needs python, git, memory, disk and sandbox fork")
    return 0


if __name__ == "__main__":
    sys.exit(main())
