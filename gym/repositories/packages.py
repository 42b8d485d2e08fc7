"""Reads `packages.yaml`: pinned source distributions whose own tests run, and the pinned libraries that they need."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from gym.repositories.errors import RepositoryError

PACKAGES = Path(__file__).with_name("packages.yaml")


@dataclass(frozen=True)
class Package:
    """A line of the table; `Project` says what roots, tests, options, needs, environment and held are.

    sha256: of the source distribution. licence: as an SPDX expression. code: folders or files that may hold a bug.
    needs: requirements of pip with version and hashes.
    """

    name: str
    version: str
    sha256: str
    licence: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    roots: tuple[str, ...] = ("",)
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    held: bool = False


def _table(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return table


def _requirement(path: Path, libraries: Mapping[str, Any], name: str) -> str:
    if name not in libraries:
        raise RepositoryError(f"{path}: {name} is needed but not among its libraries")
    entry = libraries[name]
    return " ".join([f"{name}=={entry['version']}", *(f"--hash=sha256:{digest}" for digest in entry["sha256"])])


def read_packages(path: Path = PACKAGES) -> dict[str, Package]:
    """The table by name.

    Raises:
        RepositoryError: an unknown or missing key, or a need without a pinned library.
    """
    table = _table(path)
    known = {field.name for field in fields(Package)} - {"name"}
    packages = {}
    for name, entry in table["packages"].items():
        if unknown := sorted(set(entry) - known):
            raise RepositoryError(f"{path}: {name}: unknown {', '.join(unknown)}")
        if missing := [key for key in ("version", "sha256", "licence", "code", "tests") if not entry.get(key)]:
            raise RepositoryError(f"{path}: {name}: no {', '.join(missing)}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        values["needs"] = tuple(_requirement(path, table["libraries"], need) for need in entry.get("needs", ()))
        packages[name] = Package(name=name, **values)
    return packages


def tool(name: str, path: Path = PACKAGES) -> tuple[str, ...]:
    """Requirements of a tool with everything that it needs itself: `pytest` or `coverage`.

    Raises:
        RepositoryError: no such tool, or one without a pinned library.
    """
    table = _table(path)
    if name not in table["tools"]:
        raise RepositoryError(f"{path}: no tool {name}")
    return tuple(_requirement(path, table["libraries"], need) for need in table["tools"][name])
