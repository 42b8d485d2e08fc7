"""The corpus, written while its documents go by in the order of their ids; counts and facts are gathered on the way."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.corpus.document import Fact, split_of
from stages.corpus.parts import Row
from stages.harness.batches import batches
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, write_batches

BATCH_ROWS = 16384  # of a row group
BATCH_CHARS = 1 << 26


@dataclass
class Written:
    """What went into the corpus.

    Attributes:
        entries: (source, licence) → how many `documents` and `bytes`, and how many documents of each split.
        facts: rows of `FACTS`, in the order of their ids.
    """

    entries: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)

    def count(self, what: str) -> int:
        """Over all entries."""
        return sum(entry[what] for entry in self.entries.values())


def write_corpus(
    path: Path, rows: Iterable[Row], facts: Mapping[str, Sequence[Fact]], seed: int, validation_fraction: float
) -> Written:
    """Writes the documents, row group by row group, and picks the facts whose documents hold the answer.

    Args:
        rows: in the order of their ids.
        facts: by document.

    Raises:
        InputError: there is no document, or none in one of the splits; nothing is written then.
    """
    written = Written()
    found = _rows(rows, facts, seed, validation_fraction, written)
    write_batches(path, batches(found, BATCH_CHARS, lambda row: len(row["text"]), most=BATCH_ROWS), CORPUS)
    written.facts.sort(key=lambda fact: str(fact["fact_id"]))
    return written


def _rows(
    rows: Iterable[Row], facts: Mapping[str, Sequence[Fact]], seed: int, validation_fraction: float, written: Written
) -> Iterator[dict[str, Any]]:
    for doc_id, _, title, text, source, licence in rows:
        split = split_of(doc_id, seed, validation_fraction)
        entry = written.entries.setdefault((source, licence), Counter())
        entry.update({"documents": 1, "bytes": len(text.encode()), split: 1})
        written.facts += [_fact_row(fact, split) for fact in facts.get(doc_id, ()) if fact.answer in text]
        yield {"doc_id": doc_id, "title": title, "text": text, "source": source, "license": licence, "split": split}
    documents = written.count("documents")
    if not documents:
        raise InputError("corpus.sources, corpus.paths: no document is left after cleaning: the corpus is empty")
    if not written.count("train") or not written.count("validation"):
        raise InputError(
            f"corpus.validation_fraction: {validation_fraction} leaves one split of {documents} documents empty"
        )


def _fact_row(fact: Fact, split: str) -> dict[str, Any]:
    return {
        "fact_id": f"{fact.doc_id}#{fact.relation}",
        "question": fact.question,
        "answer": fact.answer,
        "aliases": list(fact.aliases),
        "doc_id": fact.doc_id,
        "relation": fact.relation,
        "split": split,
    }
