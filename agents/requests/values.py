"""Values of arguments: drawn by what a parameter is, and the ways in which a user says them.

A value that was said can always be recovered: a request never leaves open what the call must hold.
"""

import json
import re
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from agents.tools.everyday import Type, pools
from agents.tools.numbers import whole

MONTHS = "January February March April May June July August September October November December".split()
ISO = re.compile(r"\d{4}-\d\d-\d\d")
DATE_FORMATS = {
    "YYYY-MM-DD": "{y:04}-{m:02}-{d:02}",
    "MM/DD/YYYY": "{m:02}/{d:02}/{y:04}",
    "DD.MM.YYYY": "{d:02}.{m:02}.{y:04}",
}


# ---- drawn ----------------------------------------------------------------------------------------------------------


def draw(kind: Type, rng: Random) -> Any:
    """A plausible value of an everyday parameter; dates are ISO, shares fractions."""
    if kind.base == "list":
        assert kind.item is not None
        count = rng.randint(2, 6) if kind.item.base in ("int", "number") else rng.randint(2, 4)
        drawn = [draw(kind.item, rng) for _ in range(count)]
        return drawn if kind.item.base in ("int", "number") else list(dict.fromkeys(drawn))
    if kind.base == "int":
        return round_int(int(kind.low), int(kind.high), rng)
    if kind.base == "year":
        return rng.randint(int(kind.low), int(kind.high))
    if kind.base == "number":
        return round_number(kind.low, kind.high, rng)
    if kind.base == "share":
        return rng.choice([rng.randint(1, 30), rng.randint(1, 95), rng.randint(2, 30) / 2]) / 100
    if kind.base == "yes":
        return rng.random() < 0.6
    if kind.base == "enum":
        return rng.choice(kind.values)
    if kind.base == "pool":
        return rng.choice(pools()[kind.pool])
    return SHAPES[kind.base](rng)


def round_int(low: int, high: int, rng: Random) -> int:
    """Uneven and round numbers, small and large ones."""
    if low > 0 and high - low > 200 and rng.random() < 0.6:  # as many in tens as in thousands
        value = round(low * (high / low) ** rng.random())
    else:
        value = rng.randint(low, high)
    digits = len(str(abs(value)))
    if digits > 2 and rng.random() < 0.6:
        step = 10 ** rng.randint(1, digits - 1)
        rounded = round(value / step) * step
        if low <= rounded <= high:
            return rounded
    return value


def round_number(low: float, high: float, rng: Random) -> float | int:
    value = rng.uniform(low, high)
    places = rng.choice([0, 1, 1, 2]) if high - low > 2 else rng.choice([1, 2, 2])
    value = min(max(round(value, places), low), high)
    return whole(value)


def _date(rng: Random) -> str:
    return date(rng.randint(1985, 2028), rng.randint(1, 12), rng.randint(1, 28)).isoformat()


def later(day: str, rng: Random) -> str:
    """Some days after an ISO date."""
    return (date.fromisoformat(day) + timedelta(days=rng.randint(1, 21))).isoformat()


def between(first: str, last: str, rng: Random) -> str:
    """A day from one ISO date to another."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return (start + timedelta(days=rng.randint(0, (end - start).days))).isoformat()


def _time(rng: Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.choice(['00', '15', '30', '45', '05', '20'])}"


def _slug(rng: Random) -> str:
    return re.sub(r"[^a-z0-9]+", "-", rng.choice(pools()["tag"]).lower()).strip("-")


def _first(rng: Random) -> str:
    return re.sub(r"[^a-z]", "", rng.choice(pools()["person"]).split()[0].lower()) or "sam"


SHAPES = {
    "date": _date,
    "time": _time,
    "text": lambda rng: rng.choice(pools()[rng.choice(["message", "note", "title"])]),
    "id": lambda rng: rng.choice(
        [
            f"{''.join(rng.choices('ABCDEFGHKLMNPRSTUVWX', k=rng.randint(1, 3)))}-{rng.randint(10, 99999)}",
            f"{rng.choice('abcdefghkmnprstuvwx')}{rng.randint(100, 9999)}",
            f"{_slug(rng)}-{rng.randint(1, 99)}",
            str(rng.randint(10000, 9999999)),
        ]
    ),
    "email": lambda rng: f"{_first(rng)}{rng.choice(['.', '_', ''])}{_first(rng)}@{_slug(rng)}.example",
    "phone": lambda rng: f"+{rng.randint(1, 98)} {rng.randint(100, 999)} {rng.randint(1000000, 9999999)}",
    "url": lambda rng: f"https://{_slug(rng)}.example/{_slug(rng)}",
    "path": lambda rng: (
        rng.choice([f"/home/{_first(rng)}/{_slug(rng)}", f"/data/{_slug(rng)}", "./" + _slug(rng)])
        + rng.choice([".csv", ".txt", ".json", ".pdf", ".png", ""])
    ),
    "seat": lambda rng: f"{rng.randint(1, 38)}{rng.choice('ABCDEF')}",
    "slug": lambda rng: f"{_slug(rng)}-{rng.randint(1, 99)}",
    "timestamp": lambda rng: f"{rng.randint(2023, 2026)}{_date(rng)[4:]}T{_time(rng)}:00Z",
    "clock": lambda rng: f"{_time(rng)}:00Z",
    "uuid": lambda rng: "-".join(f"{rng.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12)),
    "hostname": lambda rng: f"{_slug(rng)}.example",
    "arn": lambda rng: (
        f"arn:aws:{_slug(rng)}:eu-west-1:{rng.randint(10**11, 10**12 - 1)}:{_slug(rng)}-{rng.randint(1, 9)}"
    ),
    "username": lambda rng: f"{_first(rng)}{rng.choice(['', '_', '-'])}{rng.randint(1, 99)}",
    "ip": lambda rng: f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
}


def words(name: str) -> str:
    """`checkInDate`, `check_in_date` → `check in date`."""
    return " ".join(
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
        .replace("_", " ")
        .replace("-", " ")
        .replace(".", " ")
        .lower()
        .split()
    )


# What the last word of a parameter's name says that its value is; pools are named by themselves.
NAMED = {
    word: shape
    for shape, named in {
        "date": "date day timestamp birthday deadline",
        "time": "time",
        "email": "email recipient",
        "phone": "phone",
        "url": "url uri link endpoint website",
        "path": "path file filename directory folder dir",
        "id": "id ids identifier token code key",
        "arn": "arn",
        "uuid": "uuid",
        "username": "user username",
        "ip": "ip host address",
        "text": "message text description comment body content note notes reason summary",
    }.items()
    for word in named.split()
}


# ---- said -----------------------------------------------------------------------------------------------------------


def say(value: Any, rng: Random, *, share: bool = False) -> str:
    """A value as a user writes it.

    Args:
        share: the value is a fraction that people say in percent.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if share:
            percent = round(value * 100, 4)
            return f"{percent:g}{rng.choice(['%', '%', ' percent'])}"
        return say_number(value, rng)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return _say_list(value, rng)
    if ISO.fullmatch(value):
        return say_date(value, rng)
    if re.fullmatch(r"\d\d:\d\d", value) and rng.random() < 0.5:
        hour, minute = map(int, value.split(":"))
        return f"{(hour + 11) % 12 + 1}:{minute:02} {'am' if hour < 12 else 'pm'}"
    return value


def say_number(value: float, rng: Random) -> str:
    if isinstance(value, int) and abs(value) >= 1000:
        if value % 1_000_000 == 0 and rng.random() < 0.6:
            return f"{value // 1_000_000} million"
        if rng.random() < 0.5:
            return f"{value:,}"
    if isinstance(value, int) and 2 <= value <= 10 and rng.random() < 0.12:
        return "two three four five six seven eight nine ten".split()[value - 2]
    return str(value)


def say_date(iso: str, rng: Random) -> str:
    year, month, day = map(int, iso.split("-"))
    ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    name = MONTHS[month - 1]
    return rng.choice(
        [
            iso,
            f"{name} {day}, {year}",
            f"{day} {name} {year}",
            f"{name} {day}{ending}, {year}",
            f"{name[:3]} {day} {year}",
        ]
    )


def written_date(iso: str, form: str) -> str:
    """An ISO date in the format that a parameter asks for, a key of DATE_FORMATS."""
    year, month, day = map(int, iso.split("-"))
    return DATE_FORMATS[form].format(y=year, m=month, d=day)


def iso_date(text: str, form: str) -> str:
    """What `written_date` wrote."""
    order = [part[0] for part in re.split(r"[-/.]", form)]
    number = dict(zip(order, map(int, re.split(r"[-/.]", text)), strict=True))
    return date(number["Y"], number["M"], number["D"]).isoformat()


def _say_list(values: Sequence[Any], rng: Random) -> str:
    said = [value if isinstance(value, str) else str(value) for value in values]
    if rng.random() < 0.35 and not isinstance(values[0], str):
        return f"[{', '.join(said)}]"
    return enumerated(said, rng.choice([" and ", " and ", ", ", ", and "]) if len(said) > 1 else "")


def enumerated(parts: Sequence[str], last: str = " and ") -> str:
    """`a, b and c`; last: what stands before the last of several."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + last + parts[-1]
