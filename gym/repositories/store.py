"""A folder of measured projects: one tar each with its files, what is known of it and its baseline."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gym.repositories.baseline import Baseline
from gym.repositories.layout import check_size
from gym.repositories.libraries import read_tar, write_tar
from gym.repositories.project import Project

LIBRARIES = "libraries"  # folder of library tars inside the store
_PROJECT, _BASELINE, _FILES = "project.json", "baseline.json", "files/"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def write_project(folder: Path, project: Project, baseline: Baseline) -> Path:
    """Writes `NAME.tar`; equal projects and baselines give equal bytes.

    Raises:
        RepositoryError: it takes more than 50 MB.
    """
    described = {key: value for key, value in asdict(replace(project, files={})).items() if key != "files"}
    packed = {_PROJECT: _json(described), _BASELINE: _json(asdict(baseline))}
    packed |= {f"{_FILES}{path}": content for path, content in project.files.items()}
    check_size(project.name, sum(512 + len(content) for content in packed.values()))
    path = folder / f"{project.name}.tar"
    write_tar(path, packed)
    return path


def names(folder: Path) -> list[str]:
    """Names of the projects in a store, sorted."""
    return sorted(path.stem for path in folder.glob("*.tar"))


def read_project(folder: Path, name: str) -> tuple[Project, Baseline]:
    """What `write_project` wrote.

    Raises:
        FileNotFoundError: no project of this name.
    """
    packed = read_tar(folder / f"{name}.tar")
    described, measured = json.loads(packed[_PROJECT]), json.loads(packed[_BASELINE])
    files = {path.removeprefix(_FILES): content for path, content in packed.items() if path.startswith(_FILES)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in described.items()
    }
    measured["tests"] = tuple(measured["tests"])
    measured["groups"] = tuple(map(tuple, measured["groups"]))
    measured["lines"] = {
        path: {int(line): group for line, group in of.items()} for path, of in measured["lines"].items()
    }
    return Project(files=files, **values), Baseline(**measured)
