"""`python -m stages.corpus`: real, licensed text, cleaned, deduplicated and split; closed-book facts."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.corpus import debian, factbook, python_docs, user, wikipedia
from stages.corpus.card import data_card
from stages.corpus.clean import clean, drop_exact, drop_near, split_of
from stages.corpus.document import Document, Fact
from stages.corpus.params import CorpusParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.seeds import sub_seed
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, FACTS, write_table
from stages.tracking.runs import Track

SOURCES: dict[str, Callable[[], Iterable[Document]]] = {
    wikipedia.SOURCE: wikipedia.documents,
    factbook.SOURCE: factbook.documents,
    python_docs.SOURCE: python_docs.documents,
}
FACT_SOURCES: dict[str, Callable[[], Iterable[Fact]]] = {
    wikipedia.SOURCE: wikipedia.facts,
    factbook.SOURCE: factbook.facts,
}


def read_sources(p: CorpusParams, seed: int) -> Iterator[Document]:
    """Documents of every source, at most `max_docs_per_source` of each, chosen by the hash of their id."""
    for name in p.sources:
        if name.startswith("debian:"):
            found = list(debian.documents(name.removeprefix("debian:")))
        elif name in SOURCES:
            found = list(SOURCES[name]())
        else:
            raise InputError(f"corpus.sources: unknown source {name!r}; known: {', '.join(SOURCES)}, debian:PACKAGE")
        found.sort(key=lambda document: sub_seed(seed, "corpus", "sample", document.doc_id))
        yield from sorted(found[: p.max_docs_per_source], key=lambda document: document.doc_id)
    for path in p.paths:
        yield from user.documents(Path(path))


def fact_rows(sources: list[str], rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Facts about documents that are in the corpus and whose text holds the answer."""
    facts = []
    for name in sources:
        for fact in FACT_SOURCES.get(name, list)():
            row = rows.get(fact.doc_id)
            if row is None or fact.answer not in row["text"]:
                continue
            facts.append(
                {
                    "fact_id": f"{fact.doc_id}#{fact.relation}",
                    "question": fact.question,
                    "answer": fact.answer,
                    "aliases": list(fact.aliases),
                    "doc_id": fact.doc_id,
                    "relation": fact.relation,
                    "split": row["split"],
                }
            )
    return sorted(facts, key=lambda fact: fact["fact_id"])


def main() -> None:
    with Stage("corpus", CorpusParams, Track) as stage:
        p, seed = stage.params, stage.common.seed
        read = list(read_sources(p, seed))
        cleaned = clean(read, p.min_chars)
        exact = drop_exact(cleaned)
        kept = drop_near(exact, p.near_dup_threshold)
        if not kept:
            raise InputError("corpus.sources, corpus.paths: no document is left after cleaning: the corpus is empty")
        rows = [
            {
                "doc_id": document.doc_id,
                "title": document.title,
                "text": document.text,
                "source": document.source,
                "license": document.license,
                "split": split_of(document.doc_id, seed, p.validation_fraction),
            }
            for document in sorted(kept, key=lambda document: document.doc_id)
        ]
        if len({row["split"] for row in rows}) < 2:
            raise InputError(
                f"corpus.validation_fraction: {p.validation_fraction} leaves one split of {len(rows)} documents empty"
            )
        facts = fact_rows(p.sources, {row["doc_id"]: row for row in rows})
        counts = {"read": len(read), "cleaned": len(cleaned), "exact duplicates gone": len(exact), "kept": len(kept)}
        write_table(Path("data/corpus.parquet"), rows, CORPUS)
        write_table(Path("data/facts.parquet"), facts, FACTS)
        with write_atomic(Path("data/corpus_card.md")) as tmp:
            tmp.write_text(data_card(rows, facts, counts, p.model_dump()), encoding="utf-8")
        size = sum(len(row["text"].encode()) for row in rows)
        stage.finish(
            f"{len(rows):,} documents, {size / 1e6:.1f} MB, {len(facts):,} facts, {len(read) - len(rows):,} dropped",
            metrics={
                "documents": len(rows),
                "bytes": size,
                "facts": len(facts),
                "dropped_short": len(read) - len(cleaned),
                "dropped_exact": len(cleaned) - len(exact),
                "dropped_near": len(exact) - len(kept),
            },
        )


if __name__ == "__main__":
    main()
