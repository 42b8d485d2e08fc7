"""Sentences of users and agents: of `[one|another]` either, and a value in each `{name}`."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from agents.requests.values import enumerated
from agents.servers.driver import fill

SENTENCES = Path(__file__).with_name("sentences.yaml")
CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")


def expand(frame: str, rng: Random) -> str:
    """A frame with one of the alternatives of every pair of brackets."""
    while match := CHOICE.search(frame):
        frame = frame[: match.start()] + rng.choice(match[1].split("|")) + frame[match.end() :]
    return frame


def written(frame: str, scope: Mapping[str, Any], rng: Random) -> str:
    """A sentence: alternatives chosen, then values put in; a list of values as words."""
    return str(fill(expand(frame, rng), {name: _in_words(value) for name, value in scope.items()}))


def sentence(kind: str, rng: Random, **values: Any) -> str:
    """One of the sentences that are the same for all servers (`sentences.yaml`)."""
    return written(rng.choice(_sentences()[kind]), values, rng)


@cache
def _sentences() -> Mapping[str, list[str]]:
    kinds: dict[str, list[str]] = yaml.load(SENTENCES.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return kinds


def _in_words(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return enumerated([str(part) for part in value]) if value else "nothing"
