"""Sentences with records and values in them: `book {seats} seats on {train}`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SLOT = re.compile(r"\{([a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*)\}")


@dataclass(frozen=True)
class Template:
    """text, and the paths of its slots in order."""

    text: str
    paths: tuple[tuple[str, ...], ...]

    def fill(self, value: Callable[[Sequence[str]], Any]) -> str:
        """The sentence, with `value(path)` in each slot."""
        return SLOT.sub(lambda match: str(value(match[1].split("."))), self.text)


def parse_template(text: str) -> Template:
    """Raises ValueError for braces that are no slot."""
    rest = SLOT.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError(f"{text!r}: a slot is a path in braces")
    return Template(text, tuple(tuple(match.split(".")) for match in SLOT.findall(text)))


def singular(text: str) -> str:
    """`1 hours` → `1 hour`."""
    return re.sub(r"(?<![\w.,:-])(1|one) (\w+[^\Ws])s\b", r"\1 \2", text)
