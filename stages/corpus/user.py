"""The user's own files: parquet with a `text` column, jsonl with a `text` key, plain text."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.corpus.document import Document
from stages.harness.errors import InputError

LICENSE = "user"


def documents(path: Path) -> Iterator[Document]:
    """Documents of one file; optional columns `title` and `license` are kept.

    Raises:
        InputError: missing, of an unknown kind, unreadable, or without text; the line names file and row.
    """
    if not path.is_file():
        raise InputError(f"corpus.paths: {path}: not found")
    readers = {".parquet": _parquet, ".jsonl": _jsonl, ".txt": _txt}
    if path.suffix not in readers:
        raise InputError(f"corpus.paths: {path}: only {', '.join(readers)} are read")
    yield from readers[path.suffix](path)


def _document(path: Path, row: int, value: dict[str, object]) -> Document:
    text = value.get("text")
    if not isinstance(text, str):
        raise InputError(f"corpus.paths: {path}: row {row}: no text")
    title, licence = value.get("title"), value.get("license")
    return Document(
        f"user/{path.name}/{row}",
        title if isinstance(title, str) else f"{path.name} {row}",
        text,
        f"user:{path.name}",
        licence if isinstance(licence, str) else LICENSE,
    )


def _parquet(path: Path) -> Iterator[Document]:
    try:
        file = pq.ParquetFile(path)
        if "text" not in file.schema_arrow.names:
            raise InputError(f"corpus.paths: {path}: no column 'text'; columns: {', '.join(file.schema_arrow.names)}")
        columns = [name for name in ("text", "title", "license") if name in file.schema_arrow.names]
        row = 0
        for batch in file.iter_batches(columns=columns):
            for value in batch.to_pylist():
                yield _document(path, row, value)
                row += 1
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"corpus.paths: {path}: not a readable parquet file: {reason}") from None


def _jsonl(path: Path) -> Iterator[Document]:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise InputError(f"corpus.paths: {path}: line {number}: not JSON: {error}") from None
            if not isinstance(value, dict):
                raise InputError(f"corpus.paths: {path}: line {number}: no JSON object")
            yield _document(path, number, value)


def _txt(path: Path) -> Iterator[Document]:
    try:
        yield _document(path, 0, {"text": path.read_text(encoding="utf-8")})
    except UnicodeDecodeError as error:
        raise InputError(f"corpus.paths: {path}: not UTF-8: {error}") from None
