"""The files of a model folder: its JSON, the index of its shards, their headers and tensors, the manifest.

Shards are opened one at a time and memory-mapped; only what is asked for is read.
"""

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from torch import Tensor

from k2model.errors import CheckpointError
from k2model.expert_parallel import ExpertParallel
from k2model.files import MANIFEST, sha256_file, sync, write_atomic

INDEX = "model.safetensors.index.json"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint folder.

    Raises:
        CheckpointError: missing, unreadable, not UTF-8, not JSON, not an object, or one with a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            names = [name for name, _ in pairs]
            raise CheckpointError(f"{path}: {next(name for name in names if names.count(name) > 1)} stands there twice")
        return value

    try:
        value = json.loads(path.read_bytes().decode(), object_pairs_hook=once)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return value


def one_line(error: BaseException) -> str:
    """What an error says, as one line of bounded length."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def name_inside(file: Path, name: Any) -> str:
    """A file's name that a manifest or an index gives; it must lie in the checkpoint's own folder."""
    if not isinstance(name, str) or not name.isprintable() or name[:1] in ("", "/") or ".." in name.split("/"):
        raise CheckpointError(f"{file}: {name!r:.80} is no name of a file in this folder")
    return name


def write_manifest(folder: Path) -> None:
    """Writes `manifest.json`, the sha256 of every other file, last: a folder without it is not a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        sync(path)
    digests = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    with write_atomic(folder / MANIFEST) as tmp:
        tmp.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")


def verify_manifest(folder: Path, parallel: ExpertParallel | None = None) -> None:
    """Raises CheckpointError when the manifest is none, or a file of it is missing or differs.

    Args:
        parallel: its ranks share the work; all must call.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise CheckpointError(f"{folder}: {MANIFEST} is missing: the checkpoint was not written to its end")
    digests = read_json(path)
    for name, digest in digests.items():
        name_inside(path, name)
        if not isinstance(digest, str):
            raise CheckpointError(f"{path}: {name}: {digest!r:.80} is no sha256")
    verify_files(folder, digests, path, parallel)


def verify_files(folder: Path, digests: Mapping[str, str], said_by: Path, parallel: ExpertParallel | None) -> None:
    """Raises CheckpointError naming the first file whose sha256 isn't the one that `said_by` has for it."""
    rank, size = (parallel.rank, parallel.size) if parallel else (0, 1)
    problems = [_difference(folder / name, digests[name], said_by) for name in sorted(digests)[rank::size]]
    problem = next(filter(None, problems), None)
    if parallel:
        everyones: list[str | None] = [None] * size
        dist.all_gather_object(everyones, problem, group=parallel.group)
        problem = next(filter(None, everyones), None)
    if problem:
        raise CheckpointError(problem)


def _difference(file: Path, digest: str, said_by: Path) -> str | None:
    try:
        if sha256_file(file) != digest:
            return f"{file}: corrupted (sha256 differs from {said_by.name})"
    except FileNotFoundError:
        return f"{file}: missing"
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None


def shard_files(path: Path) -> dict[str, list[str]]:
    """The shards of a checkpoint and the tensors in each, in an order that follows the layers.

    Raises:
        CheckpointError: no shards, or an index that is none.
    """
    index = path / INDEX
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{index}: weight_map: no object that names a file for each tensor")
        files: dict[str, list[str]] = {}
        for name, file in weight_map.items():
            files.setdefault(name_inside(index, file), []).append(name)
        return files
    if not (path / "model.safetensors").exists():
        raise CheckpointError(f"{path}: neither model.safetensors nor {INDEX}")
    with open_shard(path / "model.safetensors") as handle:
        return {"model.safetensors": list(handle.keys())}


def open_shard(path: Path) -> safe_open:
    """A shard, memory-mapped. Raises CheckpointError when it is missing, unreadable or corrupted."""
    try:
        path.stat()
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: corrupted: {one_line(error)}") from None


@dataclass(frozen=True)
class StoredTensor:
    """What a shard's header says; `dtype` is safetensors' name of the type."""

    file: str
    shape: tuple[int, ...]
    dtype: str


def read_headers(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint, unread, in the order of its shards.

    Raises:
        CheckpointError: no shards, one that is corrupted, or one without a tensor that the index says is in it.
    """
    headers: dict[str, StoredTensor] = {}
    for file, names in shard_files(path).items():
        with open_shard(path / file) as handle:
            for name in names:
                try:
                    header = handle.get_slice(name)
                except SafetensorError as error:
                    raise CheckpointError(f"{path / file}: tensor {name}: {one_line(error)}") from None
                headers[name] = StoredTensor(file, tuple(header.get_shape()), header.get_dtype())
    return headers


def read_tensor(handle: safe_open, name: str, path: Path) -> Tensor:
    """A tensor of an open shard. Raises CheckpointError when the shard doesn't have it."""
    try:
        return handle.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: tensor {name}: {one_line(error)}") from None


def read_tensors(
    path: Path, headers: Mapping[str, StoredTensor], names: Container[str]
) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of those of `headers` that are in `names`, each read once, from one open shard at a time."""
    files: dict[str, list[str]] = {}
    for name, header in headers.items():
        if name in names:
            files.setdefault(header.file, []).append(name)
    for file, inside in files.items():
        with open_shard(path / file) as handle:
            for name in inside:
                yield name, read_tensor(handle, name, path / file)
