"""`python -m stages.corpus`: real, licensed text, cleaned, deduplicated and split; closed-book facts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stages.corpus import debian, factbook, python_docs, user, wikipedia
from stages.corpus.card import data_card
from stages.corpus.clean import clean
from stages.corpus.deduplicate import drop_exact, drop_near
from stages.corpus.document import Document, Fact, split_of
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
BEYOND, SHORT = "beyond max_docs_per_source", "shorter than min_chars"
EXACT, NEAR = "the same text as another", "nearly the same text as another"


class Dropped(Counter[tuple[str, str]]):
    """(source, reason) → how many documents."""

    def note(self, before: list[Document], after: list[Document], reason: str) -> list[Document]:
        """Counts what is in `before` and not in `after`; gives `after`."""
        kept = {document.doc_id for document in after}
        self.update((document.source, reason) for document in before if document.doc_id not in kept)
        return after

    def by_reason(self, reason: str) -> int:
        return sum(count for (_, why), count in self.items() if why == reason)


def read_sources(p: CorpusParams) -> list[Document]:
    """Every document of every source."""
    documents: list[Document] = []
    for name in p.sources:
        if name.startswith("debian:"):
            documents += debian.documents(name.removeprefix("debian:"))
        elif name in SOURCES:
            documents += SOURCES[name]()
        else:
            raise InputError(f"corpus.sources: unknown source {name!r}; known: {', '.join(SOURCES)}, debian:PACKAGE")
    return documents


def sample(documents: list[Document], most: int, seed: int) -> list[Document]:
    """At most `most` documents of each source, chosen by the hash of their id, in the order of their ids."""
    chosen: list[Document] = []
    for source in dict.fromkeys(document.source for document in documents):
        own = [document for document in documents if document.source == source]
        own.sort(key=lambda document: sub_seed(seed, "corpus", "sample", document.doc_id))
        chosen += sorted(own[:most], key=lambda document: document.doc_id)
    return chosen


def read_files(paths: Sequence[str]) -> tuple[list[Document], list[str]]:
    """Every document of the user's own files, and a line about each file that was named twice."""
    files, repeated = user.user_files(paths)
    return [document for file in files for document in user.documents(file)], repeated


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
        dropped = Dropped()
        offered = read_sources(p)
        own, repeated = read_files(p.paths)
        for line in repeated:
            print(line, flush=True)
        read = [*dropped.note(offered, sample(offered, p.max_docs_per_source, seed), BEYOND), *own]
        cleaned = dropped.note(read, clean(read, p.min_chars), SHORT)
        exact = dropped.note(cleaned, drop_exact(cleaned), EXACT)
        kept = dropped.note(exact, drop_near(exact, p.near_dup_threshold), NEAR)
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
        write_table(Path("data/corpus.parquet"), rows, CORPUS)
        write_table(Path("data/facts.parquet"), facts, FACTS)
        with write_atomic(Path("data/corpus_card.md")) as tmp:
            tmp.write_text(data_card(rows, facts, dropped, repeated, p.model_dump()), encoding="utf-8")
        size = sum(len(row["text"].encode()) for row in rows)
        stage.finish(
            f"{len(rows):,} documents, {size / 1e6:.1f} MB, {len(facts):,} facts, {sum(dropped.values()):,} dropped",
            metrics={
                "documents": len(rows),
                "bytes": size,
                "facts": len(facts),
                "dropped_beyond": dropped.by_reason(BEYOND),
                "dropped_short": dropped.by_reason(SHORT),
                "dropped_exact": dropped.by_reason(EXACT),
                "dropped_near": dropped.by_reason(NEAR),
            },
        )


if __name__ == "__main__":
    main()
