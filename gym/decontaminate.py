"""Overlap of texts with benchmarks: word n-grams that both have. Only hashes of a benchmark are ever kept."""

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gym.tasksets.task import Task

N = 13
START = 3  # words by which a place is looked at more closely
WHOLE = b"whole"  # keeps hashes of whole texts apart from those of n-grams
WORD = re.compile(r"\w+")


def ngrams(text: str, n: int = N) -> Iterator[int]:
    """64-bit hashes of the n-grams of lower-case words; a shorter text is one gram of all its words."""
    words = WORD.findall(text.lower())
    if not words:
        return
    for start in range(max(1, len(words) - n + 1)):
        yield _hash(words[start : start + n])


def _hash(words: Sequence[str], person: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8, person=person).digest())


def _start(words: Sequence[str]) -> int:
    return zlib.crc32(" ".join(words[:START]).encode())


class Index:
    """The n-grams of benchmarks, by benchmark.

    A question of fewer than n words, or of a generator, counts as a whole. It is found anywhere in a text when it has
    `shortest` words; with fewer it is too common: a generator's then must be the whole text, others don't count.
    """

    def __init__(self, n: int = N, shortest: int = 8) -> None:
        self.n, self.shortest = n, shortest
        self._names: dict[int, str] = {}
        self._wholes: dict[int, set[int]] = {}  # how a whole question begins → the lengths of those that begin so

    def add(self, benchmark: str, texts: Iterable[str], *, whole: bool = False) -> int:
        """Adds a benchmark's questions; gives how many hashes are new.

        Args:
            whole: compare whole texts, for questions of a generator whose sentences are the same in every question.
        """
        before = len(self._names)
        for text in texts:
            words = WORD.findall(text.lower())
            if not whole and len(words) < self.shortest:
                continue
            if whole or len(words) < self.n:
                self._names.setdefault(_hash(words, WHOLE), benchmark)
                if len(words) >= self.shortest:
                    self._wholes.setdefault(_start(words), set()).add(len(words))
                continue
            for gram in ngrams(text, self.n):
                self._names.setdefault(gram, benchmark)
        return len(self._names) - before

    def overlap(self, text: str) -> str | None:
        """The benchmark that has an n-gram of the text, or a whole question in it; or None."""
        words = WORD.findall(text.lower())
        if not words:
            return None
        found = self._names.get(_hash(words, WHOLE))
        found = found or next((self._names[gram] for gram in ngrams(text, self.n) if gram in self._names), None)
        if found or not self._wholes:
            return found
        for place in range(len(words) - self.shortest + 1):
            for length in self._wholes.get(_start(words[place : place + START]), ()):
                name = self._names.get(_hash(words[place : place + length], WHOLE))
                if name is not None and place + length <= len(words):
                    return name
        return None

    def rows(self) -> list[dict[str, Any]]:
        """Every hash with its benchmark; then every whole length with how it begins, under an empty name."""
        grams = [{"gram": gram, "benchmark": name, "words": 0} for gram, name in self._names.items()]
        wholes = sorted((start, length) for start, lengths in self._wholes.items() for length in lengths)
        return grams + [{"gram": start, "benchmark": "", "words": length} for start, length in wholes]

    @classmethod
    def of(cls, rows: Iterable[dict[str, Any]]) -> "Index":
        """The index with these rows."""
        made = cls()
        for row in rows:
            if row["words"]:
                made._wholes.setdefault(int(row["gram"]), set()).add(int(row["words"]))
            else:
                made._names[int(row["gram"])] = str(row["benchmark"])
        return made


@dataclass(frozen=True)
class Report:
    """What was dropped, by benchmark."""

    kept: list[int]
    dropped: dict[str, int]


def decontaminate(texts: Iterable[str | list[str]], index: Index) -> Report:
    """Places of the texts without overlap, and how many were dropped for each benchmark. A text may have parts."""
    kept: list[int] = []
    dropped: dict[str, int] = {}
    for place, text in enumerate(texts):
        parts = [text] if isinstance(text, str) else text
        name = next((name for part in parts if (name := index.overlap(part))), None)
        if name is None:
            kept.append(place)
        else:
            dropped[name] = dropped.get(name, 0) + 1
    return Report(kept, dropped)


def clean_tasks(tasks: Sequence[Task], index: Index) -> tuple[list[Task], dict[str, int]]:
    """Tasks whose messages have no overlap, and how many were dropped for each benchmark."""
    found = decontaminate((said(task.messages) for task in tasks), index)
    return [tasks[place] for place in found.kept], found.dropped


def said(messages: Iterable[Any]) -> list[str]:
    """What users and assistants say in messages, without what tools returned."""
    return [str(one["content"]) for one in messages if one["role"] in ("user", "assistant") and one.get("content")]
