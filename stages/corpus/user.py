"""The user's own files: parquet with a column `text`, JSON Lines with a key `text`, plain text; those two also in gzip.

A document's id is its file's path below the folder that all of `corpus.paths` have in common, and its row. A column
`id` isn't looked at: it may repeat from file to file.
"""

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from k2model.chat.model_json import ModelJsonError, loads_model_json
from stages.corpus.document import Document
from stages.harness.errors import InputError
from stages.harness.inputs import files_below

LICENSE = "user"
KINDS = (".parquet", ".jsonl", ".txt", ".jsonl.gz", ".txt.gz")
COLUMNS = ("text", "title", "license")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class UserFile:
    """`path` leads to the file; `name` is the part of it below the common folder, with slashes."""

    path: Path
    name: str


def user_files(paths: Sequence[str]) -> tuple[list[UserFile], list[str]]:
    """Every file that `paths` name, once and in their order; and a line about each that was named again.

    Of a folder, the files of a known kind below it.

    Raises:
        InputError: a path that is missing or of an unknown kind, or a folder without such a file.
    """
    listed = [(file, Path(path)) for path in paths for file in _files_of(Path(path))]
    folders = {_absolute(path if path.is_dir() else path.parent) for _, path in listed}
    common = os.path.commonpath(folders) if folders else ""
    files: list[UserFile] = []
    repeated: list[str] = []
    first: dict[str, Path] = {}
    for file, _ in listed:
        same = first.setdefault(os.path.realpath(file), file)
        if same is not file:
            repeated.append(f"corpus.paths: {file} is the same file as {same}: it is read once")
            continue
        name = os.path.relpath(_absolute(file), common)
        files.append(UserFile(file, os.fsencode(name).decode("utf-8", "backslashreplace")))
    return files, repeated


def _absolute(path: Path) -> str:
    """Links stay as they are: what they are called tells files apart."""
    return os.path.abspath(path)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        below = [file for file in files_below(path) if _kind(file) and not file.name.startswith(".")]
        if not below:
            raise InputError(f"corpus.paths: {path}: a folder without a file {', '.join(KINDS)}")
        return below
    if not path.is_file():
        raise InputError(f"corpus.paths: {path}: not found")
    if not _kind(path):
        raise InputError(f"corpus.paths: {path}: only {', '.join(KINDS)} are read")
    return [path]


def _kind(path: Path) -> str:
    return max((kind for kind in KINDS if path.name.lower().endswith(kind)), key=len, default="")


def documents(file: UserFile) -> Iterator[Document]:
    """Documents of one file; optional columns `title` and `license` are kept.

    Raises:
        InputError: unreadable, or without text; the line names file and row.
    """
    kind = _kind(file.path)
    rows = _parquet(file.path) if kind == ".parquet" else _jsonl(file.path) if ".jsonl" in kind else _txt(file.path)
    empty = True
    for row, value in rows:
        empty = False
        yield _document(file, row, value)
    if empty:
        raise InputError(f"corpus.paths: {file.path}: no document in it")


def _document(file: UserFile, row: int, value: dict[str, Any]) -> Document:
    text, title, licence = (value.get(column) for column in COLUMNS)
    if not isinstance(text, str):
        _refuse(file.path, f"row {row}: no text")
    return Document(
        f"user/{file.name}/{row}",
        title if isinstance(title, str) else f"{Path(file.name).name} {row}",
        text,
        f"user:{file.name}",
        " ".join(licence.split()) or LICENSE if isinstance(licence, str) else LICENSE,
    )


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InputError(f"corpus.paths: {path}: {reason}") from None


def check_parquet(path: Path) -> pq.ParquetFile:
    """The opened file, which has texts.

    Raises:
        InputError: not parquet, or no column of strings called `text`.
    """
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        _refuse(path, f"not a readable parquet file: {_first_line(error)}")
    if "text" not in schema.names:
        _refuse(path, f"no column 'text'; columns: {', '.join(schema.names)}")
    for column in COLUMNS:
        if schema.names.count(column) > 1:
            _refuse(path, f"more than one column {column!r}")
    kind = schema.field("text").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        _refuse(path, f"column 'text' is {kind}, expected string")
    return file


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    file = check_parquet(path)
    row = 0
    try:
        for batch in file.iter_batches(columns=[name for name in COLUMNS if name in file.schema_arrow.names]):
            for value in _rows(batch, path, row):
                yield row, value
                row += 1
    except (pa.ArrowException, OSError) as error:
        _refuse(path, f"row {row} or after: not readable: {_first_line(error)}")


def _rows(batch: pa.RecordBatch, path: Path, first: int) -> list[dict[str, Any]]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            for column in batch.schema.names:
                try:
                    batch.column(column)[at].as_py()
                except UnicodeDecodeError as error:
                    _refuse(path, f"row {first + at}: column {column!r}: {_not_utf8(error)}")
        raise


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def _read_lines(path: Path) -> Iterator[bytes]:
    """Lines of a file, unpacked where it is gzip, without the mark at its beginning; they end at \\n alone."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as handle:
            for number, line in enumerate(handle):
                if number == 0 and line.startswith(UTF_16):
                    _refuse(path, "row 0: UTF-16, not UTF-8")
                yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
    except (OSError, EOFError, zlib.error) as error:
        _refuse(path, f"not readable: {_first_line(error)}")


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        try:
            value = loads_model_json(line.decode())
        except UnicodeDecodeError as error:
            _refuse(path, f"line {number}: {_not_utf8(error)}")
        except ModelJsonError as error:
            _refuse(path, f"line {number}: {error}")
        if not isinstance(value, dict):
            _refuse(path, f"line {number}: no JSON object")
        yield number, value


def _txt(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    raw = b"".join(_read_lines(path))
    if 0 in raw:
        _refuse(path, f"row 0: not text: a zero byte at {raw.index(0)}; is it UTF-16?")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        _refuse(path, f"row 0: {_not_utf8(error)}")
    if text.strip():
        yield 0, {"text": text}
