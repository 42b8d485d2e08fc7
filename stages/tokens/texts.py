"""What becomes training text: the corpus, then its accepted rephrasings; a batch of rows in memory at a time."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, REPHRASED, count_rows, read_batches


@dataclass(frozen=True)
class Text:
    """`split` is train or validation."""

    split: str
    text: str
    rephrased: bool


def count_texts(corpus: Path, rephrased: Path, times: int) -> int:
    """How many texts there are, if every rephrasing is accepted."""
    return count_rows(corpus, CORPUS) + times * count_rows(rephrased, REPHRASED)


def texts(corpus: Path, rephrased: Path, times: int) -> Iterator[Text]:
    """Every document, then `times` over every accepted rephrasing of a training document, in the order of the files.

    A rephrasing of a validation document would leak it into training, so it is left out. Of the documents, ids of the
    held-out ones are in memory, and 8 bytes of a hash of every id.

    Raises:
        InputError: a file is missing or has another schema, or a rephrased document isn't in the corpus.
    """
    held: set[str] = set()
    hashes = array("Q")
    for rows in read_batches(corpus, CORPUS, ("doc_id", "text", "split")):
        for row in rows:
            hashes.append(_hash(row["doc_id"]))
            if row["split"] != "train":
                held.add(row["doc_id"])
            yield Text(row["split"], row["text"], rephrased=False)
    known = np.sort(np.array(hashes, np.uint64))
    again = (rows for _ in range(times) for rows in read_batches(rephrased, REPHRASED, ("doc_id", "text", "accepted")))
    for rows in again:
        wanted = np.array([_hash(row["doc_id"]) for row in rows], np.uint64)
        there = np.searchsorted(known, wanted, "left") < np.searchsorted(known, wanted, "right")
        for row, is_there in zip(rows, there.tolist(), strict=True):
            if not is_there:
                raise InputError(f"{rephrased}: document {row['doc_id']!r} isn't in the corpus")
            if row["accepted"] and row["doc_id"] not in held:
                yield Text("train", row["text"], rephrased=True)


def _hash(doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest())
