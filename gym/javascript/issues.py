"""What a user would tell of a bug: a call, what it gives and what it should give, taken from a failing assertion."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gym.javascript.hidden import Place, closing, offset, statement
from gym.javascript.project import Project
from gym.mutants import code_only

LONGEST = 400  # characters of a call or a value
LINES = 30  # of a test that is quoted
_ENTRY = re.compile(r"\b(?:const|let|var)\s+(\w+|\{[^}]*\})\s*=\s*require\(\s*['\"]\.\.?/?['\"]\s*\)")
_NAME = re.compile(r"(?<![\w$.])[A-Za-z_$][\w$]*(?!\s*:(?!:))")
_WORDS = set("new function return typeof void null true false undefined this in of instanceof NaN Infinity".split())
_GLOBALS = set("Array Boolean Buffer Error JSON Math Number Object RegExp String Symbol encodeURIComponent".split())
_CALL = (
    "`{call}` gives `{actual}`, but it should give `{expected}`.",
    "I call `{call}`. I expected `{expected}`; what I get is `{actual}`.",
    "Wrong result:\n\n```js\n{call}\n```\n\nResult: `{actual}`\n\nExpected: `{expected}`",
    "With {name} {version}, `{call}` should be `{expected}`. It is `{actual}`.",
)
_QUOTED = (
    "This fails:\n\n```js\n{quoted}\n```\n\nI get {actual} where {expected} is right.",
    "Found {actual} instead of {expected}:\n\n```js\n{quoted}\n```",
    "{name} {version} should pass this:\n\n```js\n{quoted}\n```\n\nExpected: {expected}. What happens: {actual}.",
)


def write_issue(
    project: Project,
    fail_to_pass: Sequence[str],
    failed: Mapping[str, Sequence[Mapping[str, Any]]],
    places: Mapping[str, Place],
    rng: np.random.Generator,
) -> tuple[str, str | None] | None:
    """(the text, the test that it quotes), or None where no failing assertion of the tests can be told.

    A call that anybody can repeat is preferred, and quotes no test; else a short test stands for it.

    Args:
        failed: failing assertions by test, from a run with the bug.
        places: where tests are defined.
    """
    about = {"name": project.name, "version": project.version}
    found = [(test, one) for test in fail_to_pass for one in failed.get(test, ()) if _short(one)]
    calls = [(call, one) for _, one in found if (call := _call(project, one)) is not None]
    if calls:
        call, one = min(calls, key=lambda pair: len(pair[0]) + len(pair[1]["actual"]) + len(pair[1]["expected"]))
        return _filled(_CALL, one, {"call": call, **about}, rng), None
    quoted = [(text, test, one) for test, one in found if (text := _test(project, places.get(test))) is not None]
    if not quoted:
        return None
    text, test, one = min(quoted, key=lambda given: len(given[0]))
    shown = {key: one[key] if one[key].startswith(("no error", "an error")) else f"`{one[key]}`"
             for key in ("actual", "expected")}  # fmt: skip
    return _filled(_QUOTED, shown, {"quoted": text, **about}, rng), test


def _test(project: Project, place: Place | None) -> str | None:
    """The text of a short test that names no file of the code."""
    if place is None:
        return None
    text = project.files[place[0]].decode("utf-8", "replace")
    span = statement(text, code_only(text), place)
    lines = textwrap.dedent(text[slice(*span)]).strip().splitlines() if span else []
    text = "\n".join(lines)
    named = any(path in text or ("/" in path and path.rpartition(".")[0] in text) for path in project.code)
    return text if 0 < len(lines) <= LINES and not named else None


def _filled(forms: Sequence[str], one: Mapping[str, Any], values: Mapping[str, str], rng: np.random.Generator) -> str:
    form = forms[int(rng.integers(len(forms)))]
    return form.format(actual=one["actual"], expected=one["expected"], **values)


def _short(one: Mapping[str, Any]) -> bool:
    comparing = one["op"] in ("equal", "deepEqual", "throws", "doesNotThrow", "exception")
    return comparing and all(0 < len(one[key]) <= LONGEST and one[key].isprintable() for key in ("actual", "expected"))


def _call(project: Project, one: Mapping[str, Any]) -> str | None:
    """The first argument of an assertion of equality, if it names nothing but the package and the language."""
    if one["op"] not in ("equal", "deepEqual") or one["at"] is None:
        return None
    path, line, column = one["at"]
    text = project.files[path].decode("utf-8", "replace")
    entries = {name.split(":")[-1].strip() for found in _ENTRY.findall(text) for name in found.strip("{} ").split(",")}
    shown = code_only(text)
    opening = shown.find("(", offset(text, line, column))
    end = closing(shown, opening) if opening >= 0 else -1
    if end < 0:
        return None
    depth, stop = 0, end
    for position in range(opening + 1, end):
        depth += (shown[position] in "([{") - (shown[position] in ")]}")
        if depth == 0 and shown[position] == ",":
            stop = position
            break
    call, names = text[opening + 1 : stop].strip(), set(_NAME.findall(shown[opening + 1 : stop]))
    own = names & entries
    if not own or names - entries - _WORDS - _GLOBALS or "(" not in call or len(call) > LONGEST:
        return None
    return " ".join(part.strip() for part in call.splitlines())
