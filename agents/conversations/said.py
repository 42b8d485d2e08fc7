"""Whether a text says a value: numbers by value, days and times in any form that leaves nothing open, words as they
are."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
COUNTS = {word: number for number, word in enumerate(UNITS)}
COUNTS |= {word: 20 + 10 * k for k, word in enumerate(TENS)}
COUNTS |= {f"{ten}-{UNITS[k]}": 20 + 10 * number + k for number, ten in enumerate(TENS) for k in range(1, 10)}
COUNTS |= {"none": 0, "nothing": 0, "single": 1, "once": 1, "twice": 2}

_MONTH = "|".join(f"{month}|{month[:3]}\\b\\.?" for month in MONTHS)
_ISO = re.compile(r"\b(\d{4})[-/](\d\d?)[-/](\d\d?)\b")
_DOTTED = re.compile(r"\b(\d\d?)\.(\d\d?)\.(\d{4})\b")
_DAY_FIRST = re.compile(rf"\b(\d\d?)(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?:,? (\d{{4}}))?\b")
_MONTH_FIRST = re.compile(rf"\b({_MONTH}) (\d\d?)(?:st|nd|rd|th)?\b(?:,? (\d{{4}})\b)?")
_AWAY = re.compile(r"\bin (\w+(?:-\w+)?) days?\b|\b(\w+(?:-\w+)?) days? from (?:now|today)\b")
_RELATIVE = {"day after tomorrow": 2, "day before yesterday": -2, "tomorrow": 1, "today": 0, "yesterday": -1}
_WEEKDAY = re.compile(rf"\b(?:(this|next|on|coming) )({'|'.join(WEEKDAYS)})\b")
_CLOCK = re.compile(
    r"(?<!past )\b(\d{1,2})(?:[:.](\d\d))?\s?(am|pm|a\.m\.?|p\.m\.?|o'clock)?(?![\w:])"
    r"(?:,? in the (morning|afternoon|evening))?"
)
_PAST = re.compile(r"\b(half|a quarter|quarter) past (\d{1,2})\b(?: in the (morning|afternoon|evening)| ?(am|pm))?")
_NUMBER = re.compile(r"(?<![\w.,:+/-])-?(\d{1,3}(?:[,'’\u00a0\u202f ]\d{3})+(?![\d,])|\d+)(\.\d+)?(?![\w:]|[.,]\d)")


def is_said(value: Any, texts: Sequence[str], today: date) -> bool:
    """Whether a stored value stands in the texts."""
    text = re.sub(r"\s+", " ", " \n ".join(texts).casefold().replace("’", "'"))
    if isinstance(value, bool):
        return ("yes" if value else "no") in text
    if isinstance(value, (int, float)):
        return any(abs(number - value) < 0.005 for number in numbers_in(text))
    wanted = str(value).casefold()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", wanted):
        return date.fromisoformat(wanted) in days_in(text, today)
    if re.fullmatch(r"\d\d:\d\d", wanted):
        return wanted in times_in(text)
    if re.fullmatch(r"\+[\d ]+", wanted):
        return re.sub(r"\D", "", wanted) in re.sub(r"[\s().-]", "", text)
    plain = re.sub(r"[_-]", " ", text)
    return stands(wanted, text) or stands(re.sub(r"[_-]", " ", wanted), plain)


def days_in(text: str, today: date) -> set[date]:
    """The days that a text in small letters names; one without a year may be of this, the last or the next."""
    days: set[date] = set()
    for match in _ISO.finditer(text):
        days |= _day(*map(int, match.groups()))
    for match in _DOTTED.finditer(text):
        days |= _day(int(match[3]), int(match[2]), int(match[1]))
    for match in (*_DAY_FIRST.finditer(text), *_MONTH_FIRST.finditer(text)):
        first, second, year = match.groups()
        day, month = (first, second) if first.isdigit() else (second, first)
        for each in [int(year)] if year else range(today.year - 1, today.year + 2):
            days |= _day(each, 1 + [name[:3] for name in MONTHS].index(month[:3]), int(day))
    for match in _AWAY.finditer(text):
        word = match[1] or match[2]
        number = int(word) if word.isdigit() else COUNTS.get(word)
        days |= {today + timedelta(days=number)} if number is not None and number < 4000 else set()
    days |= {today + timedelta(days=away) for word, away in _RELATIVE.items() if re.search(rf"\b{word}\b", text)}
    for match in _WEEKDAY.finditer(text):
        ahead = (WEEKDAYS.index(match[2]) - today.weekday() - 1) % 7 + 1
        days |= {today + timedelta(days=ahead)}
        days |= {today + timedelta(days=ahead + 7)} if match[1] == "next" else set()
    return days


def _day(year: int, month: int, day: int) -> set[date]:
    try:
        return {date(year, month, day)}
    except ValueError:
        return set()


def times_in(text: str) -> set[str]:
    """The times of the day that a text in small letters names, as HH:MM."""
    times: set[str] = set()
    for match in _CLOCK.finditer(text):
        hour, minute, mark, part = match.groups()
        if minute or mark or part:
            times |= _time(int(hour), int(minute or 0), f"{mark or ''} {part or ''}")
    for match in _PAST.finditer(text):
        times |= _time(int(match[2]), 30 if match[1] == "half" else 15, f"{match[3] or ''} {match[4] or ''}")
    return times


def _time(hour: int, minute: int, half: str) -> set[str]:
    if re.search(r"\bp|afternoon|evening", half) and hour < 12:
        hour += 12
    elif re.search(r"\ba\.?m|morning", half) and hour == 12:
        hour = 0
    return {f"{hour:02}:{minute:02}"} if hour < 24 and minute < 60 else set()


def numbers_in(text: str) -> list[float]:
    """The numbers that a text in small letters says, in digits or words; those of days, times and ids are none."""
    for pattern in (_ISO, _DOTTED, _DAY_FIRST, _MONTH_FIRST):
        text = pattern.sub(" ", text)
    text = re.sub(r"\b\d{1,2}:\d\d\b|\b\d{1,2}(?:[:.]\d\d)? ?(?:am|pm|a\.m|p\.m)\b", " ", text)
    numbers = [float(re.sub(r"\D", "", match[1]) + (match[2] or "")) for match in _NUMBER.finditer(text)]
    return numbers + [float(COUNTS[word]) for word in re.findall(r"[a-z]+(?:-[a-z]+)?", text) if word in COUNTS]


def stands(form: str, text: str) -> bool:
    """Whether the text holds the form, and not as a part of a longer word."""
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(form, at + 1)
    return False
