"""Files that are either whole or absent, and the hashes that name them."""

import csv
import errno
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from k2model import files
from k2model.files import sha256_file as sha256_file
from k2model.files import sha256_tree as sha256_tree
from stages.harness.errors import InputError


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """`k2model.files.write_atomic`, for a stage's outputs.

    Raises:
        InputError: the disk is full.
    """
    try:
        with files.write_atomic(path) as tmp:
            yield tmp
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(f"{path}: the disk is full; nothing was written") from error
        raise


def check_writable(path: Path, name: str) -> None:
    """Refuses a place for outputs before anything is computed; `name` is what the user calls it.

    Raises:
        InputError: nothing can be written there.
    """
    whole = path.resolve()
    above = whole if whole.is_dir() else next(place for place in whole.parents if place.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError:
        raise InputError(f"{name} {path}: {above} is no folder that can be written to") from None


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as sorted, indented JSON; refuses NaN and infinity, which are errors, not metrics."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    with write_atomic(path) as tmp:
        tmp.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows under the keys of the first one."""
    with write_atomic(path) as tmp, tmp.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fingerprint(value: Any) -> str:
    """A short stable name for a JSON value: the first 16 hex digits of sha256 of its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
