"""Calls pip with pinned requirements; the user's own settings decide where it looks."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gym.repositories.errors import RepositoryError


def run_pip(command: Sequence[str], requirements: Sequence[str], what: str) -> None:
    """`pip COMMAND --require-hashes -r REQUIREMENTS`, without dependencies of theirs.

    Raises:
        RepositoryError: one line that begins with `what`: no connection, no such version, a wrong hash, a failed build.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        words = [
            *command,
            "--no-deps",
            "--require-hashes",
            "--disable-pip-version-check",
            "--no-input",
            "-r",
            str(pinned),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise RepositoryError(f"{what}: {_reason(done.stdout)}")


def _reason(output: str) -> str:
    """One line out of all that pip printed."""
    lower = output.lower()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if "do not match the hashes" in lower:
        return "what the registry gave has another hash than the pinned one"
    errors = [line for line in lines if line.startswith("ERROR:")]
    if "from versions: none" in lower:  # pip tells no difference, unless it has retries left to tell of
        return "the package registry can't be reached, or has no such package"
    if "no matching distribution" in lower:
        return f"the package registry does not have this version ({errors[0] if errors else lines[-1]})"
    if any(mark in lower for mark in ("metadata-generation-failed", "subprocess-exited-with-error", "failed to build")):
        return f"it can't be built here ({errors[-1] if errors else lines[-1]})"
    return f"pip failed: {(errors or lines or ['without a word'])[-1]}"
