"""What `params.yaml` names outside the pipeline: files and folders, which stages depend on by content.

A section declares such a value by its type (`paths: list[InputPath]`), and `named_paths` finds it by walking the
values; so no list of keys has to be kept. `stages/inputs.py` writes the hashes where DVC sees them.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from agents.chat.spec import is_endpoint
from stages.harness.errors import InputError
from stages.harness.files import sha256_file, write_json

FOLDER = Path("data/inputs")  # <stage>.json: what the stage's parameters name
PASSED_OVER = {".git", "__pycache__"}  # a look into a repository changes these
SETTLED_NS = 2 * 10**9  # a file that changed this shortly ago may change again within its time stamp


class InputPath(str):
    """A file or a folder of the user's; relative to the root of the checkout."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"format": "path"}

    def path(self) -> Path | None:
        """The path that the value names; None when it names something else."""
        return Path(self)


class ModelSpec(InputPath):
    """A model: the name of one that is built in (`embedded`), a URL, or a folder with a checkpoint."""

    def path(self) -> Path | None:
        if not self or is_endpoint(self):
            return None
        return Path(self) if "/" in self or Path(self).exists() else None


class CommandWord(InputPath):
    """A word of a command, or a URL: `server.py` and `--config=server.json` are files where they exist.

    A folder is not: a command such as `server /home/me` names what it works on, not what it is.
    """

    def path(self) -> Path | None:
        for text in (self, self.rpartition("=")[2]):
            if not is_endpoint(self) and text and Path(text).is_file():
                return Path(text)
        return None


def named_paths(value: Any, key: str) -> Iterator[tuple[str, Path]]:
    """(key, path) of every value below `value` that names a file or folder, existing or not."""
    if isinstance(value, InputPath):
        if (path := value.path()) is not None:
            yield key, path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from named_paths(getattr(value, name), f"{key}.{name}")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from named_paths(item, f"{key}.{name}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from named_paths(item, f"{key}.{index}")


def check_path(key: str, path: Path, root: Path = Path()) -> None:
    """Refuses what can't be an input.

    Raises:
        InputError: it isn't there, is neither file nor folder, or holds the checkout itself.
    """
    if not path.exists():
        raise InputError(f"{key}: {path}: not found{_only_tracked(path, root)}")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{key}: {path}: neither a file nor a folder")
    if root.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{key}: {path}: holds this checkout, which every run changes")


def _only_tracked(path: Path, root: Path) -> str:
    """Why a path that the user has may be missing in the copy in which an experiment runs."""
    parts = root.resolve().parts
    if path.is_absolute() or (".dvc", "tmp", "exps") not in zip(parts, parts[1:], parts[2:], strict=False):
        return ""
    return "; an experiment runs in a copy of what git tracks: write the absolute path"


def files_below(path: Path) -> list[Path]:
    """A file itself, or every file below a folder, links followed, in the order of their names.

    Raises:
        InputError: a folder can't be read.
    """
    if path.is_file():
        return [path]

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: can't be read: {error.strerror}") from None

    files: list[Path] = []
    seen: set[str] = set()
    for folder, folders, names in os.walk(path, followlinks=True, onerror=refuse):
        if (real := os.path.realpath(folder)) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(set(folders) - PASSED_OVER)
        files += [Path(folder, name) for name in names]
    return sorted(file for file in files if file.is_file())


class FileHashes:
    """sha256 of files, remembered in a JSON file by what changes with a file's bytes: inode, size and times."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._known: dict[str, list[Any]] = {}
        self._used: dict[str, list[Any]] = {}
        try:
            self._known = dict(json.loads(store.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # absent or torn: everything is read again
            return

    def of(self, path: Path) -> str:
        """sha256 of the file's bytes.

        Raises:
            OSError: it can't be read.
        """
        stat = path.stat()
        name, mark = os.path.abspath(path), [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        known = self._known.get(name, [])
        digest = str(known[4]) if known[:4] == mark else sha256_file(path)
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED_NS:
            self._used[name] = [*mark, digest]
        return digest

    def save(self) -> None:
        """Keeps what was asked for; the rest is forgotten."""
        if self._used != self._known:
            write_json(self.store, self._used)


def content_hash(key: str, path: Path, hashes: FileHashes, on_file: Callable[[int], None] = lambda size: None) -> str:
    """Hex sha256 of a file, or of the names and contents of all files below a folder.

    Args:
        on_file: told the size of each file in bytes.

    Raises:
        InputError: a file can't be read.
    """
    digest = hashlib.sha256()
    for file in files_below(path):
        try:
            own = hashes.of(file)
            on_file(file.stat().st_size)
        except OSError as error:
            raise InputError(f"{key}: {file}: can't be read: {error.strerror}") from None
        if file == path:
            return own
        digest.update(f"{file.relative_to(path).as_posix()}\0{own}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
