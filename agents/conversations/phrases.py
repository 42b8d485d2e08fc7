"""Fields and groups of records in words: `the number of seats left for TK190`, `trains from Lyon that are late`."""

import re
from collections.abc import Mapping
from functools import cache

import yaml

from agents.conversations.words import FRAMES
from agents.worlds.application import Entity
from agents.worlds.fields import FieldType
from agents.worlds.surface import plural

STATES = ("status", "state", "stage", "standing")
PREPOSITIONS = (
    "of",
    "for",
    "from",
    "to",
    "on",
    "at",
    "in",
    "with",
    "by",
    "about",
    "against",
    "ending",
    "due",
    "usable",
)
SLOT = re.compile(r"\{(\w+)\}")


@cache
def _names() -> Mapping[str, Mapping[str, str]]:
    names: dict[str, dict[str, str]] = yaml.load((FRAMES / "fields.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    return names


def field_words(name: str, kind: FieldType) -> str:
    """`departs` → `departure date`; empty for a number that is a name or a code."""
    group = kind.base if kind.base in ("date", "time") else "number" if kind.numeric else "other"
    words = _names()[group].get(name, name.replace("_", " "))
    if group in ("date", "time") and not re.search(rf"date|day|deadline|\b{group}\b", words):
        words += f" {group}"
    return words


def counts(words: str, kind: FieldType) -> bool:
    """Whether a field is a number of something: `seats left`, `reward points`."""
    first, *_, last = [*words.split(), ""][:1] + words.split()[-1:] if words else ("", "")
    return kind.base in ("int", "number") and any(map(_is_plural, (first, last)))


def field_phrase(name: str, kind: FieldType) -> str:
    """What is asked for or told: `price`, `number of seats left`."""
    words = field_words(name, kind) or name.replace("_", " ")
    return f"number of {words}" if counts(words, kind) else words


def argument_words(name: str, kind: FieldType, value: str) -> str:
    """A value that replaces another: `3 seats`, `15 May 2026`, `second as the travel class`."""
    words = field_words(name, kind) or name.replace("_", " ")
    if kind.base in ("date", "time"):
        return value
    if kind.numeric and (counts(words, kind) or kind.base == "money" or kind.unit in words.split()):
        return f"{value} {words}" if counts(words, kind) else f"{value} for the {words}"
    if kind.unit:
        return f"{value} {kind.unit}"
    return f"{value} as the {words}"


def of_record(phrase: str, about: str) -> str:
    return f"the {phrase} {'for' if ' of ' in phrase else 'of'} {about}"


def be(phrase: str) -> str:
    return "are" if _is_plural(phrase.split()[-1]) and not phrase.startswith("number of") else "is"


def _is_plural(word: str) -> bool:
    return bool(re.search(r"[^sui]s$", word))


def superlative(name: str, kind: FieldType, *, highest: bool) -> str:
    """`the most seats left`, `the latest departure date`, `the lowest price`."""
    words = field_words(name, kind)
    if kind.base in ("date", "time"):
        return f"the {'latest' if highest else 'earliest'} {words}"
    if counts(words, kind):
        return f"the {'most' if highest else 'fewest' if kind.base == 'int' else 'least'} {words}"
    return f"the {'highest' if highest else 'lowest'} {words}"


def described(entity: Entity, said: Mapping[str, str], *, many: bool) -> tuple[str, str]:
    """Records of which some fields are known, as their label says it, and what the label has no place for.

    Args:
        said: values of fields in words.

    Returns:
        `trains from Lyon to Porto` and `that are cancelled`; without an article.
    """
    head, tails = _label_parts(entity)
    used = {name for name in _slots(" ".join(head)) if name in said}
    words = [said[word[1:-1]] if word[1:-1] in used else word for word in head if word[1:-1] in used or "{" not in word]
    if not words or (head and "{" in head[-1] and head[-1][1:-1] not in used):
        words.append(entity.noun)
    noun = " ".join(words)
    text = noun if not many or _is_plural(noun) else plural(noun)
    for tail in tails:
        if all(name in said for name in _slots(tail)):
            used |= set(_slots(tail))
            text += " " + SLOT.sub(lambda match: said[match[1]], tail)
    return text, " and ".join(_clause(entity, name, said[name], many=many) for name in said if name not in used)


def _label_parts(entity: Entity) -> tuple[list[str], list[str]]:
    """Of `the {color} ticket of {owner} for {train}`: `{color}`, `ticket`; `of {owner}`, `for {train}`."""
    text = entity.label.text
    words = text.removeprefix("the ").split()
    first = next((k for k, word in enumerate(words) if word in PREPOSITIONS), len(words))
    head, tails = words[:first], list[str]()
    for word in words[first:]:
        if word in PREPOSITIONS and (not tails or "{" in tails[-1]):
            tails.append(word)
        else:
            tails[-1] += f" {word}"
    tails = [tail for tail in tails if SLOT.search(tail) and "." not in tail and " that " not in tail]
    slots = [k for k, word in enumerate(head) if "{" in word]
    literal = [k for k, word in enumerate(head) if "{" not in word]
    odd = any(not SLOT.fullmatch(head[k]) or entity.fields[head[k][1:-1]].numeric for k in slots)
    if not text.startswith("the ") or odd or (slots and literal and slots[-1] > literal[-1]):
        return [], tails if text.startswith("the ") else []
    return head, tails


def _slots(text: str) -> list[str]:
    return SLOT.findall(text)


def _clause(entity: Entity, name: str, value: str, *, many: bool) -> str:
    kind, are = entity.fields[name], "are" if many else "is"
    words = field_words(name, kind) or name.replace("_", " ")
    if kind.base == "bool":
        adjective = words.endswith(("ed", "en", "rn", "an"))
        return (
            f"that {are}{'' if value == 'yes' else ' not'} {words}"
            if adjective
            else (f"{'with' if value == 'yes' else 'without'} {words}")
        )
    if name in STATES and kind.base == "enum":
        return f"that {are} {value}"
    if counts(words, kind):
        return f"with {value} {words}"
    return f"whose {words} {be(words)} {value}"
