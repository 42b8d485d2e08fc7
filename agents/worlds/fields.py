"""Types of fields and parameters: how they are written in a file, drawn, declared, and said.

    person · city · …            one of the authored lists of values (`agents/tools/everyday_tools/values.yaml`)
    int 1..9 [unit]  number 0.5..30 [unit]  money 18..140
    date 2..40                   days from today
    time  bool  text  email  phone
    one of booked*5, refunded    a state is drawn by its weight, 1 where none is given
    list of <list of values>
    ref ticket                   another record
    money = train.price * seats  of a record: computed when the world is made

A type that ends with `?` may be empty (null); half of them are so at first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Any

import yaml

from agents.tools.everyday import FOLDER
from agents.tools.numbers import whole

PLAIN = ("time", "bool", "text", "email", "phone")
RANGED = re.compile(r"(int|number|money|date) (-?[\d.]+)\.\.(-?[\d.]+)(?: (.+))?")
LARGEST = 10**12  # number
FURTHEST = 36_500  # days from today
COMPUTED = ("int", "number", "money", "date", "bool", "text")
TIMES = [f"{hour:02}:{minute}" for hour in range(7, 21) for minute in ("00", "15", "30", "45")]


@cache
def pools() -> Mapping[str, Sequence[str]]:
    """The authored lists of values, by name."""
    value: dict[str, list[str]] = yaml.load((FOLDER / "values.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return value


@dataclass(frozen=True)
class FieldType:
    """What values are.

    base: int, number, money, date (with `low`, `high`), enum (`values` with `weights`), list (of the list `pool`),
        pool, ref (to the entity `target`), or one of PLAIN. formula: how it is computed when the world is made.
    """

    base: str
    low: float = 0
    high: float = 0
    unit: str = ""
    values: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    pool: str = ""
    target: str = ""
    formula: str = ""
    nullable: bool = False

    @classmethod
    def parse(cls, text: str) -> "FieldType":
        """Raises ValueError for what is no type."""
        text = text.strip()
        if text.endswith("?"):
            kind = cls.parse(text[:-1])
            return cls(**{**kind.__dict__, "nullable": True})
        computed = re.fullmatch(r"(\w+) = (.+)", text)
        if computed and computed[1] in COMPUTED:
            return cls(computed[1], formula=computed[2])
        if ranged := RANGED.fullmatch(text):
            base, low, high, unit = ranged.groups()
            if float(low) > float(high):
                raise ValueError(f"{text!r}: {low} is above {high}")
            if max(abs(float(low)), abs(float(high))) > (FURTHEST if base == "date" else LARGEST):
                raise ValueError(f"{text!r}: that is too far")
            if base in ("int", "date") and not (float(low).is_integer() and float(high).is_integer()):
                raise ValueError(f"{text!r}: whole numbers")
            return cls(base, float(low), float(high), unit or "")
        if text.startswith("one of "):
            pairs = [value.strip().partition("*") for value in text[7:].split(",")]
            if len({value for value, _, _ in pairs if value}) < max(2, len(pairs)):
                raise ValueError(f"{text!r}: two different values or more")
            weights = tuple(float(weight or 1) for _, _, weight in pairs)
            if not all(0 < weight <= LARGEST for weight in weights):
                raise ValueError(f"{text!r}: weights are above 0")
            return cls("enum", values=tuple(value for value, _, _ in pairs), weights=weights)
        if text.startswith("list of ") and text[8:] in pools():
            return cls("list", pool=text[8:])
        if text.startswith("ref "):
            return cls("ref", target=text[4:].strip())
        if text in PLAIN:
            return cls(text)
        if text in pools():
            return cls("pool", pool=text)
        raise ValueError(f"no type {text!r}")

    @property
    def numeric(self) -> bool:
        return self.base in ("int", "number", "money")

    def schema(self) -> dict[str, Any]:
        """JSON Schema of a value."""
        if self.base == "enum":
            return {"type": "string", "enum": list(self.values)}
        if self.base == "list":
            return {"type": "array", "items": {"type": "string"}}
        if self.base == "date":
            return {"type": "string", "format": "date"}
        kinds = {"int": "integer", "number": "number", "money": "number", "bool": "boolean"}
        return {"type": kinds.get(self.base, "string")}

    def fits(self, value: Any) -> bool:
        """Whether a stored value is of the type; a reference by its form alone."""
        if value is None:
            return self.nullable
        if self.base == "bool":
            return isinstance(value, bool)
        if self.base == "int":
            return isinstance(value, int) and not isinstance(value, bool)
        if self.numeric:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.base == "list":
            return isinstance(value, list)
        return isinstance(value, str) and (self.base != "enum" or value in self.values)


def draw(kind: FieldType, rng: Random, today: date) -> Any:
    """A plausible value, as it is stored; not of a reference or a formula."""
    if kind.base == "int":
        return rng.randint(int(kind.low), int(kind.high))
    if kind.base == "number":
        return whole(round(rng.uniform(kind.low, kind.high), 1 if kind.high - kind.low > 2 else 2))
    if kind.base == "money":
        wide = kind.high - kind.low > 40
        return whole(round(rng.uniform(kind.low, kind.high), 0 if wide and rng.random() < 0.6 else 2))
    if kind.base == "date":
        return (today + timedelta(days=rng.randint(int(kind.low), int(kind.high)))).isoformat()
    if kind.base == "enum":
        return rng.choices(kind.values, kind.weights)[0]
    if kind.base == "list":
        return rng.sample(pools()[kind.pool], rng.randint(1, 3))
    if kind.base == "pool":
        return rng.choice(pools()[kind.pool])
    return SHAPES[kind.base](rng)


def _word(rng: Random) -> str:
    return re.sub(r"[^a-z]", "", rng.choice(pools()["person"]).split()[-1].lower()) or "lee"


SHAPES = {
    "time": lambda rng: rng.choice(TIMES),
    "bool": lambda rng: rng.random() < 0.5,
    "text": lambda rng: rng.choice(pools()["note"]),
    "email": lambda rng: f"{_word(rng)}{rng.randint(1, 99)}@{_word(rng)}.example",
    "phone": lambda rng: f"+{rng.randint(20, 98)} {rng.randint(100, 999)} {rng.randint(1000000, 9999999)}",
}
