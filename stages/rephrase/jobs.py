"""Which documents are rephrased, and in which cells of the style × perspective grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.rephrase.rewrite import RewriteJob
from agents.rephrase.styles import styles_for
from stages.harness.errors import InputError
from stages.harness.seeds import rng, sub_seed
from stages.harness.tables import CORPUS, read_table
from stages.rephrase.params import RephraseParams

CORPUS_FILE = Path("data/corpus.parquet")


def choose_documents(rows: Sequence[dict[str, Any]], p: RephraseParams, seed: int) -> list[dict[str, Any]]:
    """Training documents of the wanted sources that are short enough, `documents` of them, by the hash of their id.

    A larger `documents` keeps those of a smaller one.
    """
    fit = [
        row
        for row in rows
        if row["split"] == "train" and row["source"] in p.sources and len(row["text"]) <= p.max_document_chars
    ]
    fit.sort(key=lambda row: sub_seed(seed, "rephrase", "document", row["doc_id"]))
    return sorted(fit[: p.documents], key=lambda row: row["doc_id"])


def load_documents(p: RephraseParams, seed: int) -> list[dict[str, Any]]:
    """The chosen documents of `data/corpus.parquet`.

    Raises:
        InputError: there is no corpus, or no document of it fits.
    """
    if not CORPUS_FILE.exists():
        raise InputError(f"{CORPUS_FILE}: not found; run the stage corpus first")
    chosen = choose_documents(read_table(CORPUS_FILE, CORPUS).to_pylist(), p, seed)
    if not chosen:
        raise InputError(
            f"rephrase.sources, rephrase.max_document_chars: no training document of {', '.join(p.sources)} has at most"
            f" {p.max_document_chars} characters"
        )
    return chosen


def grid(row: dict[str, Any], p: RephraseParams, seed: int) -> list[tuple[str, str]]:
    """`versions` cells for a document: styles first in turn, so that versions differ in style before perspective."""
    styles = styles_for(row["text"], tuple(p.styles))
    draw = rng(seed, "rephrase", "grid", row["doc_id"])
    order = [styles[i] for i in draw.permutation(len(styles))]
    voices = [p.perspectives[i] for i in draw.permutation(len(p.perspectives))]
    cells = ((style, turn + index) for turn in range(len(voices)) for index, style in enumerate(order))
    return [(style, voices[at % len(voices)]) for style, at in cells][: p.versions]


def make_jobs(rows: Sequence[dict[str, Any]], p: RephraseParams, seed: int) -> list[RewriteJob]:
    """Every version of every document."""
    return [
        RewriteJob(
            doc_id=row["doc_id"],
            title=row["title"],
            text=row["text"],
            style=style,
            perspective=perspective,
            version=version,
            seed=sub_seed(seed, "rephrase", "candidates", row["doc_id"], style, perspective),
        )
        for row in rows
        for version, (style, perspective) in enumerate(grid(row, p, seed))
    ]
