"""What `dvc.yaml` declares for one stage: its dependencies, split into data and code."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from stages.errors import InputError

CODE_ROOTS = ("stages", "k2model", "kernels", "gym", "agents")


@dataclass(frozen=True)
class Declared:
    data: tuple[Path, ...]
    code: tuple[Path, ...]
    sections: tuple[str, ...]


def declared(name: str, path: Path = Path("dvc.yaml")) -> Declared:
    """Dependencies and `params.yaml` sections that `dvc.yaml` declares for stage `name`.

    Raises:
        InputError: `dvc.yaml` has no such stage.
    """
    stages = yaml.safe_load(path.read_text())["stages"]
    if name not in stages:
        raise InputError(f"{path}: no stage named {name!r}")
    deps = [Path(dep) for dep in stages[name].get("deps", [])]
    code = tuple(dep for dep in deps if dep.parts[0] in CODE_ROOTS)
    data = tuple(dep for dep in deps if dep.parts[0] not in CODE_ROOTS)
    return Declared(data, code, tuple(stages[name].get("params", [])))
