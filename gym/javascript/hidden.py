"""Which tests a solver sees: where a call of `test` ends in its file, and files without some of them."""

from collections.abc import Iterable, Mapping

import numpy as np

from gym.mutants import code_only

HIDE = 1 / 3  # of the tests that pass
_PAIRS = {"(": ")", "[": "]", "{": "}"}

Place = tuple[str, int, int]  # file, and line and column, from 1, of a test's call


def offset(text: str, line: int, column: int) -> int:
    """Where a line and column, both from 1, are in the text."""
    return sum(len(one) for one in text.splitlines(keepends=True)[: line - 1]) + column - 1


def closing(shown: str, opening: int) -> int:
    """Where the bracket at `opening` is closed in text without strings and comments; -1 if it isn't."""
    depth = 0
    for position in range(opening, len(shown)):
        if shown[position] in _PAIRS:
            depth += 1
        elif shown[position] in _PAIRS.values():
            depth -= 1
            if depth == 0:
                return position
    return -1


def statement(text: str, shown: str, place: Place) -> tuple[int, int] | None:
    """The whole lines of a call that is a statement of its own; None if it shares them."""
    position = offset(text, *place[1:])
    opening = shown.find("(", position)
    end = closing(shown, opening) if opening >= 0 else -1
    if end < 0:
        return None
    start = text.rfind("\n", 0, position) + 1
    stop = text.find("\n", end) + 1 or len(text)
    before, after = shown[start:position].strip(), shown[end + 1 : stop].strip()
    alone = all(part.isidentifier() for part in before.split(".") if part) and after in ("", ";")
    return (start, stop) if alone else None


def without_tests(files: Mapping[str, bytes], gone: Iterable[Place], kept: Iterable[Place]) -> dict[str, bytes]:
    """The files without the calls at `gone`; one that holds a call of `kept`, or is the same, stays."""
    made = dict(files)
    by_file: dict[str, list[Place]] = {}
    for place in gone:
        by_file.setdefault(place[0], []).append(place)
    kept = set(kept)
    for path, places in by_file.items():
        text = files[path].decode("utf-8")
        shown = code_only(text)
        stay = [offset(text, line, column) for file, line, column in kept if file == path]
        found = {statement(text, shown, place) for place in places if place not in kept} - {None}
        spans = [span for span in found if span and not any(span[0] <= position < span[1] for position in stay)]
        for start, stop in sorted(spans, reverse=True):
            if not any(other != (start, stop) and other[0] <= start and stop <= other[1] for other in spans):
                text = text[:start] + text[stop:]
        made[path] = text.encode()
    return made


def choose_hidden(
    fail_to_pass: Iterable[str],
    pass_to_pass: Iterable[str],
    places: Mapping[str, Place],
    quoted: str | None,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """The tests that leave the solver's tree: a third of those that pass, and all that fail but one place, which is
    the one that the issue quotes or, where several places have some, any."""
    spots = sorted({places[test] for test in fail_to_pass if test in places})
    shown = places.get(quoted) if quoted is not None else None
    if shown is None and len(spots) > 1:
        shown = spots[int(rng.integers(len(spots)))]
    gone = {spot for spot in spots if spot != shown}
    for spot in sorted({places[test] for test in pass_to_pass if test in places} - set(spots)):
        if rng.random() < HIDE:
            gone.add(spot)
    return tuple(test for test in [*fail_to_pass, *pass_to_pass] if places.get(test) in gone)
