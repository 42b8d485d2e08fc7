"""Which files `corpus.paths` names: files, folders, patterns with `*` and `**`, and the same on S3.

A document's id is its file's path below the folder that all paths have in common, and its row; on S3 it is the object's
whole name, which no other path changes.
"""

import glob
import gzip
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from stages.harness.errors import InputError
from stages.harness.inputs import InputPath, files_below

KINDS = (".parquet", ".jsonl", ".txt", ".jsonl.gz", ".txt.gz", ".jsonl.zst", ".txt.zst")
S3 = "s3://"
WILDCARD = re.compile(r"[*?\[]")


class TextPath(InputPath):
    """A file, a folder, or a pattern of the user's, which depends on the folder that it begins with; or an S3 URL."""

    def path(self) -> Path | None:
        if self.startswith(S3):
            return None  # what lies there isn't hashed
        return Path(self) if os.path.lexists(self) else _fixed_part(self)


@dataclass(frozen=True)
class UserFile:
    """`path` leads to the file, or is its S3 URL; `name` is what its documents are called after, with slashes."""

    path: str
    name: str

    @property
    def kind(self) -> str:
        return _kind(self.path)

    def open(self) -> BinaryIO:
        """The bytes, unpacked where the name says that they are packed.

        Raises:
            OSError: it can't be opened.
        """
        # The caller closes what is around it.
        raw: Any = _s3(self.path)[0].open_input_stream(_key(self.path)) if self.on_s3 else open(self.path, "rb")  # noqa: SIM115
        if self.kind.endswith(".gz"):
            return cast(BinaryIO, gzip.open(raw))
        return io.BufferedReader(pa.CompressedInputStream(raw, "zstd") if self.kind.endswith(".zst") else raw)

    def seekable(self) -> Any:
        """What a reader of parquet opens.

        Raises:
            OSError: it can't be opened.
        """
        return _s3(self.path)[0].open_input_file(_key(self.path)) if self.on_s3 else self.path

    @property
    def on_s3(self) -> bool:
        return self.path.startswith(S3)

    def stamp(self) -> list[Any]:
        """What changes when the file does: its path, size and time of change.

        Raises:
            OSError: it is gone.
        """
        if self.on_s3:
            info = _s3(self.path)[0].get_file_info(_key(self.path))
            return [self.path, info.size, info.mtime_ns]
        stat = os.stat(self.path)
        return [self.path, stat.st_size, stat.st_mtime_ns]


def user_files(paths: Sequence[str]) -> tuple[list[UserFile], list[str]]:
    """Every file that `paths` name, once and in their order; and a line about each that was named again.

    Of a folder or a pattern, the files of a known kind.

    Raises:
        InputError: a path that is missing or of an unknown kind, or a folder or pattern without such a file.
    """
    listed: list[str] = []
    folders: set[str] = set()
    for path in paths:
        listed += _on_s3(path) if path.startswith(S3) else _here(path)
        if not path.startswith(S3):
            fixed = Path(path) if os.path.lexists(path) else _fixed_part(path)
            folders.add(os.path.abspath(fixed if fixed.is_dir() else fixed.parent))
    common = os.path.commonpath(folders) if folders else ""
    files: list[UserFile] = []
    repeated: list[str] = []
    first: dict[str, str] = {}
    for path in listed:
        same = first.setdefault(path if path.startswith(S3) else os.path.realpath(path), path)
        if same is not path:
            repeated.append(f"corpus.paths: {path} is the same file as {same}: it is read once")
        elif path.startswith(S3):
            files.append(UserFile(path, f"s3/{_key(path)}"))
        else:
            # Links stay as they are: what they are called tells files apart.
            name = os.path.relpath(os.path.abspath(path), common)
            files.append(UserFile(path, os.fsencode(name).decode("utf-8", "backslashreplace")))
    return files, repeated


def _fixed_part(pattern: str) -> Path:
    """The folder that a pattern begins with; a path without wildcards as it is."""
    parts = Path(pattern).parts
    at = next((number for number, part in enumerate(parts) if WILDCARD.search(part)), len(parts))
    return Path(*parts[:at])


def _here(path: str) -> list[str]:
    if not os.path.lexists(path) and WILDCARD.search(path):
        matched = [Path(match) for match in sorted(glob.glob(path, recursive=True))]
        found = [file for match in matched if match.is_file() for file in [match] if _kind(file.name)]
        if not found:
            raise InputError(f"corpus.paths: {path}: no file {', '.join(KINDS)} matches")
        return [str(file) for file in found]
    if os.path.isdir(path):
        below = [file for file in files_below(Path(path)) if _kind(file.name) and not file.name.startswith(".")]
        if not below:
            raise InputError(f"corpus.paths: {path}: a folder without a file {', '.join(KINDS)}")
        return [str(file) for file in below]
    if not os.path.isfile(path):
        raise InputError(f"corpus.paths: {path}: not found")
    if not _kind(path):
        raise InputError(f"corpus.paths: {path}: only {', '.join(KINDS)} are read")
    return [str(Path(path))]


def _kind(path: str) -> str:
    name = path.partition("?")[0] if path.startswith(S3) else path
    return max((kind for kind in KINDS if name.lower().endswith(kind)), key=len, default="")


def _key(url: str) -> str:
    """Bucket and key."""
    return url.removeprefix(S3).partition("?")[0].rstrip("/")


def _s3(url: str) -> tuple[fs.FileSystem, str]:
    """The file system of an S3 URL, whose query may name `endpoint_override`, `scheme` and `region`, and the query.

    Keys come from where AWS' own tools take them: the environment, `~/.aws`, the machine's role.
    """
    query = url.partition("?")[2]
    if "@" in _key(url).partition("/")[0]:
        raise InputError("corpus.paths: keys of S3 stand in the environment (AWS_ACCESS_KEY_ID), not in the URL")
    try:
        found, _ = fs.FileSystem.from_uri(f"{S3}{_key(url).partition('/')[0]}" + (f"?{query}" if query else ""))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"corpus.paths: {url}: {str(error).partition(chr(10))[0]}") from None
    return found, query


def _on_s3(url: str) -> list[str]:
    store, query = _s3(url)
    key = _key(url)
    base = str(_fixed_part(key))
    try:
        info = store.get_file_info(base)
        if info.type == fs.FileType.File:
            found = [base]
        elif info.type == fs.FileType.NotFound:
            raise InputError(f"corpus.paths: {url}: not found")
        else:
            every = store.get_file_info(fs.FileSelector(base, recursive=True))
            found = sorted(each.path for each in every if each.type == fs.FileType.File)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"corpus.paths: {url}: {str(error).partition(chr(10))[0]}") from None
    if base != key:
        pattern = re.compile(_expression(key))
        found = [name for name in found if pattern.fullmatch(name)]
    kept = [name for name in found if _kind(name)]
    if not kept:
        raise InputError(f"corpus.paths: {url}: no file {', '.join(KINDS)} there")
    return [f"{S3}{name}" + (f"?{query}" if query else "") for name in kept]


def _expression(pattern: str) -> str:
    """A pattern as a regular expression: `*` stays within a folder, `**/` is any folders."""
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(wild.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*)", pattern))
