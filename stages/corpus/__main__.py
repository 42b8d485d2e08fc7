"""`python -m stages.corpus`: real, licensed text, cleaned, deduplicated and split; closed-book facts.

Documents are read as a stream and prepared in pieces, which become parts on the disk; what is a duplicate is decided on
columns of numbers; then the parts are merged into the corpus. A run that was killed finds the parts that it had.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from stages.corpus import debian, factbook, python_docs, user, wikipedia
from stages.corpus.card import data_card
from stages.corpus.deduplicate import EXACT, KEPT, verdicts
from stages.corpus.document import Document, Fact
from stages.corpus.files import UserFile, user_files
from stages.corpus.params import CorpusParams
from stages.corpus.parts import Parts
from stages.corpus.prepare import Piece, Recipe, pieces, prepare_numbered
from stages.corpus.sketch import band_sizes
from stages.corpus.writing import write_corpus
from stages.harness.arguments import no_arguments
from stages.harness.errors import InputError
from stages.harness.files import fingerprint, write_atomic
from stages.harness.seeds import sub_seed
from stages.harness.stage import Stage
from stages.harness.tables import FACTS, write_table
from stages.harness.workers import in_order
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
SAME, NEARLY = "the same text as another", "nearly the same text as another"
Dropped = Counter[tuple[str, str]]  # (source, reason) → how many documents


def read_source(name: str) -> Iterable[Document]:
    """Every document of a source.

    Raises:
        InputError: it is unknown, or isn't installed.
    """
    if name.startswith("debian:"):
        return debian.documents(name.removeprefix("debian:"))
    if name not in SOURCES:
        raise InputError(f"corpus.sources: unknown source {name!r}; known: {', '.join(SOURCES)}, debian:PACKAGE")
    return SOURCES[name]()


def sample(documents: Iterable[Document], most: int, seed: int, dropped: Dropped) -> list[Document]:
    """At most `most` documents of a source, chosen by the hash of their id, in the order of their ids."""
    own = sorted(documents, key=lambda document: sub_seed(seed, "corpus", "sample", document.doc_id))
    dropped.update((document.source, BEYOND) for document in own[most:])
    return sorted(own[:most], key=lambda document: document.doc_id)


def all_pieces(p: CorpusParams, files: Sequence[UserFile], seed: int, dropped: Dropped) -> Iterator[Piece]:
    """Everything that there is to read: of a source, which is one package, all is in memory; of files a piece."""
    offered = (sample(read_source(name), p.max_docs_per_source, seed, dropped) for name in p.sources)
    yield from pieces(chain.from_iterable(offered))
    yield from pieces(chain.from_iterable(user.stretches(file, user.STRETCH_BYTES) for file in files))


def make_parts(
    stage: Stage[CorpusParams], files: Sequence[UserFile], bands: tuple[int, int], dropped: Dropped
) -> Parts:
    """The parts that are missing are prepared.

    Raises:
        InputError: what can't be read, or a file without a document.
    """
    p = stage.params
    try:
        stamps = [file.stamp() for file in files]
    except OSError as error:
        raise InputError(f"corpus.paths: {error.filename}: can't be read: {error.strerror}") from None
    parts = Parts(stage.work / "parts" / fingerprint(stamps))
    count = 0

    def missing() -> Iterator[tuple[int, Piece]]:
        nonlocal count
        for piece in all_pieces(p, files, stage.common.seed, dropped):
            count += 1
            if not parts.path(count - 1).exists():
                yield count - 1, piece

    recipe = Recipe(p.min_chars, *bands)
    work = partial(prepare_numbered, recipe=recipe)
    for number, part in in_order(work, missing(), stage.common.runner, stage.threads):
        parts.write(number, part)
    parts.open(count)
    if empty := next((file for file in files if not parts.documents[file.path]), None):
        raise InputError(f"corpus.paths: {empty.path}: no document in it")
    dropped.update({(source, SHORT): number for source, number in parts.short.items()})
    return parts


def facts_of(sources: Sequence[str]) -> dict[str, list[Fact]]:
    """What the sources say about each document, whether it is in the corpus or not."""
    facts: dict[str, list[Fact]] = defaultdict(list)
    for name in sources:
        for fact in FACT_SOURCES.get(name, list)():
            facts[fact.doc_id].append(fact)
    return facts


def main() -> None:
    with Stage("corpus", CorpusParams, Track) as stage:
        p, seed = stage.params, stage.common.seed
        dropped = Dropped()
        files, repeated = user_files(p.paths)
        for line in repeated:
            print(line, flush=True)
        bands = band_sizes(p.near_dup_threshold) if p.near_dup_threshold < 1 else (0, 0)
        parts = make_parts(stage, files, bands, dropped)
        verdict = verdicts(parts, p.near_dup_threshold, bands[0])

        def stays(source: str, number: int) -> bool:
            if verdict[number] != KEPT:
                dropped[source, SAME if verdict[number] == EXACT else NEARLY] += 1
            return bool(verdict[number] == KEPT)

        written = write_corpus(
            Path("data/corpus.parquet"), parts.rows(stays), facts_of(p.sources), seed, p.validation_fraction
        )
        write_table(Path("data/facts.parquet"), written.facts, FACTS)
        relations = Counter(str(fact["relation"]) for fact in written.facts)
        with write_atomic(Path("data/corpus_card.md")) as tmp:
            tmp.write_text(data_card(written.entries, relations, dropped, repeated, p.model_dump()), encoding="utf-8")
        documents, size = written.count("documents"), written.count("bytes")
        by_reason: Counter[str] = Counter()
        for (_, reason), number in dropped.items():
            by_reason[reason] += number
        stage.finish(
            f"{documents:,} documents, {size / 1e6:.1f} MB, {len(written.facts):,} facts,"
            f" {sum(dropped.values()):,} dropped",
            metrics={
                "documents": documents,
                "bytes": size,
                "facts": len(written.facts),
                "dropped_beyond": by_reason[BEYOND],
                "dropped_short": by_reason[SHORT],
                "dropped_exact": by_reason[SAME],
                "dropped_near": by_reason[NEARLY],
            },
        )
        shutil.rmtree(parts.folder.parent)


if __name__ == "__main__":
    no_arguments("corpus")
    main()
