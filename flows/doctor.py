"""What this machine has, and what each missing thing disables: `k2 doctor`."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from gym.sandbox import SandboxError, open_sandbox


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, whether it is there, what was found or what its absence disables."""

    what: str
    good: bool
    said: str


def _compiler() -> Finding:
    found = shutil.which("g++") or shutil.which("c++")
    absent = "no C++ compiler: INT4 kernels run in plain torch, much slower"
    return Finding("compiler", found is not None, found or absent)


def _sandbox(level: str) -> Finding:
    try:
        with open_sandbox(level, workers=1):  # type: ignore[arg-type]
            return Finding(f"sandbox {level}", True, "every layer is there")
    except SandboxError as error:
        disabled = "code tasks, code benchmarks" if level == "fork" else "shell and C jobs"
        return Finding(f"sandbox {level}", False, f"{error}; disables {disabled}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path()).free / 2**30
    return Finding("disk", free > 5, f"{free:.1f} GiB free; a laptop run with its cache takes about 2")


def _memory() -> Finding:
    total = psutil.virtual_memory().total / 2**30
    return Finding("memory", total > 7, f"{total:.1f} GiB; the laptop run's largest stage takes about 4")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name(0))
    return Finding("GPU", False, "none: training and generation run on the CPU, Triton kernels are not used")


def _port(port: int, use: str) -> Finding:
    with socket.socket() as one:
        one.settimeout(0.5)
        taken = one.connect_ex(("127.0.0.1", port)) == 0
    return Finding(f"port {port}", not taken, f"taken: {use} there already, or choose another" if taken else "free")


def _program(name: str, disabled: str) -> Finding:
    found = shutil.which(name)
    return Finding(name, found is not None, found or f"not found: {disabled}")


def examine() -> Iterator[Finding]:
    """Every finding, cheap ones first."""
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding("python", good, f"{platform.python_version()} (3.11 or 3.12 is needed)")
    yield Finding("processors", (os.cpu_count() or 1) >= 2, f"{os.cpu_count()}")
    yield _memory()
    yield _disk()
    yield _compiler()
    yield _program("git", "nothing works: DVC and every run's identity need it")
    yield _sandbox("fork")
    yield _sandbox("namespaces")
    yield _program("node", "JavaScript jobs")
    yield _program("docker", "the official SWE-bench harness; repairs are graded in our sandbox instead")
    yield _program("chromium", "screenshots of the UIs")
    yield _port(4200, "a Prefect server may run")
    yield _port(5000, "an MLflow server may run")
    yield _gpu()


def main() -> None:
    missing = 0
    for finding in examine():
        missing += not finding.good
        print(f"{'ok  ' if finding.good else 'miss'}  {finding.what:<18} {finding.said}", flush=True)
    print(f"doctor: {missing} missing; the laptop pipeline needs python, git, memory, disk and sandbox fork")


if __name__ == "__main__":
    main()
