"""What becomes training text: the corpus, then its accepted rephrasings; a batch of rows in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, REPHRASED, count_rows, read_batches


@dataclass(frozen=True)
class Text:
    """`split` is train or validation."""

    split: str
    text: str
    rephrased: bool


def count_texts(corpus: Path, rephrased: Path) -> int:
    """How many rows both tables have."""
    return count_rows(corpus, CORPUS) + count_rows(rephrased, REPHRASED)


def texts(corpus: Path, rephrased: Path) -> Iterator[Text]:
    """Every document, then every accepted rephrasing of a training document, in the order of the files.

    A rephrasing of a validation document would leak it into training, so it is left out.

    Raises:
        InputError: a file is missing or has another schema, or a rephrased document isn't in the corpus.
    """
    split_of: dict[str, str] = {}
    for rows in read_batches(corpus, CORPUS, ("doc_id", "text", "split")):
        for row in rows:
            split_of[row["doc_id"]] = row["split"]
            yield Text(row["split"], row["text"], rephrased=False)
    for rows in read_batches(rephrased, REPHRASED, ("doc_id", "text", "accepted")):
        for row in rows:
            if row["doc_id"] not in split_of:
                raise InputError(f"{rephrased}: document {row['doc_id']!r} isn't in the corpus")
            if row["accepted"] and split_of[row["doc_id"]] == "train":
                yield Text("train", row["text"], rephrased=True)
