"""Overlap of texts with benchmarks: word n-grams that both have. Only hashes of a benchmark are ever kept."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gym.tasksets.task import Task

N = 13
WORD = re.compile(r"\w+")


def ngrams(text: str, n: int = N) -> Iterator[int]:
    """64-bit hashes of the n-grams of lower-case words; a shorter text is one gram of all its words."""
    words = WORD.findall(text.lower())
    if not words:
        return
    for start in range(max(1, len(words) - n + 1)):
        joined = " ".join(words[start : start + n])
        yield int.from_bytes(hashlib.blake2b(joined.encode(), digest_size=8).digest())


def _whole(text: str) -> int:
    """The hash of all words, apart from every n-gram's."""
    joined = " ".join(WORD.findall(text.lower()))
    return int.from_bytes(hashlib.blake2b(joined.encode(), digest_size=8, person=b"whole").digest())


class Index:
    """The n-grams of benchmarks, by benchmark. Texts with fewer than `shortest` words are too common to count."""

    def __init__(self, n: int = N, shortest: int = 8) -> None:
        self.n, self.shortest = n, shortest
        self._names: dict[int, str] = {}

    def add(self, benchmark: str, texts: Iterable[str], *, whole: bool = False) -> int:
        """Adds a benchmark's questions; gives how many hashes it has now.

        Args:
            whole: compare whole texts, for questions of a generator whose sentences are the same in every question.
        """
        before = len(self._names)
        for text in texts:
            if whole:
                self._names.setdefault(_whole(text), benchmark)
            elif len(WORD.findall(text)) >= self.shortest:
                for gram in ngrams(text, self.n):
                    self._names.setdefault(gram, benchmark)
        return len(self._names) - before

    def overlap(self, text: str) -> str | None:
        """The benchmark that has an n-gram of the text, or the whole text; or None."""
        same = self._names.get(_whole(text)) if WORD.search(text) else None
        return same or next((self._names[gram] for gram in ngrams(text, self.n) if gram in self._names), None)

    def rows(self) -> list[dict[str, Any]]:
        """Every hash with its benchmark, in the order of adding."""
        return [{"gram": gram, "benchmark": name} for gram, name in self._names.items()]

    @classmethod
    def of(cls, rows: Iterable[dict[str, Any]]) -> "Index":
        """The index with these rows."""
        made = cls()
        made._names = {int(row["gram"]): str(row["benchmark"]) for row in rows}
        return made


@dataclass(frozen=True)
class Report:
    """What was dropped, by benchmark."""

    kept: list[int]
    dropped: dict[str, int]


def decontaminate(texts: Iterable[str], index: Index) -> Report:
    """Places of the texts without overlap, and how many were dropped for each benchmark."""
    kept: list[int] = []
    dropped: dict[str, int] = {}
    for place, text in enumerate(texts):
        name = index.overlap(text)
        if name is None:
            kept.append(place)
        else:
            dropped[name] = dropped.get(name, 0) + 1
    return Report(kept, dropped)


def clean_tasks(tasks: Sequence[Task], index: Index) -> tuple[list[Task], dict[str, int]]:
    """Tasks whose messages have no overlap, and how many were dropped for each benchmark."""
    found = decontaminate((said(task.messages) for task in tasks), index)
    return [tasks[place] for place in found.kept], found.dropped


def said(messages: Iterable[Any]) -> str:
    """What stands in messages, without what tools returned."""
    return "\n".join(str(one.get("content") or "") for one in messages if one["role"] in ("user", "assistant"))
