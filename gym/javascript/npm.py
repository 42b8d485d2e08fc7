"""Fetches packages by `npm pack`; the user's own settings decide where it looks. Nothing is installed or run."""

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gym.repositories.errors import RepositoryError

_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")


@dataclass(frozen=True)
class Pinned:
    """A version of a package; integrity: `sha512-` and the base64 of its archive's hash, as npm writes it."""

    name: str
    version: str
    integrity: str

    @property
    def archive(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    def matches(self, path: Path) -> bool:
        return integrity(path.read_bytes()) == self.integrity


def integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def fetch(wanted: Sequence[Pinned], folder: Path) -> list[Path]:
    """Their archives in `folder`; those that lie there with the right hash are taken without a network.

    Raises:
        RepositoryError: one line that names a package: npm is not there, the registry can't be reached, or what it gave
            has another hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / one.archive for one in wanted]
    missing = [one for one, path in zip(wanted, paths, strict=True) if not (path.exists() and one.matches(path))]
    if missing:
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            _pack(missing, Path(fresh))
            for one in missing:
                found = Path(fresh, one.archive)
                if not found.exists():
                    raise RepositoryError(f"{one.name}@{one.version}: npm gave no {one.archive}")
                if not one.matches(found):
                    raise RepositoryError(f"{one.name}@{one.version}: npm gave another hash than the pinned one")
                found.replace(folder / one.archive)
    return paths


def _pack(wanted: Sequence[Pinned], folder: Path) -> None:
    names = [f"{one.name}@{one.version}" for one in wanted]
    command = ["npm", "pack", *names, "--pack-destination", str(folder.resolve()), "--ignore-scripts", "--json"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise RepositoryError(f"{names[0]}: npm is not installed") from None
    if done.returncode:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise RepositoryError(f"{names[0]}{more}: {_reason(done.stdout)}")


def _reason(output: str) -> str:
    """One line out of npm's JSON; its own summary may hold addresses."""
    try:
        code = str(json.loads(output)["error"]["code"])
    except (json.JSONDecodeError, KeyError, TypeError):
        code = "without a code"
    if code in _UNREACHABLE:
        return "the package registry can't be reached"
    if code in ("E404", "ETARGET"):
        return "the package registry does not have this version"
    return f"npm failed: {code}"
