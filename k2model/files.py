"""Files that are either whole or absent, and the hashes that name them. Knows nothing of what is in them."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "manifest.json"  # of a folder that is written whole, and the last file of it


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_tree(paths: Iterable[Path]) -> str:
    """Hex sha256 over the names and contents of files and of all files below folders.

    Compiled files and hidden temporary files don't count.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" in file.parts or file.suffix in {".pyc", ".so"} or file.name.startswith("."):
                continue
            digest.update(f"{file.as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def mode_of_folder(path: Path) -> None:
    """Lets those read and write a file who may read and write its folder.

    For files of safetensors, which makes them under a temporary name as the owner's alone, whatever the umask is.
    """
    path.chmod(path.parent.stat().st_mode & 0o666)


def sync(path: Path) -> None:
    """Flushes a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Flushes a file, or every file and folder below a folder and the folder itself."""
    if path.is_dir():
        for inside in sorted(path.rglob("*")):
            if inside.exists():  # not where a link leads nowhere
                sync(inside)
    sync(path)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(new: Path, path: Path) -> None:
    """Renames `new`, a file or a folder that is on the disk, to `path`; what stood there gives way at once."""
    if path.is_dir() and not path.is_symlink():
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        remove(old)
        path.rename(old)
        new.rename(path)
        remove(old)
    else:
        new.replace(path)
    sync(path.parent)


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

    The temporary path may become a file or a folder. When the body fails, it is removed and whatever
    stood at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    remove(tmp)
    try:
        yield tmp
        sync_tree(tmp)
        replace(tmp, path)
    except BaseException:
        remove(tmp)
        raise
