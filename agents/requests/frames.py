"""Authored sentence frames (`frames.yaml`), by what they are for."""

from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

PATH = Path(__file__).with_name("frames.yaml")


@cache
def _all() -> dict[str, Any]:
    value: dict[str, Any] = yaml.load(PATH.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return value


def frame(rng: Random, *names: str) -> str:
    """One of the frames under these keys."""
    found: Any = _all()
    for name in names:
        found = found[name]
    return str(rng.choice(found))
