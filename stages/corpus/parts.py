"""Parts on the disk: what of the corpus is ready, and the columns that decide about all of it together.

Only these columns are ever in memory for the whole corpus, one after the other: 8 bytes a document each.
"""

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.corpus.prepare import ROW_GROUP, TEXTS
from stages.harness.batches import batches
from stages.harness.files import write_atomic

FAN_IN = 64  # files that are merged at once
Row = tuple[str, int, str, str, str, str]  # id, number, title, text, source, licence


class Parts:
    """The parts in `folder` in their order; a document's number is its place in all of them.

    Attributes:
        documents: how many documents each file of the user's has.
        short: how many were too short, by source.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.paths: list[Path] = []
        self._sizes: list[int] = []
        self.documents: Counter[str] = Counter()
        self.short: Counter[str] = Counter()

    def path(self, number: int) -> Path:
        """Where a part is, or will be."""
        return self.folder / f"{number:06}.parquet"

    def write(self, number: int, part: bytes) -> None:
        """Keeps a part of `prepare`."""
        with write_atomic(self.path(number)) as tmp:
            tmp.write_bytes(part)

    def open(self, count: int) -> None:
        """Takes up the first `count` parts, all of which have been written."""
        for number in range(count):
            metadata = pq.read_metadata(self.path(number))
            counts = json.loads(metadata.metadata[b"counts"])
            self.paths.append(self.path(number))
            self._sizes.append(metadata.num_rows)
            self.documents.update(counts["documents"])
            self.short.update(counts["short"])

    @property
    def size(self) -> int:
        """How many documents there are."""
        return sum(self._sizes)

    def _starts(self) -> list[int]:
        return np.cumsum([0, *self._sizes])[:-1].tolist() if self._sizes else []

    def columns(self, *names: str) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
        """Part by part: the documents' numbers, and some columns."""
        for path, start in zip(self.paths, self._starts(), strict=True):
            table = pq.read_table(path, columns=["row", *names], use_threads=False)
            yield table["row"].to_numpy() + start, {name: table[name] for name in names}

    def column(self, name: str, kind: type[np.generic]) -> NDArray[Any]:
        """One column of all parts, by number."""
        found = np.empty(self.size, kind)
        for numbers, columns in self.columns(name):
            found[numbers] = columns[name].to_numpy()
        return found

    def rows(self, wanted: Callable[[str, int], bool]) -> Iterator[Row]:
        """Documents in the order of their ids, and of their numbers where ids are equal.

        Args:
            wanted: asked once for each document, with its source and its number.
        """
        streams = [_kept(_rows(path, start), wanted) for path, start in zip(self.paths, self._starts(), strict=True)]
        level = 0
        while len(streams) > FAN_IN:
            groups = [streams[at : at + FAN_IN] for at in range(0, len(streams), FAN_IN)]
            runs = [self.folder / f"run-{level}-{number:06}.parquet" for number in range(len(groups))]
            for run, group in zip(runs, groups, strict=True):
                _write_run(run, heapq.merge(*group))
            streams = [_rows(run, 0) for run in runs]
            level += 1
        return heapq.merge(*streams)


def _rows(path: Path, start: int) -> Iterator[Row]:
    # No buffer ahead: a row group of each file is in memory.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(ROW_GROUP, columns=[*TEXTS, "row"], use_threads=False):
            doc_id, title, text, source, licence = (batch.column(name).to_pylist() for name in TEXTS)
            numbers = (batch.column("row").to_numpy() + start).tolist()
            yield from zip(doc_id, numbers, title, text, source, licence, strict=True)


def _kept(rows: Iterator[Row], wanted: Callable[[str, int], bool]) -> Iterator[Row]:
    return (row for row in rows if wanted(row[4], row[1]))


def _write_run(path: Path, rows: Iterator[Row]) -> None:
    names = ("doc_id", "row", *TEXTS[1:])
    schema = pa.schema([(name, pa.int64() if name == "row" else pa.string()) for name in names])
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as writer:
        for batch in batches(rows, ROW_GROUP, lambda row: 1):
            writer.write_table(pa.table([list(column) for column in zip(*batch, strict=True)], schema=schema))
