"""Units: what they measure, and how much of it. `km/h`, `m³`, `µg` and `°F` are told from their neighbours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]  # (base, exponent), sorted; empty for a pure number


@dataclass(frozen=True)
class PhysicalUnit:
    """A value of `x` in this unit is `x * factor + offset` in the base units of its dimension."""

    dimension: Dimension
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def __str__(self) -> str:
        return "·".join(base if power == 1 else f"{base}^{power}" for base, power in self.dimension)


NONE = PhysicalUnit(())


def _unit(factor: str | Fraction, offset: str | Fraction = "0", **powers: int) -> PhysicalUnit:
    return PhysicalUnit(tuple(sorted(powers.items())), Fraction(factor), Fraction(offset))


def _raised(unit: PhysicalUnit, power: int) -> PhysicalUnit:
    return PhysicalUnit(tuple((base, own * power) for base, own in unit.dimension), unit.factor**power)


def _product(first: PhysicalUnit, second: PhysicalUnit) -> PhysicalUnit:
    powers = dict(first.dimension)
    for base, power in second.dimension:
        powers[base] = powers.get(base, 0) + power
    kept = tuple(sorted((base, power) for base, power in powers.items() if power))
    return PhysicalUnit(kept, first.factor * second.factor)


_PREFIXES = {
    "f": ("femto", -15), "p": ("pico", -12), "n": ("nano", -9), "µ": ("micro", -6), "u": ("micro", -6),
    "m": ("milli", -3), "c": ("centi", -2), "d": ("deci", -1), "h": ("hecto", 2), "k": ("kilo", 3),
    "M": ("mega", 6), "G": ("giga", 9), "T": ("tera", 12),
}  # fmt: skip
_METRIC = (  # symbols, names, unit
    ("m", "metre metres meter meters", _unit("1", m=1)),
    ("g", "gram grams gramme grammes", _unit("0.001", kg=1)),
    ("s", "second seconds sec secs", _unit("1", s=1)),
    ("l L", "litre litres liter liters", _unit("0.001", m=3)),
    ("A", "ampere amperes amp amps", _unit("1", A=1)),
    ("mol", "mole moles", _unit("1", mol=1)),
    ("N", "newton newtons", _unit("1", kg=1, m=1, s=-2)),
    ("J", "joule joules", _unit("1", kg=1, m=2, s=-2)),
    ("W", "watt watts", _unit("1", kg=1, m=2, s=-3)),
    ("Wh", "", _unit("3600", kg=1, m=2, s=-2)),
    ("Pa", "pascal pascals", _unit("1", kg=1, m=-1, s=-2)),
    ("bar", "bars", _unit("100000", kg=1, m=-1, s=-2)),
    ("Hz", "hertz", _unit("1", s=-1)),
    ("V", "volt volts", _unit("1", kg=1, m=2, s=-3, A=-1)),
    ("Ω", "ohm ohms", _unit("1", kg=1, m=2, s=-3, A=-2)),
    ("C", "coulomb coulombs", _unit("1", A=1, s=1)),
    ("F", "farad farads", _unit("1", A=2, s=4, kg=-1, m=-2)),
    ("T", "tesla", _unit("1", kg=1, s=-2, A=-1)),
    ("eV", "electronvolt electronvolts", _unit("1.602176634e-19", kg=1, m=2, s=-2)),
    ("cal", "calorie calories", _unit("4.184", kg=1, m=2, s=-2)),
    ("B", "byte bytes", _unit("8", bit=1)),
    ("bit", "bits", _unit("1", bit=1)),
)
_SINGLE = (
    ("in inch inches ″", _unit("0.0254", m=1)),
    ("ft foot feet", _unit("0.3048", m=1)),
    ("yd yard yards", _unit("0.9144", m=1)),
    ("mi mile miles", _unit("1609.344", m=1)),
    ("t tonne tonnes", _unit("1000", kg=1)),
    ("lb lbs", _unit("0.45359237", kg=1)),
    ("oz ounce ounces", _unit("0.028349523125", kg=1)),
    ("min mins minute minutes", _unit("60", s=1)),
    ("h hr hrs hour hours", _unit("3600", s=1)),
    ("day days", _unit("86400", s=1)),
    ("week weeks", _unit("604800", s=1)),
    ("month months", _unit("1", month=1)),
    ("year years yr yrs", _unit("12", month=1)),
    ("ha hectare hectares", _unit("10000", m=2)),
    ("gal gallon gallons", _unit("0.003785411784", m=3)),
    ("mph", _unit("0.44704", m=1, s=-1)),
    ("kmh kph", _unit(Fraction(5, 18), m=1, s=-1)),
    ("kn knot knots", _unit(Fraction(1852, 3600), m=1, s=-1)),
    ("atm", _unit("101325", kg=1, m=-1, s=-2)),
    ("K kelvin kelvins", _unit("1", temperature=1)),
    ("°C celsius", _unit("1", "273.15", temperature=1)),
    ("°F fahrenheit", _unit(Fraction(5, 9), Fraction("273.15") - 32 * Fraction(5, 9), temperature=1)),
    ("° degree degrees deg", _unit("1", degree=1)),
    ("rad radian radians", _unit("1", radian=1)),
    ("% percent percents", _unit("1", percent=1)),
    ("‰", _unit("0.1", percent=1)),
    ("$ USD dollar dollars", _unit("1", USD=1)),
    ("¢ cent cents", _unit("0.01", USD=1)),
    ("€ EUR euro euros", _unit("1", EUR=1)),
    ("£ GBP", _unit("1", GBP=1)),
    ("¥ JPY yen", _unit("1", JPY=1)),
    ("₹ INR rupee rupees", _unit("1", INR=1)),
)


def _table() -> Iterator[tuple[str, PhysicalUnit]]:
    for symbols, names, unit in _METRIC:
        for symbol in symbols.split():
            yield symbol, unit
        for name in names.split():
            yield name, unit
        for short, (long, power) in _PREFIXES.items():
            scaled = PhysicalUnit(unit.dimension, unit.factor * Fraction(10) ** power)
            for symbol in symbols.split():
                yield short + symbol, scaled
            for name in names.split():
                yield long + name, scaled
    for names, unit in _SINGLE:
        for name in names.split():
            yield name, unit


UNITS = dict(_table())  # a single one wins over a prefixed one: `min`, `ft`, `cd` are no thousandths
NEUTRAL = frozenset({"degree", "USD", "EUR", "GBP", "JPY", "INR"})  # a gold without a unit takes these: `70°`, `$70`
# `KM`, `Kg` can be nothing else, where `MG` and `mg` are two units.
_LOOSE_CASE = frozenset("km cm kg ft mi mph kmh kph lb lbs oz hr hrs min sec".split())
_FOLLOWS_NAME = r"(?![A-Za-zµΩ])"
_NAME = re.compile(
    r"deg(?:rees?)?\.?\s+(?P<scale>[Cc]elsius|[Ff]ahrenheit|C|F)" + _FOLLOWS_NAME + r"|°\s?[CF]" + _FOLLOWS_NAME +
    r"|[°%‰€£$¢¥₹″]|[A-Za-zµΩ]+"
)  # fmt: skip
_POWER = re.compile(r"\s?\^\s?\(?([-+]?[0-9]{1,2})\)?|([23])(?![0-9.])|\s(squared|cubed)\b")
_SHAPE = re.compile(r"(square|sq\.?|cubic|cu\.?)[\s-]+")
_BETWEEN = re.compile(
    r"\s?(/)\s?|\s?([·*⋅×])\s?|\s+(per)\s+(?:an?\s+)?"
    r"|[ \u2009](?=[A-Za-zµΩ]+\s?\^\s?\(?[-+]?[0-9]|[A-Za-zµΩ]{1,3}[ .]*(?:\n|$))"  # `m s^-1`; `N m` at the end
)


def _named(name: str) -> PhysicalUnit | None:
    unit = UNITS.get(name)
    if unit is not None:
        return unit
    lower = name.lower()
    return UNITS.get(lower) if lower in _LOOSE_CASE or len(lower) >= 4 else None


def _factor(text: str, position: int) -> tuple[PhysicalUnit, int] | None:
    shape = _SHAPE.match(text, position)
    start = shape.end() if shape else position
    match = _NAME.match(text, start)
    if match is None:
        return None
    scale = match.group("scale")
    name = f"°{scale[0].upper()}" if scale else match.group().replace(" ", "").replace("\u2009", "")
    unit, end = _named(name), match.end()
    if unit is None:
        return None
    power = {"sq": 2, "cu": 3}[shape.group(1)[:2]] if shape else 1
    raised = _POWER.match(text, end)
    if raised is not None:
        power = {"squared": 2, "cubed": 3}.get(raised.group(3)) or int(raised.group(1) or raised.group(2))
        end = raised.end()
    return (unit if power == 1 else _raised(unit, power)), end


def read_unit(text: str, position: int = 0) -> tuple[PhysicalUnit, int]:
    """(unit, where it ends) at a position; `NONE` and the position itself for what is no known unit.

    A unit of several parts is known only as a whole: `m/xyz` is no metre.
    """
    first = _factor(text, position)
    if first is None:
        return NONE, position
    unit, end = first
    name = text[position:end].strip()
    if name == "in" and not re.match(r"\s*(?:$|[.,;:!?)\n/^²³])", text[end:]):
        return NONE, position  # "12 in total"
    while between := _BETWEEN.match(text, end):
        closing = ""
        start = between.end()
        if between.group(1) and text[start : start + 1] == "(":
            inner, stop = read_unit(text, start + 1)
            following = (inner, stop) if inner is not NONE and text[stop : stop + 1] == ")" else None
            closing = ")"
        else:
            following = _factor(text, start)
        if following is None:
            if between.group(1) or between.group(3):
                return PhysicalUnit((("unknown", 1),)), end
            break
        divided = between.group(1) or between.group(3)
        unit = _product(unit, _raised(following[0], -1) if divided else following[0])
        end = following[1] + len(closing)
    return unit, end
