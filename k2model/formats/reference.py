"""A model folder whose weights stay where they are: `base.json` names the folder, its files, their sizes and hashes.

Configuration and tokenizer stand in the folder itself, so everything but the weights is read as in any other.
"""

import json
from pathlib import Path
from typing import Any

from k2model.errors import CheckpointError
from k2model.expert_parallel import ExpertParallel
from k2model.files import sha256_file, write_atomic
from k2model.formats.shards import INDEX, name_inside, read_json, shard_files, verify_files

REFERENCE = "base.json"


def write_reference(folder: Path, weights: Path) -> None:
    """Writes `base.json` into `folder`, with the sha256 of every shard of the folder `weights`, which it reads once.

    Where `weights` is itself such a folder, the one that it names is named.

    Raises:
        CheckpointError: no shards there, or one that is missing.
    """
    weights = weights_folder(Path(weights)).resolve()
    names = [name for name in (INDEX,) if (weights / name).exists()] + sorted(shard_files(weights))
    files = {}
    for name in names:
        try:
            status = (weights / name).stat()
            files[name] = {
                "bytes": status.st_size,
                "modified": status.st_mtime_ns,
                "sha256": sha256_file(weights / name),
            }
        except OSError as error:
            raise CheckpointError(f"{weights / name}: {error.strerror}") from None
    with write_atomic(Path(folder) / REFERENCE) as tmp:
        tmp.write_text(json.dumps({"path": str(weights), "files": files}, indent=1) + "\n")


def weights_folder(path: Path, parallel: ExpertParallel | None = None) -> Path:
    """The folder of a model's shards: `path` itself, or the one that its `base.json` names.

    Every file's size is checked, and the hash of a file that was written to since the reference was made, as all are
    on another machine.

    Args:
        parallel: its ranks share the work; all must call.

    Raises:
        CheckpointError: the folder moved, a file of it is missing or changed, or `base.json` is none.
    """
    file = path / REFERENCE
    if not file.exists():
        return path
    value = read_json(file)
    weights, files = Path(_text(file, "path", value.get("path"))), value.get("files")
    if not isinstance(files, dict) or not files:
        raise CheckpointError(f"{file}: files: no object that names the shards")
    if not weights.is_dir():
        raise CheckpointError(f"{file}: {weights}: the folder with the weights is not there; it moved or was removed")
    written_to: dict[str, str] = {}
    for name, known in files.items():
        shard = weights / name_inside(file, name)
        if not isinstance(known, dict):
            raise CheckpointError(f"{file}: {name}: {known!r:.80} is no object")
        try:
            status = shard.stat()
        except OSError as error:
            raise CheckpointError(f"{file}: {shard}: {error.strerror}") from None
        if status.st_size != known.get("bytes"):
            size = known.get("bytes")
            raise CheckpointError(f"{file}: {shard}: changed, it has {status.st_size} bytes and had {size!r:.80}")
        if status.st_mtime_ns != known.get("modified"):
            written_to[name] = _text(file, f"{name}: sha256", known.get("sha256"))
    verify_files(weights, written_to, file, parallel)
    return weights


def _text(file: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise CheckpointError(f"{file}: {key}: {value!r:.80} is no text")
    return value
