"""JSON that a model wrote: one reader for every place, with one typed failure.

A sampled answer can hold anything: a number of five thousand digits, a thousand brackets, `NaN`, half of a surrogate
pair. Python's own reader meets these with four kinds of exceptions or with values that break what comes next.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

MAX_DEPTH = 128  # of arrays and objects; what comes after (schemas, comparisons, writers) recurses too
MAX_DIGITS = 300  # of an integer; a longer one fits no float
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class ModelJsonError(ValueError):
    """A text that is not JSON, or not JSON that anything could use; the message is one short line."""


def loads_model_json(text: str) -> Any:
    """The value of `text`; half surrogate pairs in its strings become U+FFFD.

    Raises:
        ModelJsonError: no JSON, deeper than `MAX_DEPTH`, an integer of more than `MAX_DIGITS` digits, or a number that
            isn't finite (`NaN`, `Infinity`, `1e999`).
    """
    if _depth_exceeds(text, MAX_DEPTH):
        raise ModelJsonError(f"nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise ModelJsonError(f"not JSON: {error.msg} at character {error.pos}") from None
    return well_formed(value) if _SURROGATE.search(text) or "\\u" in text else value


def loads_arguments(text: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments of a tool call: an object; nothing (`None`, `""`, blanks, `null`) is no arguments.

    Some servers hand arguments over as an object instead of its text; that is taken as it is.

    Raises:
        ModelJsonError: as `loads_model_json`, or a value that is no object.
    """
    if text is None:
        return {}
    if isinstance(text, Mapping):
        return dict(text)
    if not isinstance(text, str):
        raise ModelJsonError(f"arguments are {type(text).__name__}, not an object")
    value = loads_model_json(text) if text.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ModelJsonError(f"arguments are {type(value).__name__}, not an object")
    return value


def well_formed(value: Any) -> Any:
    """`value` with every half of a surrogate pair in its strings and keys replaced by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value) if _SURROGATE.search(value) else value
    if isinstance(value, Mapping):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [well_formed(item) for item in value]
    return value


def _depth_exceeds(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            return True
    return False


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ModelJsonError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ModelJsonError(f"a number that is not finite: {digits[:20]}")
    return number


def _constant(name: str) -> NoReturn:
    raise ModelJsonError(f"a number that is not finite: {name}")
