"""The shortest string that begins with given characters and is what schemas want."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from k2model.inference.json_schema.patterns import compiled, shortest_rest

MAX_LENGTH = 100_000  # characters of a shortest value
_OPEN_ESCAPE = re.compile(
    r"(?<!\\)(?:\\\\)*(\\(?:u[0-9A-Fa-f]{0,3})?|\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?)$"
)
_ESCAPE = re.compile(r"\\u(?:[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F]|(?![dD][89a-fA-F])[0-9A-Fa-f]{2})[0-9A-Fa-f]{2}")
_CONTROLS = [f"\\u{code:04x}" for code in (*range(32), 127)]
_PATTERNS = ("\\u0000", "\\ud800\\udc00")  # of which the last characters end an escape
_ESCAPES = ["\\n", '\\"', "\\\\", "\\t", "\\r", "\\b", "\\f", *_CONTROLS]


class SchemaTooBig(ValueError):
    """More schemas together than are looked at, or a longer value."""


def finish_string(schemas: Sequence[Mapping[str, Any]], begun: str) -> str | None:
    """The shortest JSON string from `begun` (with its first quote) on; None when there is none.

    Args:
        schemas: `pattern`, `minLength` and `maxLength` count.

    Raises:
        SchemaTooBig: `minLength` is beyond `MAX_LENGTH`.
    """
    patterns = [compiled(schema["pattern"]) for schema in schemas if "pattern" in schema]
    least = max((schema.get("minLength", 0) for schema in schemas), default=0)
    if least > MAX_LENGTH:
        raise SchemaTooBig
    most = min((schema["maxLength"] for schema in schemas if "maxLength" in schema), default=None)
    ways: list[str] = []
    for start in whole_escapes(begun):
        rest = shortest_rest(patterns, json.loads(start + '"'), least, most)
        if rest is not None:
            ways.append(start + json.dumps(rest, ensure_ascii=False)[1:])
    return min(ways, key=len, default=None)


def whole_escapes(begun: str) -> list[str]:
    """The begun string with each escape that its begun escape can become: of a control character, or else the first."""
    match = _OPEN_ESCAPE.search(begun)
    if match is None:
        return [begun]
    start, escape = begun[: match.start(1)], match[1]
    ends = [control for control in _ESCAPES if control.startswith(escape.lower())]
    if not ends:
        ends = [text for pattern in _PATTERNS if _ESCAPE.fullmatch(text := escape + pattern[len(escape) :])][:1]
    return [start + end for end in ends]
