"""Reads the final answer out of a text."""

import re

from gym.verifiers.math import boxed

LETTER = re.compile(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?")  # simple-evals' pattern
SAID = re.compile(r"(?i)answer\s*(?:is|:|=)\s*\**\$*\\?(?:\(|\[)?\s*(-?[\d,]+)")
INTEGER = re.compile(r"(?<![\d.])-?\d[\d,]*(?![\d]|\.\d)")
NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
GSM_MARK = re.compile(r"#### (\-?[0-9\.\,]+)")  # the pattern of GSM8K's own code


def choice(text: str) -> str:
    """The letter after `Answer:`, the last one said; empty when there is none."""
    found = LETTER.findall(text.replace("**", ""))
    return found[-1].upper() if found else ""


def whole_number(text: str) -> str:
    """An integer in its plainest form: the last `\\boxed`, else after "answer is", else the last one; or empty."""
    inside = boxed(text)
    if inside is not None:
        found = INTEGER.findall(re.sub(r"\\[a-z]+\s*|[{}$]|\\[,;! ]", " ", inside))
        return plain(found[-1]) if len(found) == 1 else ""
    found = SAID.findall(text) or INTEGER.findall(text)
    return plain(found[-1]) if found else ""


def plain(number: str) -> str:
    """`007` → `7`, `1,000` → `1000`; empty for what is no integer."""
    try:
        return str(int(number.replace(",", "")))
    except ValueError:
        return ""


def gsm8k(text: str, *, strict: bool) -> str:
    """GSM8K: the number after `#### `; when not strict, also a `\\boxed` or the last number."""
    marked = GSM_MARK.findall(text)
    if marked:
        return _decimal(marked[-1] if not strict else marked[0])
    if strict:
        return ""
    inside = boxed(text)
    found = NUMBER.findall(inside if inside is not None else text)
    return _decimal(found[-1]) if found else ""


def _decimal(number: str) -> str:
    bare = number.replace(",", "").replace("$", "").rstrip(".")
    return bare[:-2] if bare.endswith(".0") else bare
