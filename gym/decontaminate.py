"""Overlap of texts with benchmarks: word n-grams that both have. Only hashes of a benchmark are ever kept."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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


class Index:
    """The n-grams of benchmarks, by benchmark. Texts with fewer than `shortest` words are too common to count."""

    def __init__(self, n: int = N, shortest: int = 8) -> None:
        self.n, self.shortest = n, shortest
        self._names: dict[int, str] = {}

    def add(self, benchmark: str, texts: Iterable[str]) -> int:
        """Adds a benchmark's questions; gives how many n-grams it has now."""
        before = len(self._names)
        for text in texts:
            if len(WORD.findall(text)) >= self.shortest:
                for gram in ngrams(text, self.n):
                    self._names.setdefault(gram, benchmark)
        return len(self._names) - before

    def overlap(self, text: str) -> str | None:
        """The benchmark that shares an n-gram with the text, or None."""
        return next((self._names[gram] for gram in ngrams(text, self.n) if gram in self._names), None)


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
