"""Which documents are rephrased, in which cells of the style × perspective grid; texts are read as they are needed."""

from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from agents.rephrase.rewrite import RewriteJob
from agents.rephrase.styles import styles_for
from agents.rephrase.text import n_tokens
from stages.harness.errors import InputError
from stages.harness.seeds import rng, sub_seed
from stages.harness.tables import CORPUS, read_batches
from stages.rephrase.params import RephraseParams

CORPUS_FILE = Path("data/corpus.parquet")


def choose(corpus: Path, p: RephraseParams, seed: int) -> np.ndarray:
    """The numbers of the chosen rows of the corpus, ascending.

    Of each source training documents at random, short and long ones, until its budget of tokens is used up; a larger
    budget keeps the documents of a smaller one.

    Raises:
        InputError: no such file, or it has no training document of a source.
    """
    keys, sizes, numbers = ({source: array("Q") for source in p.sources} for _ in range(3))
    number = 0
    for rows in read_batches(corpus, CORPUS, ("doc_id", "text", "source", "split")):
        for row in rows:
            source = row["source"]
            if row["split"] == "train" and source in keys:
                keys[source].append(sub_seed(seed, "rephrase", "document", row["doc_id"]))
                sizes[source].append(n_tokens(row["text"]))
                numbers[source].append(number)
            number += 1
    chosen: list[np.ndarray] = []
    for source, budget in p.sources.items():
        if not keys[source]:
            raise InputError(f"rephrase.sources: {corpus} has no training document of {source}")
        order = np.argsort(np.asarray(keys[source]), kind="stable")
        before = np.cumsum(np.asarray(sizes[source])[order]) - np.asarray(sizes[source])[order]
        chosen.append(np.asarray(numbers[source])[order[before < budget]])
    return np.sort(np.concatenate(chosen))


def chosen_documents(corpus: Path, chosen: np.ndarray) -> Iterator[dict[str, Any]]:
    """The rows with these numbers, in their order."""
    number, wanted = 0, 0
    for rows in read_batches(corpus, CORPUS, ("doc_id", "title", "text", "source")):
        while wanted < len(chosen) and chosen[wanted] < number + len(rows):
            yield rows[int(chosen[wanted]) - number]
            wanted += 1
        number += len(rows)


def grid(row: dict[str, Any], p: RephraseParams, seed: int) -> list[tuple[str, str]]:
    """`versions` cells for a document: styles first in turn, so that versions differ in style before perspective."""
    styles = styles_for(row["text"], tuple(p.styles))
    draw = rng(seed, "rephrase", "grid", row["doc_id"])
    order = [styles[i] for i in draw.permutation(len(styles))]
    voices = [p.perspectives[i] for i in draw.permutation(len(p.perspectives))]
    cells = ((style, turn + index) for turn in range(len(voices)) for index, style in enumerate(order))
    return [(style, voices[at % len(voices)]) for style, at in cells][: p.versions]


def jobs_of(row: dict[str, Any], p: RephraseParams, seed: int) -> list[RewriteJob]:
    """Every version of a document."""
    return [
        RewriteJob(
            doc_id=row["doc_id"],
            title=row["title"],
            text=row["text"],
            style=style,
            perspective=perspective,
            version=version,
            seed=sub_seed(seed, "rephrase", "candidates", row["doc_id"], style, perspective),
            foreign=row["source"] in p.translate,
        )
        for version, (style, perspective) in enumerate(grid(row, p, seed))
    ]


def waves(
    corpus: Path, chosen: np.ndarray, p: RephraseParams, seed: int, shard: int = 0, shards: int = 1
) -> Iterator[list[RewriteJob]]:
    """The jobs of one shard of the chosen documents, so many at a time as are worked on side by side."""
    documents = islice(chosen_documents(corpus, chosen), shard, None, shards)
    jobs = (job for row in documents for job in jobs_of(row, p, seed))
    while wave := list(islice(jobs, p.wave)):
        yield wave
