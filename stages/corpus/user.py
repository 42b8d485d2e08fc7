"""The user's own files: parquet with a column `text`, JSON Lines with a key `text`, plain text; those two also packed.

A file is read as a stream of stretches, which are small enough to be held and are turned into documents one at a time,
wherever that is done. A column `id` isn't looked at: it may repeat from file to file.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from k2model.chat.model_json import ModelJsonError, loads_model_json
from stages.corpus.document import Document
from stages.corpus.files import UserFile
from stages.harness.errors import InputError

LICENSE = "user"
COLUMNS = ("text", "title", "license")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ROWS = 1024  # of a parquet file at a time
STRETCH_BYTES = 1 << 20  # of lines that are read together


@dataclass(frozen=True)
class Stretch:
    """Some of a file: lines of JSON, rows of a table, or a whole text; `first` is the number of the first of them."""

    file: UserFile
    first: int
    values: list[bytes] | pa.RecordBatch
    size: int  # bytes


def stretches(file: UserFile, most: int) -> Iterator[Stretch]:
    """The file in order, in stretches of about `most` bytes.

    Raises:
        InputError: it can't be read; the line names it.
    """
    if file.kind == ".parquet":
        yield from _batches(file)
    elif file.kind.startswith(".txt"):
        raw = b"".join(_read_lines(file))
        yield Stretch(file, 0, [raw], len(raw))
    else:
        lines: list[bytes] = []
        first, size = 1, 0
        for line in _read_lines(file):
            lines.append(line)
            size += len(line)
            if size >= most:
                yield Stretch(file, first, lines, size)
                first, size, lines = first + len(lines), 0, []
        if lines:
            yield Stretch(file, first, lines, size)


def documents(stretch: Stretch) -> Iterator[Document]:
    """Its documents; optional columns `title` and `license` are kept.

    Raises:
        InputError: something that isn't a text; the line names file and row.
    """
    kind = stretch.file.kind
    rows = _parquet(stretch) if kind == ".parquet" else _jsonl(stretch) if ".jsonl" in kind else _txt(stretch)
    for row, value in rows:
        yield _document(stretch.file, row, value)


def _document(file: UserFile, row: int, value: dict[str, Any]) -> Document:
    text, title, licence = (value.get(column) for column in COLUMNS)
    if not isinstance(text, str):
        _refuse(file, f"row {row}: no text")
    return Document(
        f"user/{file.name}/{row}",
        title if isinstance(title, str) else f"{PurePosixPath(file.name).name} {row}",
        text,
        f"user:{file.name}",
        " ".join(licence.split()) or LICENSE if isinstance(licence, str) else LICENSE,
    )


def _refuse(file: UserFile, reason: str) -> NoReturn:
    raise InputError(f"corpus.paths: {file.path}: {reason}") from None


def check_parquet(file: UserFile) -> pq.ParquetFile:
    """The opened file, which has texts.

    Raises:
        InputError: not parquet, or no column of strings called `text`.
    """
    try:
        opened = pq.ParquetFile(file.seekable())
        schema = opened.schema_arrow
    except (pa.ArrowException, OSError) as error:
        _refuse(file, f"not a readable parquet file: {_first_line(error)}")
    if "text" not in schema.names:
        _refuse(file, f"no column 'text'; columns: {', '.join(schema.names)}")
    for column in COLUMNS:
        if schema.names.count(column) > 1:
            _refuse(file, f"more than one column {column!r}")
    kind = schema.field("text").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        _refuse(file, f"column 'text' is {kind}, expected string")
    return opened


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _batches(file: UserFile) -> Iterator[Stretch]:
    opened = check_parquet(file)
    names = [name for name in COLUMNS if name in opened.schema_arrow.names]
    row = 0
    try:
        for batch in opened.iter_batches(ROWS, columns=names):
            yield Stretch(file, row, batch, batch.nbytes)
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        _refuse(file, f"row {row} or after: not readable: {_first_line(error)}")


def _parquet(stretch: Stretch) -> Iterator[tuple[int, dict[str, Any]]]:
    batch = stretch.values
    assert isinstance(batch, pa.RecordBatch)
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            for column in batch.schema.names:
                try:
                    batch.column(column)[at].as_py()
                except UnicodeDecodeError as error:
                    _refuse(stretch.file, f"row {stretch.first + at}: column {column!r}: {_not_utf8(error)}")
        raise
    yield from enumerate(rows, stretch.first)


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def _read_lines(file: UserFile) -> Iterator[bytes]:
    """Lines of a file, without the mark at its beginning; they end at \\n alone."""
    try:
        with file.open() as handle:
            for number, line in enumerate(handle):
                if number == 0 and line.startswith(UTF_16):
                    _refuse(file, "row 0: UTF-16, not UTF-8")
                yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        _refuse(file, f"not readable: {_first_line(error)}")


def _jsonl(stretch: Stretch) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(stretch.values, stretch.first):
        if not line.strip():
            continue
        try:
            value = loads_model_json(line.decode())
        except UnicodeDecodeError as error:
            _refuse(stretch.file, f"line {number}: {_not_utf8(error)}")
        except ModelJsonError as error:
            _refuse(stretch.file, f"line {number}: {error}")
        if not isinstance(value, dict):
            _refuse(stretch.file, f"line {number}: no JSON object")
        yield number, value


def _txt(stretch: Stretch) -> Iterator[tuple[int, dict[str, Any]]]:
    (raw,) = stretch.values
    if 0 in raw:
        _refuse(stretch.file, f"row 0: not text: a zero byte at {raw.index(0)}; is it UTF-16?")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        _refuse(stretch.file, f"row 0: {_not_utf8(error)}")
    if text.strip():
        yield 0, {"text": text}
