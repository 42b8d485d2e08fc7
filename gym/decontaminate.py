"""Overlap with benchmarks: word n-grams of texts, and names of declared functions, that both have. Only hashes of a
benchmark are ever kept.

What many items of a benchmark have in common is its template (instructions, examples shown before each question), which
innocent texts quote too: it doesn't count, and no n-gram reaches across it.
"""

import hashlib
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gym.tasksets.task import Task

N = 13
START = 3  # words by which a place is looked at more closely
WHOLE = b"whole"  # keeps hashes of whole texts apart from those of n-grams
TOOL = b"tool"  # and those of functions' names
WORD = re.compile(r"[^\W_]+")  # `_blue_` is Markdown
UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# A run of so many words is template when it stands in so many of n items: of most, or, a longer one, of a few dozen.
SHORT_RUN, LONG_RUN = 6, 13


def _short_run_items(n: int) -> int:
    return max(3, round(0.3 * n))


def _long_run_items(n: int) -> int:
    return max(3, min(n // 2, 10 + n // 1000))


def words_of(text: str) -> list[str]:
    """Words in lower case, whatever their typography: soft hyphens, ligatures and full width hide none."""
    return WORD.findall(unicodedata.normalize("NFKC", UNSEEN.sub("", text)).lower())


def _hash(words: Sequence[str], person: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8, person=person).digest())


def _start(words: Sequence[str]) -> int:
    return zlib.crc32(" ".join(words[:START]).encode())


def _starts(words: Sequence[str]) -> list[int]:
    """`_start` of every place."""
    found = [zlib.crc32(f"{a} {b} {c}".encode()) for a, b, c in zip(words, words[1:], words[2:], strict=False)]
    return found + [_start(words[place:]) for place in range(len(found), len(words))]


def _tool_hashes(name: str) -> list[int]:
    """Of a function's whole name and of what follows its last dot, without case and separators."""
    forms = dict.fromkeys(re.sub("[^a-z0-9]", "", form.lower()) for form in (name, name.rpartition(".")[2]))
    return [_hash([form], TOOL) for form in forms if form]


def own_runs(items: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    """Of each item the runs of words that are its own, without the template that it shares with others."""
    needed = {SHORT_RUN: _short_run_items(len(items)), LONG_RUN: _long_run_items(len(items))}
    template: dict[int, set[int]] = {}
    for length, enough in needed.items():
        counts = Counter(gram for words in items for gram in set(_runs(words, length)))
        template[length] = {gram for gram, count in counts.items() if count >= enough}
    return [_outside(words, template) for words in items]


def _runs(words: Sequence[str], length: int) -> list[int]:
    return [hash(tuple(words[start : start + length])) for start in range(len(words) - length + 1)]


def _outside(words: Sequence[str], template: dict[int, set[int]]) -> list[list[str]]:
    shared = [False] * len(words)
    for length, grams in template.items():
        for start, gram in enumerate(_runs(words, length)):
            if gram in grams:
                shared[start : start + length] = [True] * length
    runs: list[list[str]] = [[]]
    for word, is_shared in zip(words, shared, strict=True):
        if not is_shared:
            runs[-1].append(word)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


class Index:
    """The n-grams of benchmarks and the names of the functions that they declare, by benchmark.

    A question of fewer than n words of its own, or of a generator, counts as a whole. It is found anywhere in a text
    when it has `shortest` words; with fewer it is too common: a generator's then must be the whole text, others don't
    count.
    """

    def __init__(self, n: int = N, shortest: int = 8) -> None:
        self.n, self.shortest = n, shortest
        self._names: dict[int, str] = {}
        self._wholes: dict[int, set[int]] = {}  # how a whole question begins → the lengths of those that begin so
        # How n-grams begin, so that few places of a text are hashed; None where it isn't known.
        self._begins: set[int] | None = set() if n >= START else None

    def add(self, benchmark: str, texts: Iterable[str], *, whole: bool = False) -> int:
        """Adds a benchmark's questions; gives how many hashes are new.

        Args:
            texts: one of each item, as it is asked.
            whole: compare whole texts, for questions of a generator whose sentences are the same in every question.
        """
        before = len(self._names)
        items = [words_of(text) for text in texts]
        if whole:
            for words in items:
                self._add_whole(benchmark, words)
            return len(self._names) - before
        for words, runs in zip(items, own_runs(items), strict=True):
            long_runs = [run for run in runs if len(run) >= self.shortest]
            if not long_runs and len(words) >= self.shortest:  # its own words are too common: as it is asked, then
                self._add_whole(benchmark, words)
            for run in long_runs:
                if len(run) < self.n:
                    self._add_whole(benchmark, run)
                grams = range(len(run) - self.n + 1)
                for start in grams:
                    self._names.setdefault(_hash(run[start : start + self.n]), benchmark)
                if self._begins is not None:
                    self._begins.update(_starts(run)[: len(grams)])
        return len(self._names) - before

    def _add_whole(self, benchmark: str, words: Sequence[str]) -> None:
        self._names.setdefault(_hash(words, WHOLE), benchmark)
        if len(words) >= self.shortest:
            self._wholes.setdefault(_start(words), set()).add(len(words))

    def add_tools(self, benchmark: str, names: Iterable[str]) -> int:
        """Adds the names of functions that a benchmark declares; gives how many hashes are new."""
        before = len(self._names)
        for name in names:
            for made in _tool_hashes(name):
                self._names.setdefault(made, benchmark)
        return len(self._names) - before

    def tool(self, name: str) -> str | None:
        """The benchmark that declares a function of this name, in whatever case, separators and namespace; or None."""
        return next((self._names[made] for made in _tool_hashes(name) if made in self._names), None)

    def overlap(self, text: str) -> str | None:
        """The benchmark that has an n-gram of the text, or a whole question in it; or None."""
        words = words_of(text)
        if not words:
            return None
        starts = _starts(words)
        places = [
            place
            for place, start in enumerate(starts[: max(1, len(words) - self.n + 1)])
            if self._begins is None or start in self._begins
        ]
        name = self._names.get(_hash(words, WHOLE))
        grams = (_hash(words[place : place + self.n]) for place in places)
        name = name or next((self._names[gram] for gram in grams if gram in self._names), None)
        if name or not self._wholes:
            return name
        for start in range(len(words) - self.shortest + 1):
            for length in self._wholes.get(starts[start], ()):
                name = self._names.get(_hash(words[start : start + length], WHOLE))
                if name is not None and start + length <= len(words):
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
        made._begins = None
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
    for number, text in enumerate(texts):
        parts = [text] if isinstance(text, str) else text
        name = next((name for part in parts if (name := index.overlap(part))), None)
        if name is None:
            kept.append(number)
        else:
            dropped[name] = dropped.get(name, 0) + 1
    return Report(kept, dropped)


def clean_tasks(tasks: Sequence[Task], index: Index) -> tuple[list[Task], dict[str, int]]:
    """Tasks whose messages and tools have no overlap, and how many were dropped for each benchmark."""
    report = decontaminate((spoken_texts(task.messages) for task in tasks), index)
    kept, dropped = [], Counter(report.dropped)
    for task in (tasks[number] for number in report.kept):
        name = next((name for tool in task.tools if (name := index.tool(tool))), None)
        if name is None:
            kept.append(task)
        else:
            dropped[name] += 1
    return kept, dict(dropped)


def spoken_texts(messages: Iterable[Any]) -> list[str]:
    """What users and assistants say in messages, without what tools returned."""
    spoken = (message for message in messages if message["role"] in ("user", "assistant"))
    return [str(message["content"]) for message in spoken if message.get("content")]
