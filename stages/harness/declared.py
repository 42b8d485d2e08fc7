"""What `dvc.yaml` declares for one stage: its dependencies, split into data and code."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from stages.harness.errors import InputError

CODE_ROOTS = ("stages", "k2model", "kernels", "gym", "agents")


@dataclass(frozen=True)
class Declared:
    data: tuple[Path, ...]
    code: tuple[Path, ...]
    sections: tuple[str, ...]
    outs: tuple[Path, ...]


def stage_names(path: Path = Path("dvc.yaml")) -> list[str]:
    """Every stage, in the order in which `dvc.yaml` writes them."""
    return list(yaml.safe_load(path.read_text())["stages"])


def declared(name: str, path: Path = Path("dvc.yaml")) -> Declared:
    """Dependencies, `params.yaml` sections and outputs that `dvc.yaml` declares for stage `name`.

    Raises:
        InputError: `dvc.yaml` has no such stage.
    """
    stages = yaml.safe_load(path.read_text())["stages"]
    if name not in stages:
        raise InputError(f"{path}: no stage named {name!r}")
    deps = [Path(dep) for dep in stages[name].get("deps", [])]
    code = tuple(dep for dep in deps if dep.parts[0] in CODE_ROOTS)
    data = tuple(dep for dep in deps if dep.parts[0] not in CODE_ROOTS)
    outs = tuple(Path(out) for out in stages[name].get("outs", []))
    return Declared(data, code, tuple(stages[name].get("params", [])), outs)
