"""A piece of the corpus, cleaned and sketched: what workers do, each piece for itself."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.corpus.clean import clean_text
from stages.corpus.document import Document
from stages.corpus.sketch import PERMUTATIONS, band_keys, exact_key, is_prose, signatures
from stages.corpus.user import Stretch, documents
from stages.harness.batches import batches

PIECE_BYTES = 1 << 24  # of what is read; a worker holds some six times as much
ROW_GROUP = 256  # rows of a part that are in memory while parts are merged
TEXTS = ("doc_id", "title", "text", "source", "license")
Piece = list[Document] | list[Stretch]


@dataclass(frozen=True)
class Recipe:
    """`bands` of `rows` values of a signature; no bands where near duplicates stay."""

    min_chars: int
    bands: int
    rows: int


def pieces(items: Iterable[Document] | Iterable[Stretch]) -> Iterator[Piece]:
    """Runs of documents, or of stretches of files, of about `PIECE_BYTES`."""
    yield from batches(items, PIECE_BYTES, _size)  # type: ignore[misc, arg-type]


def _size(item: Document | Stretch) -> int:
    return item.size if isinstance(item, Stretch) else len(item.text)


def prepare(piece: Piece, recipe: Recipe) -> bytes:
    """A part: the piece's cleaned documents with keys and sketches as a parquet file, in the order of their ids.

    `row` says which came first. The file's metadata count what it was made of: `documents` of each file, and those that
    were too `short`, by source.

    Raises:
        InputError: a file of the user's holds something that isn't a text.
    """
    kept: list[Document] = []
    offered: Counter[str] = Counter()
    short: Counter[str] = Counter()
    for document, path in _offered(piece):
        offered[path] += 1
        text = clean_text(document.text)
        if len(text) < recipe.min_chars:
            short[document.source] += 1
        else:
            kept.append(Document(document.doc_id, document.title, text, document.source, document.license))
    prose = np.array([is_prose(document.text) for document in kept], bool)
    found = np.zeros((len(kept), PERMUTATIONS), np.uint32)
    if recipe.bands:
        found[prose] = signatures(document.text for document, is_one in zip(kept, prose, strict=True) if is_one)
    keys = b"".join(exact_key(document.text, bool(is_one)) for document, is_one in zip(kept, prose, strict=True))
    halves = np.frombuffer(keys, np.uint64).reshape(-1, 2)
    of_bands = band_keys(found, recipe.bands, recipe.rows)
    columns = {name: pa.array([getattr(document, name) for document in kept], pa.string()) for name in TEXTS}
    columns |= {
        "row": pa.array(np.arange(len(kept), dtype=np.int64)),
        "key_0": pa.array(halves[:, 0]),
        "key_1": pa.array(halves[:, 1]),
        "prose": pa.array(prose),
        "signature": pa.array([bytes(signature) for signature in found], pa.binary(4 * PERMUTATIONS)),
        **{f"band_{band}": pa.array(of_bands[:, band]) for band in range(recipe.bands)},
    }
    order = sorted(range(len(kept)), key=lambda row: kept[row].doc_id)
    table = pa.table(columns).take(pa.array(order, pa.int64()))
    counts = {"documents": dict(offered), "short": dict(short)}
    sink = pa.BufferOutputStream()
    # Sketches are random numbers: a dictionary or compression would only cost time.
    pq.write_table(
        table.replace_schema_metadata({"counts": json.dumps(counts)}),
        sink,
        row_group_size=ROW_GROUP,
        use_dictionary=["source", "license"],
        compression={name: "zstd" if name in TEXTS else "none" for name in table.schema.names},
        write_statistics=False,
    )
    return bytes(sink.getvalue())


def prepare_numbered(piece: tuple[int, Piece], recipe: Recipe) -> tuple[int, bytes]:
    """`prepare` of a piece that knows its number."""
    return piece[0], prepare(piece[1], recipe)


def _offered(piece: Piece) -> Iterator[tuple[Document, str]]:
    """Every document, and the path of the file that it is from; of a source there is none."""
    for item in piece:
        if isinstance(item, Document):
            yield item, ""
        else:
            yield from ((document, item.file.path) for document in documents(item))
