"""The shortest number that begins with given characters and is what schemas want."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any

MAX_DIGITS = 20
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def finish_number(
    schemas: Sequence[Mapping[str, Any]], begun: str, *, whole: bool, held: Callable[[str], bool]
) -> str | None:
    """The shortest number from `begun` on; None when there is none.

    Args:
        schemas: `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum` and `multipleOf` count.
        whole: an integer is wanted, written without point and exponent.
        held: whether the grammar takes a text; asked where limits are fractions, for which it wants certain digits, and
            of exponents.
    """
    if "e" in begun.lower():
        return next((begun + end for end in ("", "0", "1", "-1") if held(begun + end)), None)
    limits = _Limits(schemas, whole=whole)
    if not limits.fractional:
        at_once = [begun] if begun[-1:].isdigit() else [begun + digit for digit in "0123456789"]
        whole_text = next((text for text in at_once if _is_number(text) and limits.allow(text)), None)
        if whole_text is not None:
            return whole_text
    texts: set[str] = set()
    for way in _candidates(begun, limits, whole=whole):
        texts.update(islice((text for text in way if limits.allow(text)), 3))
    ordered = sorted(texts, key=lambda text: (len(text), text))
    if not limits.fractional:
        return ordered[0] if ordered else None
    return next((padded for text in ordered for padded in _padded(text) if held(padded)), None)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _padded(text: str) -> list[str]:
    return [text + "0" * zeros for zeros in range(6)] if "." in text else [text]


class _Limits:
    def __init__(self, schemas: Sequence[Mapping[str, Any]], *, whole: bool) -> None:
        self._whole = whole
        self.low = max((_exact(s[k]) for s in schemas for k in ("minimum", "exclusiveMinimum") if k in s), default=None)
        self.high = min(
            (_exact(s[k]) for s in schemas for k in ("maximum", "exclusiveMaximum") if k in s), default=None
        )
        self.steps = [_exact(s["multipleOf"]) for s in schemas if "multipleOf" in s]
        numbers = [value for value in (self.low, self.high, *self.steps) if value is not None]
        self.fractional = any(value.denominator > 1 for value in numbers)
        self._above = [_exact(s["exclusiveMinimum"]) for s in schemas if "exclusiveMinimum" in s]
        self._below = [_exact(s["exclusiveMaximum"]) for s in schemas if "exclusiveMaximum" in s]

    def allow(self, text: str) -> bool:
        value = Fraction(text)
        if not value and text.startswith("-") and not self._whole:
            return False  # llguidance's numbers within bounds have no −0.0
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and all(value > bound for bound in self._above)
            and all(value < bound for bound in self._below)
            and all((value / step).denominator == 1 for step in self.steps)
        )


def _exact(number: float) -> Fraction:
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _candidates(begun: str, limits: _Limits, *, whole: bool) -> Iterator[Iterator[str]]:
    """Ways to go on, each with its numbers from the shortest on."""
    if begun in ("", "-"):
        for digit in "0123456789":
            yield from _candidates(begun + digit, limits, whole=whole)
        if not begun:
            yield from _candidates("-", limits, whole=whole)
        return
    if begun[-1].isdigit():
        yield iter([begun])
    integer, point, digits = begun.partition(".")
    if not point and integer.lstrip("-") != "0":
        yield _longer(begun, 0, limits)
    if not whole:
        yield _longer(begun if point else f"{begun}.", len(digits), limits)


def _longer(begun: str, scale: int, limits: _Limits) -> Iterator[str]:
    """For each count of further digits the number that is nearest to zero within the limits."""
    sign = -1 if begun.startswith("-") else 1
    decimal = "." in begun
    base = Fraction(begun.rstrip(".").lstrip("-"))
    for count in range(1, MAX_DIGITS):
        grid = Fraction(1, 10 ** (scale + count)) if decimal else Fraction(1)
        low = base if decimal else base * 10**count
        high = low + (Fraction(1, 10**scale) if decimal else 10**count) - grid
        least, most = (limits.low, limits.high) if sign > 0 else (_negative(limits.high), _negative(limits.low))
        step = grid
        for multiple in limits.steps:
            step = _common(step, multiple)
        value = math.ceil(max(low, least if least is not None else low) / step) * step
        for candidate in (value, value + step):
            if candidate <= high and (most is None or candidate <= most):
                yield _written(candidate * sign, begun, scale + count if decimal else 0)


def _negative(value: Fraction | None) -> Fraction | None:
    return None if value is None else -value


def _common(a: Fraction, b: Fraction) -> Fraction:
    """The least common multiple."""
    return Fraction(math.lcm(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator)


def _written(value: Fraction, begun: str, places: int) -> str:
    text = f"{Decimal(abs(value.numerator) * 10**places // value.denominator).scaleb(-places):f}"
    return f"-{text}" if begun.startswith("-") else text
