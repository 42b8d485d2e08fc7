"""Packages with their proven bugs as the stage `repositories` leaves them: one tar each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gym.javascript.bugs import Baseline, Bug
from gym.javascript.project import Project
from gym.mutants import Mutant
from gym.repositories.libraries import read_tar, write_tar

FOLDER = Path("data/repositories/javascript")
_ABOUT, _FILES, _LIBRARIES = "about.json", "files/", "libraries/"


@dataclass(frozen=True)
class Stored:
    """A package, what its tests see when it is good, and its bugs."""

    project: Project
    baseline: Baseline
    bugs: tuple[Bug, ...]


def write(folder: Path, stored: Stored) -> None:
    """`NAME.tar`; equal packages give equal bytes."""
    project = stored.project
    about = {
        "name": project.name, "version": project.version, "code": project.code, "tests": project.tests,
        "baseline": asdict(stored.baseline), "bugs": [asdict(bug) for bug in stored.bugs],
    }  # fmt: skip
    packed = {_ABOUT: json.dumps(about, ensure_ascii=False).encode()}
    packed |= {f"{_FILES}{path}": content for path, content in project.files.items()}
    packed |= {f"{_LIBRARIES}{path}": content for path, content in project.libraries.items()}
    write_tar(folder / f"{project.name}.tar", packed)


def read_all(folder: Path) -> Sequence[Stored]:
    """Every package in the folder, by name; none where there is no folder."""
    return [_read(path) for path in sorted(folder.glob("*.tar"))]


def _read(path: Path) -> Stored:
    packed = read_tar(path)
    about = json.loads(packed[_ABOUT])
    files, libraries = (
        {name.removeprefix(start): content for name, content in packed.items() if name.startswith(start)}
        for start in (_FILES, _LIBRARIES)
    )
    code, tests = tuple(about["code"]), tuple(about["tests"])
    project = Project(about["name"], about["version"], files, libraries, code, tests)
    held = about["baseline"]
    held["files"] = tuple(held["files"])
    held["places"] = {test: tuple(place) for test, place in held["places"].items()}
    return Stored(project, Baseline(**held), tuple(_bug(one) for one in about["bugs"]))


def _bug(value: dict[str, Any]) -> Bug:
    value["edit"] = Mutant(**value["edit"])
    for key in ("fail_to_pass", "pass_to_pass", "hidden"):
        value[key] = tuple(value[key])
    return Bug(**value)
