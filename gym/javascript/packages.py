"""Reads `packages.yaml`: pinned packages of npm whose own tests run, and the pinned libraries that these need."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gym.javascript.npm import Pinned
from gym.repositories.errors import RepositoryError

PACKAGES = Path(__file__).with_name("packages.yaml")
_KEYS = {"version", "integrity", "licence", "code", "tests"}


@dataclass(frozen=True)
class Package:
    """A line of the table. licence: as an SPDX expression. code: files or folders that may hold a bug. tests: folders.
    needs: libraries of its tests.
    """

    pinned: Pinned
    licence: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    needs: tuple[Pinned, ...]


def read_packages(path: Path = PACKAGES) -> dict[str, Package]:
    """The table by name.

    Raises:
        RepositoryError: an unknown or missing key, or a need without a pinned library.
    """
    table: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    libraries = {name: Pinned(name, one["version"], one["integrity"]) for name, one in table["libraries"].items()}
    packages = {}
    for name, entry in table["packages"].items():
        if wrong := sorted(set(entry) - _KEYS - {"needs"} | _KEYS - set(entry)):
            raise RepositoryError(f"{path}: {name}: unknown or missing {', '.join(wrong)}")
        if absent := [need for need in entry.get("needs", ()) if need not in libraries]:
            raise RepositoryError(f"{path}: {absent[0]} is needed but not among its libraries")
        packages[name] = Package(
            Pinned(name, entry["version"], entry["integrity"]),
            entry["licence"],
            tuple(entry["code"]),
            tuple(entry["tests"]),
            tuple(libraries[need] for need in entry.get("needs", ())),
        )
    return packages
