"""Training checkpoints that survive a kill at any instant, and go on under any other spread over ranks.

A checkpoint is a folder `step-00000100`. Each rank writes the pieces of state that it holds as one safetensors file
into a hidden partial folder; then rank 0 adds the counts as `state.json`, and `manifest.json` with the sha256 of every
file and the file of every piece, and renames the folder. So a folder with that name is whole; a torn disk is caught by
the hashes. A piece is a flat range of a tensor: key `kind|tensor|from|to`. A rank that resumes reads the ranges it
needs out of memory-mapped files, no other.

No pickle: tensors are safetensors, everything else JSON. That is why it isn't torch.distributed.checkpoint, whose
metadata is a pickle, see docs/decisions.md.
"""

import json
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from k2model.errors import CheckpointError, NotFiniteError
from k2model.files import MANIFEST, mode_of_folder, replace, sha256_file, sync, write_atomic
from k2model.formats.checkpoint import check_finite

PREFIX = "step-"
Pieces = Mapping[str, Tensor]


class CheckpointWriter:
    """Writes checkpoints in the background and keeps the newest `keep`. All ranks make it and call it alike.

    `save` copies the tensors, hands them to a thread and returns; it waits only while the one before is still
    being written. A failed write is raised by the next `save` or by `wait`, with the partial folder removed.

    Args:
        folder: holds all checkpoints of a run; shared by the ranks.
        keep: how many intact checkpoints stay.
        background: False writes in the calling thread.
    """

    def __init__(self, folder: Path, *, keep: int = 2, background: bool = True) -> None:
        if keep < 1:
            raise CheckpointError(f"keep must be at least 1, got {keep}")
        self.folder, self.keep, self.background = folder, keep, background
        self.ranks: int = dist.get_world_size() if dist.is_initialized() else 1
        self.rank: int = dist.get_rank() if self.ranks > 1 else 0
        # Of the writing threads alone: their messages must not mix with those of the training.
        self._group = dist.new_group(backend="gloo") if self.ranks > 1 else None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        if self.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            remove_partial(folder)
        if self.ranks > 1:
            dist.barrier(self._group)

    def save(self, step: int, pieces: Pieces, state: Mapping[str, Any]) -> None:
        """Starts writing the checkpoint of `step`; the tensors may be changed once this returns.

        Args:
            pieces: this rank's part, see `key_of`. state: JSON; that of rank 0 counts.

        Raises:
            NotFiniteError: a tensor of this rank holds NaN or infinity; nothing is written.
            OSError, CheckpointError: what went wrong with the checkpoint before.
        """
        self.wait()
        copied = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in pieces.items()}
        for key, tensor in copied.items():
            check_finite(key.split("|")[1], tensor)
        text = json.dumps(state, sort_keys=True)
        self._thread = threading.Thread(target=self._write_caught, args=(step, copied, text), daemon=False)
        self._thread.start()
        if not self.background:
            self.wait()

    def wait(self) -> None:
        """Until the checkpoint in flight is on disk.

        Raises:
            OSError, CheckpointError: what went wrong with it.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write_caught(self, step: int, pieces: dict[str, Tensor], state: str) -> None:
        partial = self.folder / f".{PREFIX}{step:08d}.partial"
        mine: tuple[str, str, list[str]] | Exception
        try:
            mine = self._write_mine(partial, pieces)
        except (OSError, SafetensorError) as error:
            mine = CheckpointError(f"{partial}: rank {self.rank}: {error}") if self.ranks > 1 else error
        everyone = self._exchange(mine)
        failed = next((one for one in everyone if isinstance(one, Exception)), None)
        try:
            if failed is None and self.rank == 0:
                self._finish(partial, step, [one for one in everyone if not isinstance(one, Exception)], state)
        except OSError as error:
            failed = error
        self._error = self._exchange(failed)[0]
        if self._error is not None and self.rank == 0:
            shutil.rmtree(partial, ignore_errors=True)

    def _exchange(self, value: Any) -> list[Any]:
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.ranks
        dist.all_gather_object(values, value, group=self._group)
        return values

    def _write_mine(self, partial: Path, pieces: dict[str, Tensor]) -> tuple[str, str, list[str]]:
        partial.mkdir(parents=True, exist_ok=True)
        file = partial / f"rank-{self.rank:05d}.safetensors"
        save_file(pieces, file)
        mode_of_folder(file)
        sync(file)
        return file.name, sha256_file(file), sorted(pieces)

    def _finish(self, partial: Path, step: int, parts: list[tuple[str, str, list[str]]], state: str) -> None:
        (partial / "state.json").write_text(state)
        sync(partial / "state.json")
        hashes = {name: digest for name, digest, _ in parts} | {"state.json": sha256_file(partial / "state.json")}
        manifest = {"step": step, "sha256": hashes, "pieces": {name: keys for name, _, keys in parts}}
        with write_atomic(partial / MANIFEST) as tmp:
            tmp.write_text(json.dumps(manifest, indent=1))
        replace(partial, self.folder / f"{PREFIX}{step:08d}")
        for old in list_checkpoints(self.folder)[: -self.keep]:
            _remove(old)


def key_of(kind: str, name: str, first: int, last: int) -> str:
    """The key of values `first` to `last` − 1 of one kind of state of the tensor `name`."""
    return f"{kind}|{name}|{first}|{last}"


class CheckpointReader:
    """The pieces of a verified checkpoint; only what is asked for is read."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        manifest = _manifest(checkpoint)
        self._places: dict[tuple[str, str], list[tuple[int, int, str, str]]] = {}
        for file, keys in manifest["pieces"].items():
            for key in keys:
                kind, name, first, last = key.split("|")
                self._places.setdefault((kind, name), []).append((int(first), int(last), file, key))
        self._files: dict[str, Any] = {}
        self.state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())

    @torch.no_grad()
    def fill(self, kind: str, name: str, first: int, out: Tensor) -> None:
        """Reads the values of `out` (flat), which begin at `first` in the tensor.

        Raises:
            CheckpointError: some of them aren't there.
        """
        filled, last = 0, first + out.numel()
        for low, high, file, key in self._places.get((kind, name), []):
            a, b = max(low, first), min(high, last)
            if a < b:
                out[a - first : b - first] = self._open(file).get_slice(key)[a - low : b - low].to(out.device)
                filled += b - a
        if filled != out.numel():
            raise CheckpointError(f"{self.checkpoint}: {kind} of {name}: {filled} of {out.numel()} values found")

    def _open(self, file: str) -> Any:
        if file not in self._files:
            self._files[file] = safe_open(self.checkpoint / file, framework="pt")
        return self._files[file]


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, oldest first, whole or corrupted."""
    return sorted(p for p in folder.glob(f"{PREFIX}*") if p.is_dir() and p.name[len(PREFIX) :].isdigit())


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint folder's name."""
    return int(checkpoint.name[len(PREFIX) :])


def remove_partial(folder: Path) -> None:
    """Removes what a killed writer left behind."""
    for ending in ("partial", "removed", "old-*"):
        for left in folder.glob(f".{PREFIX}*.{ending}"):
            shutil.rmtree(left)


def _manifest(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        dict(manifest["sha256"])
        dict(manifest["pieces"])
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a manifest: {error}") from None
    return manifest


def verify(checkpoint: Path, rank: int = 0, ranks: int = 1) -> None:
    """Checks every file against the manifest, and every number to be finite; a rank of several checks its share.

    Raises:
        CheckpointError: names the file that is missing, differs or holds NaN or infinity.
    """
    for name, digest in sorted(_manifest(checkpoint)["sha256"].items())[rank::ranks]:
        file = checkpoint / name
        if not file.exists():
            raise CheckpointError(f"{file}: not found")
        if sha256_file(file) != digest:
            raise CheckpointError(f"{file}: sha256 differs from {MANIFEST}")
        if file.suffix == ".safetensors":
            _verify_finite(file)


def _verify_finite(file: Path) -> None:
    try:
        with safe_open(file, framework="pt") as handle:
            for name in list(handle.keys()):
                check_finite(name, handle.get_tensor(name))
    except (OSError, SafetensorError, NotFiniteError) as error:
        raise CheckpointError(f"{file}: {error}") from None


def newest_intact(
    folder: Path, rank: int = 0, ranks: int = 1, gather: Callable[[str | None], list[str | None]] = lambda one: [one]
) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint, and one line for every newer one that is corrupted.

    Args:
        rank, ranks: who share the work. gather: every rank's value, on every rank.
    """
    problems: list[str] = []
    for checkpoint in reversed(list_checkpoints(folder)):
        problem: str | None = None
        try:
            verify(checkpoint, rank, ranks)
        except CheckpointError as error:
            problem = str(error)
        found = next(filter(None, gather(problem)), None)
        if found is None:
            return checkpoint, problems
        problems.append(found)
    return None, problems


def _remove(checkpoint: Path) -> None:
    # Renamed first: a kill in the middle must not leave a half-empty folder under a checkpoint's name.
    gone = checkpoint.with_name(f".{checkpoint.name}.removed")
    checkpoint.rename(gone)
    shutil.rmtree(gone)
