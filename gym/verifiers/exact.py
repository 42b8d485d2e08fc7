"""Exact answers, and numbers with units."""

import re
import string
import unicodedata
from decimal import Decimal

from gym.verifiers.result import Result, Status

NUMBER = re.compile(r"(?<![A-Za-z\d.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
# To base units: metres, kilograms, seconds, square metres, litres.
UNITS: dict[str, tuple[str, Decimal]] = {
    **{name: ("m", Decimal(1)) for name in ("m", "metre", "metres", "meter", "meters")},
    **{name: ("m", Decimal(1000)) for name in ("km", "kilometre", "kilometres", "kilometer", "kilometers")},
    **{name: ("m", Decimal("0.01")) for name in ("cm", "centimetre", "centimetres", "centimeter", "centimeters")},
    **{name: ("m", Decimal("0.001")) for name in ("mm", "millimetre", "millimetres", "millimeter", "millimeters")},
    **{name: ("m", Decimal("1609.344")) for name in ("mi", "mile", "miles")},
    **{name: ("m", Decimal("0.3048")) for name in ("ft", "foot", "feet")},
    **{name: ("kg", Decimal(1)) for name in ("kg", "kilogram", "kilograms")},
    **{name: ("kg", Decimal("0.001")) for name in ("g", "gram", "grams")},
    **{name: ("kg", Decimal(1000)) for name in ("t", "tonne", "tonnes")},
    **{name: ("s", Decimal(1)) for name in ("s", "sec", "second", "seconds")},
    **{name: ("s", Decimal(60)) for name in ("min", "minute", "minutes")},
    **{name: ("s", Decimal(3600)) for name in ("h", "hour", "hours")},
    **{name: ("l", Decimal(1)) for name in ("l", "litre", "litres", "liter", "liters")},
    **{name: ("l", Decimal("0.001")) for name in ("ml", "millilitre", "millilitres")},
    **{name: ("m2", Decimal(1)) for name in ("m2", "sq m", "m²")},
    **{name: ("m2", Decimal(1000000)) for name in ("km2", "sq km", "km²")},
    **{name: ("%", Decimal(1)) for name in ("%", "percent")},
}


def normalise(text: str) -> str:
    """SQuAD's rule: lower case, no punctuation, no articles, single spaces; Unicode in its composed form."""
    bare = unicodedata.normalize("NFKC", text).lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact(answer: str, golds: list[str]) -> Result:
    """1.0 when the normalised answer equals a normalised gold."""
    said = normalise(answer)
    if not said:
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    right = said in {normalise(gold) for gold in golds}
    return Result(float(right), Status.SCORED, "exact match" if right else f"said {said[:60]!r}")


def quantity(text: str) -> tuple[Decimal, str] | None:
    """(value in the base unit, base unit) of the last number in a text; the unit is empty when there is none."""
    found = [match for match in NUMBER.finditer(text) if any(c.isdigit() for c in match.group())]
    if not found:
        return None
    match = found[-1]
    rest = text[match.end() :].strip().lower()
    words = re.match(r"(sq\s+k?m|[a-zµ°]+[²2]?|%)", rest)
    name = " ".join(words.group().split()) if words else ""
    unit, factor = UNITS.get(name, ("", Decimal(1)))
    try:
        value = Decimal(match.group().replace(",", "").replace("−", "-"))
        return value * factor, unit
    except ArithmeticError:  # an exponent beyond Decimal's own
        return None


def numeric(answer: str, gold: str, tolerance: float = 1e-6) -> Result:
    """Compares numbers relatively; units are converted, and a wrong or missing dimension is wrong.

    A gold without a unit takes any answer without one.
    """
    wanted = quantity(gold)
    if wanted is None:
        return Result(None, Status.VERIFIER_ERROR, f"the gold answer {gold!r} has no number")
    said = quantity(answer)
    if said is None:
        return Result(0.0, Status.NO_ANSWER, "no number in the answer")
    if said[1] != wanted[1]:
        return Result(0.0, Status.SCORED, f"unit {said[1] or 'none'}, wanted {wanted[1] or 'none'}")
    near = abs(said[0] - wanted[0]) <= Decimal(str(tolerance)) * max(abs(wanted[0]), Decimal(1))
    return Result(float(near), Status.SCORED, f"read as {said[0].normalize()} {said[1]}".strip())
