"""A stage on a model folder of the user's, apart from the pipeline: `python -m stages.sft --model FOLDER --out FOLDER`.

The folder stands in for the model that `dvc.yaml` gives the stage; everything that the stage makes goes into the other.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from k2model.files import MANIFEST
from stages.harness.declared import graph
from stages.harness.errors import InputError
from stages.harness.files import check_writable


@dataclass(frozen=True)
class OwnModel:
    """The model folder to go on from, and the folder that is made."""

    model: Path
    out: Path

    def check(self) -> None:
        """Refuses what can't be before anything is read or written.

        Raises:
            InputError: no model folder; an output that is the pipeline's, that holds the model, or that is something
                else than a model folder, which nothing may replace.
        """
        if not (self.model / "config.json").is_file():
            raise InputError(f"--model {self.model}: no model folder (config.json is missing)")
        out = self.out.resolve()
        for model in (self.model, _weights(self.model)):
            if model.resolve().is_relative_to(out) or out.is_relative_to(model.resolve()):
                raise InputError(f"--out {self.out}: one of it and --model {model} holds the other")
        for path in (path for stage in graph().values() for path in stage.outs):
            if path.resolve().is_relative_to(out) or out.is_relative_to(path.resolve()):
                raise InputError(f"--out {self.out}: {path} is the pipeline's; name another folder")
        if self.out.exists() and not (self.out / MANIFEST).is_file():
            raise InputError(f"--out {self.out}: is there already and no model folder; name another one")
        check_writable(self.out, "--out")


def _weights(model: Path) -> Path:
    """Where the weights of a model folder are: in it, or in the folder that its `base.json` names."""
    try:
        return Path(json.loads((model / "base.json").read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that can't be read, of which the reader says so
        return model


def own_model(stage: str, argv: list[str]) -> OwnModel | None:
    """What the command line says; None without arguments, which is the pipeline's stage.

    A command line that can't be ends the process with one line and status 2.
    """
    if not argv:
        return None
    parser = argparse.ArgumentParser(
        prog=f"k2 {stage}",
        description=f"The stage {stage} on a model folder, apart from the pipeline, by params.yaml and data/.",
    )
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="where it goes on from")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="what is made: a model folder, run/ with its metrics"
    )
    args = parser.parse_args(argv)
    for name, other in (("model", "out"), ("out", "model")):
        if getattr(args, name) is None:
            parser.exit(2, f"{stage}: --{name} FOLDER is missing; it goes with --{other}\n")
    return OwnModel(args.model, args.out)
