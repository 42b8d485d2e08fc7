"""Projects as files: a folder with a tar each and the library tars that they share; and a baseline as JSON."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gym.repositories.baseline import Baseline
from gym.repositories.layout import check_size
from gym.repositories.libraries import library, needed, read_tar, write_tar
from gym.repositories.project import Project

LIBRARIES = "libraries"  # folder of library tars inside the store
_PROJECT, _FILES = "project.json", "files/"


def write_project(folder: Path, project: Project, libraries: Path) -> Path:
    """Writes `NAME.tar`, and the project's library tar where it isn't there yet; equal projects give equal bytes.

    Args:
        libraries: folder of library tars that theirs is taken from, or made in.

    Raises:
        RepositoryError: it takes more than 50 MB, or a library can't be had.
    """
    described = {key: value for key, value in asdict(replace(project, files={})).items() if key != "files"}
    packed = {_PROJECT: json.dumps(described, ensure_ascii=False).encode()}
    packed |= {f"{_FILES}{path}": content for path, content in project.files.items()}
    check_size(project.name, sum(512 + len(content) for content in packed.values()))
    needs = library(needed(project), libraries)
    shown = folder / LIBRARIES / needs.name
    if not shown.exists():
        shown.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(needs, shown)
    path = folder / f"{project.name}.tar"
    write_tar(path, packed)
    return path


def read_project(folder: Path, name: str) -> Project:
    """What `write_project` wrote.

    Raises:
        FileNotFoundError: no project of this name.
    """
    packed = read_tar(folder / f"{name}.tar")
    files = {path.removeprefix(_FILES): content for path, content in packed.items() if path.startswith(_FILES)}
    described = json.loads(packed[_PROJECT])
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in described.items()
    }
    return Project(files=files, **values)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Writes it as JSON, under another name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(asdict(baseline), ensure_ascii=False), encoding="utf-8")
    fresh.replace(path)


def read_baseline(path: Path) -> Baseline:
    """What `write_baseline` wrote.

    Raises:
        FileNotFoundError: no such file.
    """
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    held["tests"] = tuple(held["tests"])
    held["groups"] = tuple(map(tuple, held["groups"]))
    held["lines"] = {name: {int(line): group for line, group in of.items()} for name, of in held["lines"].items()}
    return Baseline(**held)
