"""What `dvc.yaml` declares for each stage: its dependencies, split into data and code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.harness.errors import InputError
from stages.harness.section import load_yaml

CODE_ROOTS = ("stages", "k2model", "kernels", "gym", "agents")


@dataclass(frozen=True)
class Declared:
    data: tuple[Path, ...]
    code: tuple[Path, ...]
    sections: tuple[str, ...]
    outs: tuple[Path, ...]


def stage_names(path: Path = Path("dvc.yaml")) -> list[str]:
    """Every stage, in the order in which `dvc.yaml` writes them."""
    return list(load_yaml(path)["stages"])


def graph(path: Path = Path("dvc.yaml")) -> dict[str, Declared]:
    """Dependencies, `params.yaml` sections and outputs of every stage, in the order in which `dvc.yaml` writes them."""
    stages = load_yaml(path)["stages"]
    return {name: _declared(entry) for name, entry in stages.items()}


def declared(name: str, path: Path = Path("dvc.yaml")) -> Declared:
    """What `dvc.yaml` declares for stage `name`.

    Raises:
        InputError: `dvc.yaml` has no such stage.
    """
    stages = graph(path)
    if name not in stages:
        raise InputError(f"{path}: no stage named {name!r}")
    return stages[name]


def _declared(entry: dict[str, Any]) -> Declared:
    deps = [Path(dep) for dep in entry.get("deps", [])]
    code = tuple(dep for dep in deps if dep.parts[0] in CODE_ROOTS)
    data = tuple(dep for dep in deps if dep.parts[0] not in CODE_ROOTS)
    outs = tuple(Path(out) for out in entry.get("outs", []))
    return Declared(data, code, tuple(entry.get("params", [])), outs)
