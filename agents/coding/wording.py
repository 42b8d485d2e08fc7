"""Thoughts and answers of a coding agent in many wordings; every name in them is a field."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agents.coding.fixes import Change
from gym.repositories.task import Edit

LINE = 96  # characters of a line of code that are quoted in a sentence


@cache
def _wordings() -> dict[str, Any]:
    wordings: dict[str, Any] = yaml.load(
        Path(__file__).with_name("wording.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
    )
    return wordings


class Words:
    """One agent's way to put things, at length or in short."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.length = rng, str(rng.choice(["long", "short"]))

    def say(self, key: str, **fields: object) -> str:
        """A wording of this step."""
        wordings = _wordings()[key]
        if isinstance(wordings, dict):
            wordings = wordings[self.length]
        text: str = wordings[int(self.rng.integers(len(wordings)))]
        given = {name: str(value) for name, value in fields.items()}
        given |= {name.capitalize(): value[:1].upper() + value[1:] for name, value in given.items()}
        return text.format(**given)

    def cause(self, bug: Edit, change: Change, function: str) -> str:
        """What is wrong in the code as it stands, as a clause."""
        causes = _wordings()["causes"]
        line = next((line.strip() for line in change.cut if line.strip()), "")
        cause = causes.get(bug.kind, causes["other"])
        if "{line}" in cause and not 0 < len(line) <= LINE:
            cause = causes["other"]
        return str(cause.format(line=line, function=function))


def told(change: Change) -> str:
    """What was wrong, as a clause that the change itself proves."""
    cut, put = ([line.strip() for line in lines if line.strip()] for lines in (change.cut, change.put))
    if len(cut) == len(put) == 1 and len(cut[0]) <= LINE and len(put[0]) <= LINE:
        return f"`{cut[0]}` had to be `{put[0]}`"
    if not cut and put:
        return f"`{put[0]}` was missing" if len(put) == 1 and len(put[0]) <= LINE else f"{len(put)} lines were missing"
    if cut == ["raise NotImplementedError"]:
        return "the body was missing, and I wrote it"
    if cut and not put:
        return f"`{cut[0]}` had to go" if len(cut) == 1 and len(cut[0]) <= LINE else f"{len(cut)} lines had to go"
    return f"{len(cut)} line{'s' if len(cut) > 1 else ''} had to be written anew"
