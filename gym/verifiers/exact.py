"""Exact answers, and numbers with units."""

import re
import string
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from gym.verifiers.number import Number, box_span, canonical, numbers, plain_text
from gym.verifiers.result import Result, Status
from gym.verifiers.units import NEUTRAL, NONE, PhysicalUnit, read_unit

WORDS = 3  # after a number among which its noun may stand: "12 red apples"
_NOUN = re.compile(r"[A-Za-zÀ-ɏ]+")
_GAP = re.compile(r"[ \t\u2009\u00a0\u202f-]{0,3}")  # between a number and its unit
_MONEY = re.compile(r"([$€£¥₹])[ -]*\Z")
_CHOICE = re.compile(r"\s*(?P<range>to|or|and|up to)\s*")  # "5 to 6 m", "between 5 and 6 m"
SAME_SHARE = Fraction(1, 50)  # "5 km or 3.1 miles" says one thing twice
_ASIDE = re.compile(r"\s*\(\s*(?:about|approximately|roughly|or|i\.e\.|=|≈|~)?\s*")  # "5 km (3.1 miles)"
_JOINED = re.compile(r"(?:\s|,|and)*")


@dataclass(frozen=True)
class Quantity:
    """`value` in the base units of `unit`; None for what is no single number. `words` follow where no unit is known."""

    value: Fraction | None
    unit: PhysicalUnit
    words: tuple[str, ...] = ()


def normalise(text: str) -> str:
    """SQuAD's rule: lower case, no punctuation, no articles, single spaces; Unicode in its composed form."""
    bare = unicodedata.normalize("NFKC", text).lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact(answer: str, golds: list[str]) -> Result:
    """1.0 when the normalised answer equals a normalised gold."""
    normalised = normalise(answer)
    if not normalised:
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    right = normalised in {normalise(gold) for gold in golds}
    return Result(float(right), Status.SCORED, "exact match" if right else f"said {normalised[:60]!r}")


def quantity(text: str) -> Quantity | None:
    """The quantity in the last `\\boxed` of a text, or its last one; None when there is no number.

    Parts that stand together count as one: `1 h 30 min`, `5 ft 3 in`.
    """
    box = box_span(text)
    plain = plain_text(text if box is None else text[slice(*box)])
    candidates = numbers(plain)
    if box is not None and candidates and not plain[candidates[-1].end :].strip(" .$"):  # its unit is behind the box
        plain = f"{plain[: candidates[-1].end]} {plain_text(text[box[1] :][:60]).lstrip(' ')}"
    return _last(plain, candidates)


def _last(plain: str, candidates: list[Number]) -> Quantity | None:
    if not candidates:
        return None
    last = candidates[-1]
    if last.value is None:
        return Quantity(None, NONE)
    unit, _ = _unit(plain, last)
    if len(candidates) > 1 and unit is not NONE:
        same, end = _unit(plain, candidates[-2])
        if same.dimension == unit.dimension and _ASIDE.fullmatch(plain, end, last.start):
            return _last(plain, candidates[:-1])
    if len(candidates) > 1 and _is_range(plain, candidates[-2], last, unit):
        return Quantity(None, NONE)
    if unit is NONE:
        return Quantity(last.value, NONE, tuple(_NOUN.findall(plain[last.end : last.end + 60].split("\n")[0])[:WORDS]))
    total, smaller = last.value * unit.factor + unit.offset, unit
    start = last.start
    for earlier in reversed(candidates[:-1]):
        part, end = _unit(plain, earlier)
        joined = part.dimension == unit.dimension and part.factor > smaller.factor and not unit.offset
        if not joined or earlier.value is None or _JOINED.fullmatch(plain, end, start) is None:
            break
        total, smaller, start = total + earlier.value * part.factor, part, earlier.start
    return Quantity(total, unit)


def _is_range(plain: str, first: Number, last: Number, unit: PhysicalUnit) -> bool:
    """Whether two values are offered where one is asked for."""
    own, end = _unit(plain, first)
    joint = _CHOICE.fullmatch(plain, end, last.start)
    if joint is None or first.value is None or last.value is None:
        return False
    if joint["range"] == "and" and not re.search(r"\bbetween\W{0,3}\Z", plain[max(0, first.start - 11) : first.start]):
        return False
    if own is NONE:
        own = unit
    lower, upper = (value * own.factor + own.offset for value, own in ((first.value, own), (last.value, unit)))
    return own.dimension == unit.dimension and abs(upper - lower) > SAME_SHARE * abs(upper)


def _unit(plain: str, number: Number) -> tuple[PhysicalUnit, int]:
    """(the unit of a number, where it ends): what follows it, or the currency before it."""
    start = number.end + len(_GAP.match(plain, number.end)[0])  # type: ignore[index]
    unit, end = read_unit(plain, start)
    if unit is not NONE:
        return unit, end
    before = _MONEY.search(plain, max(0, number.start - 4), number.start)
    return (read_unit(before[1])[0] if before is not None else NONE), number.end


def numeric(answer: str, gold: str, tolerance: float = 1e-6) -> Result:
    """Compares numbers relatively; units are converted, and a wrong or missing dimension is wrong.

    A gold without a unit takes an answer without one, with a noun (`12 apples`), in degrees or in money. A gold with a
    noun that is no unit takes an answer with the same noun.
    """
    wanted = quantity(gold)
    if wanted is None or wanted.value is None:
        return Result(None, Status.VERIFIER_ERROR, f"the gold answer {gold[:60]!r} has no number")
    given = quantity(answer)
    if given is None:
        return Result(0.0, Status.NO_ANSWER, "no number in the answer")
    if given.value is None:
        return Result(0.0, Status.SCORED, "several numbers or an expression, not one number")
    if not _same_kind(given, wanted):
        return Result(0.0, Status.SCORED, f"unit {_name(given)}, wanted {_name(wanted)}")
    unit = Fraction(1) if wanted.unit is NONE else wanted.unit.factor
    near = abs(given.value - wanted.value) <= Fraction(str(tolerance)) * (abs(wanted.value) or unit)
    return Result(float(near), Status.SCORED, f"read as {canonical(given.value)[:60]} {given.unit}".strip())


def _same_kind(given: Quantity, wanted: Quantity) -> bool:
    if wanted.unit is not NONE:
        return given.unit.dimension == wanted.unit.dimension
    if given.unit is not NONE:
        return not wanted.words and {base for base, _ in given.unit.dimension} <= NEUTRAL
    return not wanted.words or any(_forms(wanted.words[0]) & _forms(word) for word in given.words)


def _forms(noun: str) -> set[str]:
    """A noun and what may be its singular."""
    lower = noun.lower()
    return {lower, re.sub(r"(?<=..)s$", "", lower), re.sub(r"(?<=..)es$", "", lower)}


def _name(quantity: Quantity) -> str:
    return str(quantity.unit) or " ".join(quantity.words[:1]) or "none"
