"""How values and records are said, and the authored sentences of users and agents (`frames/*.yaml`)."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from agents.worlds.fields import FieldType
from agents.worlds.surface import SCALES
from agents.worlds.template import singular
from agents.worlds.world import World

MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
ONE = {"are": "is", "were": "was", "have": "has"}
RELATIVE = {-1: "yesterday", 0: "today", 1: "tomorrow"}
FRAMES = Path(__file__).parent / "frames"


@cache
def frames(who: str) -> Mapping[str, Sequence[str]]:
    """The sentences of a file by kind."""
    kinds: dict[str, list[str]] = yaml.load((FRAMES / f"{who}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return kinds


def frame(who: str, kind: str, rng: Random, **slots: Any) -> str:
    """One of the sentences of a kind: `{a|b}` is either, `{name}` a slot.

    Raises:
        KeyError: an unknown kind, or a slot that is not given.
    """
    text = re.sub(r"\{(\w+)\}", "\x00\\1\x00", rng.choice(frames(who)[kind]))  # a slot may stand in an alternative
    text = re.sub(r"\{([^{}]*)\}", lambda match: rng.choice(match[1].split("|")), text)
    return re.sub("\x00(\\w+)\x00", lambda match: str(slots[match[1]]), text)


def ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def date_forms(day: date, today: date) -> list[str]:
    """Ways to say a day that leave nothing open when it is known what day it is."""
    month = MONTHS[day.month - 1]
    forms = [
        day.isoformat(),
        f"{month} {day.day}" if day.year == today.year else f"{month} {day.day}, {day.year}",
        f"{day.day} {month} {day.year}",
        f"{month} {ordinal(day.day)}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
    ]
    weekday = WEEKDAYS[day.weekday()]
    forms += [f"{weekday}, {forms[1]}", f"{weekday[:3]} {day.day} {month[:3]} {day.year}"]
    if day.year == today.year:
        forms.append(f"the {ordinal(day.day)} of {month}")
    if day.day > 12:  # else it could be the month
        forms.append(f"{day.day}.{day.month}.{day.year}")
    away = (day - today).days
    if away in RELATIVE:
        forms += [RELATIVE[away]] * 2
    if 1 < away < 7:
        forms.append(f"{'this' if day.weekday() > today.weekday() else 'next'} {weekday}")
    return forms


def spoken(kind: FieldType, value: Any, rng: Random, today: date) -> str:
    """A stored value as somebody says it."""
    if value is None:
        return "none"
    if kind.base == "date":
        return rng.choice(date_forms(date.fromisoformat(value), today))
    if kind.base == "time":
        return rng.choice(time_forms(value))
    if kind.base == "bool" or isinstance(value, bool):
        return "yes" if value else "no"
    if kind.base == "enum":
        return str(value).replace("_", " ")
    if kind.base == "list":
        return f"{', '.join(value[:-1])} and {value[-1]}" if len(value) > 1 else str(value[0])
    if kind.base == "int" and 1 < value <= 12 and rng.random() < 0.3:
        return NUMBERS[value]
    if kind.base == "money" and isinstance(value, float):
        return f"{value:,.2f}" if rng.random() < 0.6 else f"{value:.2f}"
    amount = kind.base == "money" or (kind.numeric and kind.unit)  # other numbers may be years or codes
    return f"{value:,}" if amount and rng.random() < 0.6 else str(value)


def time_forms(value: str) -> list[str]:
    """Ways to say a time of the day that leave nothing open."""
    hour, minute = map(int, value.split(":"))
    twelve = (hour - 1) % 12 + 1
    half = "am" if hour < 12 else "pm"
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    plain = f"{twelve}{f':{minute:02}' if minute else ''}"
    spelt = {0: f"{twelve} o'clock", 15: f"a quarter past {twelve}", 30: f"half past {twelve}"}
    return [value, value, f"{plain} {half}", f"{plain}{half}", f"{spelt.get(minute, plain)} {part}"]


def other_unit(text: str, rng: Random) -> str:
    """`2 hours` → `120 minutes`, now and then."""
    if rng.random() > 0.08:
        return text

    def scaled(match: re.Match[str]) -> str:
        unit, scale = SCALES[match[2]]
        return f"{int(match[1]) * scale} {unit}"

    return re.sub(rf"\b(\d+) ({'|'.join(SCALES)})\b", scaled, text, count=1)


def label(world: World, entity: str, key: str, rng: Random) -> str:
    """How people speak of the record."""
    made = world.app.entities[entity]
    row = world.tables[entity][key]

    def value(path: Sequence[str]) -> str:
        owner, at = entity, key
        for name in path[:-1]:
            kind = world.app.entities[owner].fields[name]
            owner, at = kind.target, world.tables[owner][at][name]
            if at is None:
                return "nobody"
        if path[-1] == "id":
            return at
        kind, held = world.app.entities[owner].fields[path[-1]], world.tables[owner][at][path[-1]]
        if kind.base == "ref":
            return label(world, kind.target, held, rng) if held is not None else "nobody"
        return spoken(kind, held, rng, world.app.today)

    return made.label.fill(value) if row else key


def tidied(text: str) -> str:
    """A filled sentence with its articles and numbers right, and no `on` before `tomorrow`."""
    text = singular(re.sub(r"(?<![\w.,:-])(1|one) (\w+)ies\b", r"\1 \2y", text))
    text = re.sub(
        r"(?<![\w.,:-])(1|one) (\w+) (are|were|have)\b",
        lambda match: f"{match[1]} {match[2]} {ONE[match[3]]}",
        text,
    )
    text = re.sub(rf"\bon (?=({'|'.join(RELATIVE.values())}|(this|next) ({'|'.join(WEEKDAYS)}))\b)", "", text)
    text = re.sub(r"\b([Aa]) (?=[aeio]\w|hour|u(?!ni|s[aeiu]|t[ie])\w|8|1[18]\b)(?!one\b|eu)", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[b-df-gj-np-tv-z][a-z]+)", r"\1 ", text)


def main_clause(text: str) -> str:
    """A wish without what follows its first clause: reasons, values that need not be repeated."""
    return re.split(rf"[,;:] (?!\d{{4}}\b|(?:{'|'.join(MONTHS)})\b)| \(", text, maxsplit=1)[0]


def without_underscores(text: str) -> str:
    """`is handed_in` → `is handed in`."""
    return re.sub(r"(?<=[a-z])_(?=[a-z])", " ", text)


def upper_first(text: str) -> str:
    """But not of an address or a name such as `map-tiles`."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+('\w+)?[ ,.;:!?]|[a-z]+$", text) else text


def lower_first(text: str) -> str:
    """But not of a name or an id."""
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first[1:].islower() or first == "I" or len(first) == 1 else text
