"""Contamination: which share of a benchmark's items stands in what each step of the pipeline gave the model to read.

An item counts when a text has 13 words in a row of it, or, of fewer words, all of them in a row; fewer than eight are
too common, and must be the whole text. What items share with each other is their template and counts nowhere, and a
generator's questions count as wholes, as in gym/decontaminate.py, which takes the overlaps out of training.

Only 64-bit hashes of the items are kept, and one text at a time is read. What an open checkpoint saw before it came
here is not known.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gym.benchmarks.base import Benchmark
from gym.decontaminate import N, own_runs, words_of
from k2model.chat.tokenizer import load_tokenizer
from k2model.training.token_shards import TokenStream
from stages.harness.tables import CORPUS, FACTS, REPHRASED, ROLLOUTS, TRAJECTORIES, read_batches

SHORTEST = 8  # words; a shorter question must be the whole text
GENERATED = ("builtin-", "reasoning-gym-")  # beginnings of data sets' names
BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses modulo 2^64


class Items:
    """The n-grams and whole questions of benchmarks' items; `see` a text, then `shares` says how many items were in it.

    The hash of words w₀ … wₙ₋₁ is Σ idᵢ·BASEⁱ modulo 2^64 over random ids of words, so that those of all places in a
    text are differences of one running sum.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._grams: dict[int, dict[int, list[int]]] = {}  # words in it → hash → the items that have it
        self._names: list[str] = []  # of each item's benchmark
        self._found: dict[int, np.ndarray] = {}  # the hashes of a length, sorted
        self._powers = self._inverses = np.ones(1, np.uint64)
        self.seen: set[int] = set()

    def add(self, name: str, texts: Iterable[str], *, whole: bool) -> None:
        """Adds a benchmark, a text an item.

        Args:
            whole: compare whole questions, for those of a generator.
        """
        items = [words_of(text) for text in texts]
        for words, runs in zip(items, own_runs(items), strict=True):
            number = len(self._names)
            self._names.append(name)
            long = [] if whole else [run for run in runs if len(run) >= SHORTEST]
            for run in long or [words] * bool(words):
                length = len(run) if whole or not long else min(N, len(run))
                ids = np.array([self._ids.setdefault(word, _random(word)) for word in run], np.uint64)
                grams = self._grams.setdefault(length, {})
                for gram in self._hashes(self._sums(ids), np.arange(len(run) - length + 1), length).tolist():
                    grams.setdefault(gram, []).append(number)
        self._found.clear()

    def see(self, text: str) -> None:
        """Notes the items that stand in a text."""
        words = words_of(text)
        ids = np.fromiter((self._ids.get(word, 0) for word in words), np.uint64, len(words))
        known = ids != 0
        if not known.any():
            return
        sums = self._sums(ids)
        breaks = np.concatenate([[-1], np.flatnonzero(~known), [len(words)]])
        longest = int(np.diff(breaks).max()) - 1  # run of words that items have, too
        strangers = np.concatenate([[0], np.cumsum(~known)])
        for length, grams in self._grams.items():
            if length > longest or (length < SHORTEST and length != len(words)):
                continue
            starts = np.flatnonzero(strangers[length:] == strangers[:-length])
            hashes = self._hashes(sums, starts, length)
            wanted = self._sorted(length)
            places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
            for gram in hashes[wanted[places] == hashes].tolist():
                self.seen.update(grams[gram])

    def _sums(self, ids: np.ndarray) -> np.ndarray:
        """Of Σ idᵢ·BASEⁱ, what stands before each place and behind the last."""
        if len(ids) >= len(self._powers):
            self._powers, self._inverses = (_powers(base, 2 * len(ids)) for base in (BASE, pow(BASE, -1, 2**64)))
        return np.concatenate([np.zeros(1, np.uint64), np.cumsum(ids * self._powers[: len(ids)], dtype=np.uint64)])

    def _hashes(self, sums: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        """Of the `length` words from each of `starts` on."""
        hashes: np.ndarray = (sums[starts + length] - sums[starts]) * self._inverses[starts]
        return hashes

    def _sorted(self, length: int) -> np.ndarray:
        if length not in self._found:
            self._found[length] = np.sort(np.array(list(self._grams[length]), np.uint64))
        return self._found[length]

    def shares(self) -> dict[str, float]:
        """Of each benchmark, the share of its items that were seen; then nothing is seen any more."""
        totals: dict[str, list[int]] = {}
        for number, name in enumerate(self._names):
            totals.setdefault(name, []).append(number in self.seen)
        self.seen.clear()
        return {name: sum(found) / len(found) for name, found in totals.items()}


def _powers(base: int, count: int) -> np.ndarray:
    """base⁰ … modulo 2^64."""
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _random(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()) | 1


def items_of(benches: Iterable[Benchmark]) -> Items:
    """Every item of some benchmarks, not only the ones that are asked."""
    items = Items()
    for bench in benches:
        if bench.manifest.name.startswith(GENERATED):
            asked = ("\n".join(str(message["content"]) for message in item.messages[-1:]) for item in bench.items())
            items.add(bench.name, asked, whole=True)
        else:
            items.add(bench.name, bench.texts(), whole=False)
    return items


def steps(data: Path) -> dict[str, Callable[[], Iterator[str]]]:
    """What each step of the pipeline read, by the step's name, a text at a time.

    Demonstrations of tasks are made while SFT runs and stand in no file; the questions of facts do.
    """
    return {
        "corpus": lambda: _column(data / "corpus.parquet", CORPUS, "text", split="train"),
        "rephrased": lambda: _column(data / "rephrased.parquet", REPHRASED, "text", accepted=True),
        "tokens": lambda: _documents(data / "tokens", data / "tokenizer"),
        "trajectories": lambda: _said(_column(data / "trajectories.parquet", TRAJECTORIES, "messages", kept=True)),
        "facts": lambda: _column(data / "facts.parquet", FACTS, "question", split="train"),
        "rl": lambda: _said(_once(_column(data / "rollouts.parquet", ROLLOUTS, "question"))),
    }


def contamination(benches: Iterable[Benchmark], data: Path) -> dict[str, float]:
    """`<benchmark>_contaminated_<step>`: the share of a benchmark's items that stand in what a step read.

    Raises:
        InputError: a file is missing or broken.
    """
    items = items_of(benches)
    metrics: dict[str, float] = {}
    for step, texts in steps(data).items():
        for text in texts():
            items.see(text)
        metrics |= {f"{name}_contaminated_{step}": share for name, share in items.shares().items()}
    return metrics


def _column(path: Path, schema: Any, column: str, **where: Any) -> Iterator[str]:
    for rows in read_batches(path, schema, (column, *where)):
        yield from (row[column] for row in rows if all(row[key] == value for key, value in where.items()))


def _once(texts: Iterable[str]) -> Iterator[str]:
    """The texts without repetitions: each task has many rollouts."""
    seen: set[bytes] = set()
    for text in texts:
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            yield text


def _said(conversations: Iterable[str]) -> Iterator[str]:
    """What stands in each message of conversations in JSON, whoever says it."""
    for conversation in conversations:
        messages: list[Mapping[str, Any]] = json.loads(conversation)
        yield from (str(message["content"]) for message in messages if message.get("content"))


def _documents(shards: Path, tokenizer: Path) -> Iterator[str]:
    """The training documents as pre-training reads them."""
    spoken, stream = load_tokenizer(tokenizer), TokenStream(shards, "train", None)
    for number in range(stream.documents):
        yield spoken.decode(stream.document(number).tolist(), skip_special=True)
