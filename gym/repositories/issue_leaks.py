"""What a text gives away about a bug."""

import re
from collections.abc import Sequence

from gym.repositories.project import Project
from gym.repositories.task import Edit

_DIAGNOSES = re.compile(
    r"off[- ]by[- ]one|\b(swapped|inverted|negated|reversed)\b (argument|condition|comparison|operand|value)"
    r"|wrong (variable|operator|comparison|default)"
    r"|(missing|removed|dropped|forgotten) (return|branch|raise|break|continue|condition|argument|assignment|else)\b",
    re.IGNORECASE,
)


def gives_away(text: str, project: Project, edits: Sequence[Edit]) -> tuple[str, ...]:
    """What a text says about the place and the kind of a bug: `file PATH`, `kind KIND`, `function NAME`."""
    found = []
    for edit in edits:
        name = edit.path.rsplit("/", 1)[-1]
        if edit.path in text or re.search(rf"(?<![\w/.]){re.escape(name)}", text):
            found.append(f"file {edit.path}")
        kind = edit.kind.replace("_", "[ _-]")
        if "_" in edit.kind and re.search(rf"\b{kind}\b", text, re.IGNORECASE):
            found.append(f"kind {edit.kind}")
        if said := _DIAGNOSES.search(text):
            found.append(f"kind {said[0]}")
        *owners, function = edit.function.split(".")
        if function and _names_function(text, owners, function):
            found.append(f"function {edit.function}")
    return tuple(dict.fromkeys(found))


def _names_function(text: str, owners: Sequence[str], function: str) -> bool:
    """A method by its name after a dot; `__init__` and `__call__` by their class, which is what one calls."""
    if function in ("__init__", "__call__", "__new__") and owners:
        return re.search(rf"\b{re.escape(owners[-1])}\b", text) is not None
    return re.search(rf"(?<!\w)(?:test_)?{re.escape(function)}(?!\w)", text) is not None
