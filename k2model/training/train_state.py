"""Training checkpoints that survive a kill at any instant.

A checkpoint is a folder `step-00000100` of safetensors and JSON files. Every rank writes its own files into a hidden
partial folder; when all have, rank 0 writes `manifest.json` with the sha256 of each and renames the folder. So a
folder with that name is whole; a torn disk is caught by the hashes. Ranks meet through files, not collectives, so
writing runs in a thread beside training.

No pickle: tensors are safetensors, everything else JSON.
"""

import json
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from k2model.errors import CheckpointError, NotFiniteError
from k2model.files import MANIFEST, mode_of_folder, replace, sha256_file, sync, write_atomic
from k2model.formats.checkpoint import check_finite

PREFIX = "step-"
POLL_S = 0.02
PEERS_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Snapshot:
    """What one rank contributes: named groups of tensors (one file each) and, from rank 0, the JSON state."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any] | None


class CheckpointWriter:
    """Writes checkpoints in the background and keeps the newest `keep`.

    `save` copies the tensors, hands them to a thread and returns; it waits only while the one before is still
    being written. A failed write is raised by the next `save` or by `close`, with the partial folder removed.

    Args:
        folder: holds all checkpoints of a run; shared by the ranks.
        keep: how many intact checkpoints stay.
        background: False writes in the calling thread.
    """

    def __init__(self, folder: Path, *, keep: int = 2, rank: int = 0, ranks: int = 1, background: bool = True) -> None:
        if keep < 1:
            raise CheckpointError(f"keep must be at least 1, got {keep}")
        self.folder, self.keep, self.rank, self.ranks, self.background = folder, keep, rank, ranks, background
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if rank == 0:
            remove_partial(folder)

    def save(self, step: int, snapshot: Snapshot) -> None:
        """Starts writing the checkpoint of `step`; the tensors may be changed once this returns.

        Raises:
            NotFiniteError: a tensor holds NaN or infinity; nothing is written.
            OSError, CheckpointError: what went wrong with the checkpoint before.
        """
        self.wait()
        copied = {
            name: {key: tensor.detach().cpu().clone().contiguous() for key, tensor in group.items()}
            for name, group in snapshot.tensors.items()
        }
        for group in copied.values():
            for key, tensor in group.items():
                check_finite(key, tensor)
        state = None if snapshot.state is None else json.dumps(snapshot.state, sort_keys=True)
        self._thread = threading.Thread(target=self._write_caught, args=(step, copied, state), daemon=False)
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

    def _write_caught(self, step: int, tensors: dict[str, dict[str, Tensor]], state: str | None) -> None:
        try:
            self._write(step, tensors, state)
        except (OSError, SafetensorError, CheckpointError) as error:
            self._error = error
            if self.rank == 0:
                shutil.rmtree(self._partial(step), ignore_errors=True)

    def _partial(self, step: int) -> Path:
        return self.folder / f".{PREFIX}{step:08d}.partial"

    def _write(self, step: int, tensors: dict[str, dict[str, Tensor]], state: str | None) -> None:
        partial, final = self._partial(step), self.folder / f"{PREFIX}{step:08d}"
        partial.mkdir(parents=True, exist_ok=True)
        hashes = {}
        for name, group in sorted(tensors.items()):
            file = partial / f"{name}-{self.rank:05d}.safetensors"
            save_file(group, file)
            mode_of_folder(file)
            sync(file)
            hashes[file.name] = sha256_file(file)
        if state is not None:
            file = partial / "state.json"
            file.write_text(state)
            sync(file)
            hashes[file.name] = sha256_file(file)
        with write_atomic(partial / f"rank-{self.rank:05d}.json") as tmp:
            tmp.write_text(json.dumps(hashes))
        if self.rank != 0:
            return
        everything: dict[str, str] = {}
        for rank in range(self.ranks):
            everything |= json.loads(_wait_for(partial / f"rank-{rank:05d}.json").read_text())
        for rank in range(self.ranks):
            (partial / f"rank-{rank:05d}.json").unlink()
        manifest = {"step": step, "ranks": self.ranks, "sha256": everything}
        with write_atomic(partial / MANIFEST) as tmp:
            tmp.write_text(json.dumps(manifest, indent=1))
        replace(partial, final)
        for old in list_checkpoints(self.folder)[: -self.keep]:
            _remove(old)


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


def verify(checkpoint: Path) -> dict[str, Any]:
    """Checks every file against the manifest, and every number to be finite, and returns the manifest.

    Raises:
        CheckpointError: names the file that is missing, differs or holds NaN or infinity.
    """
    path = checkpoint / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        wanted = dict(manifest["sha256"])
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a manifest: {error}") from None
    for name, digest in wanted.items():
        file = checkpoint / name
        if not file.exists():
            raise CheckpointError(f"{file}: not found")
        if sha256_file(file) != digest:
            raise CheckpointError(f"{file}: sha256 differs from {MANIFEST}")
        if file.suffix == ".safetensors":
            _verify_finite(file)
    return manifest


def _verify_finite(file: Path) -> None:
    try:
        with safe_open(file, framework="pt") as handle:
            for name in list(handle.keys()):
                check_finite(name, handle.get_tensor(name))
    except (OSError, SafetensorError, NotFiniteError) as error:
        raise CheckpointError(f"{file}: {error}") from None


def newest_intact(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint, and one line for every newer one that is corrupted."""
    problems: list[str] = []
    for checkpoint in reversed(list_checkpoints(folder)):
        try:
            verify(checkpoint)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        return checkpoint, problems
    return None, problems


def load_tensors(checkpoint: Path, name: str, ranks: int) -> dict[str, Tensor]:
    """The union over ranks of the tensors saved under `name`.

    Raises:
        CheckpointError: a file can't be read.
    """
    tensors: dict[str, Tensor] = {}
    for rank in range(ranks):
        file = checkpoint / f"{name}-{rank:05d}.safetensors"
        if not file.exists():
            continue
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file}: {error}") from None
    return tensors


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON state of rank 0."""
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())
    return state


def _wait_for(path: Path) -> Path:
    end = time.monotonic() + PEERS_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > end:
            raise CheckpointError(f"{path}: a rank didn't write its part within {PEERS_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    return path


def _remove(checkpoint: Path) -> None:
    # Renamed first: a kill in the middle must not leave a half-empty folder under a checkpoint's name.
    gone = checkpoint.with_name(f".{checkpoint.name}.removed")
    checkpoint.rename(gone)
    shutil.rmtree(gone)
