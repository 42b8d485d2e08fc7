"""Token shards on disk, and the endless stream that training reads from them.

A folder of shards holds, for every split, memory-mapped files of token ids, one file with the start of every
document, and `index.json`, written last, which names them with their sizes and sha256.

The stream of a split is every document once per epoch, in an order that only depends on the seed and the epoch.
A place in it is one number, the count of tokens before it, so a run resumes at an exact token, and any number of
ranks, any micro-batch and any sequence length read the same text in the same order.

Axes: B sequence, L position.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from k2model.errors import CheckpointError, ConfigError
from k2model.files import write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

FORMAT = 1
INDEX = "index.json"


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest little-endian unsigned type that holds every id."""
    return np.dtype("<u2") if vocab_size <= 2**16 else np.dtype("<u4")


class ShardWriter:
    """Writes the shards of one folder: `add` documents in order, then `close`.

    A document never straddles two shards. A shard is closed once it holds `shard_tokens` or more. What is added goes to
    the end of files, so a document costs the same however much is there, and only the index is in memory.

    Args:
        progress: a file outside of the folder in which `keep` notes how far it got. Where the file is there already,
            this writer goes on behind the last `keep`, and finished shards aren't touched.

    Attributes:
        note: what the last `keep` was told; None in a folder that is new.

    Raises:
        ConfigError: shard_tokens is not positive; an id is outside the vocabulary.
    """

    def __init__(
        self, folder: Path, *, vocab_size: int, bos: int, shard_tokens: int, progress: Path | None = None
    ) -> None:
        if shard_tokens < 1:
            raise ConfigError(f"shard_tokens: must be at least 1, got {shard_tokens}")
        self.folder, self.vocab_size, self.bos, self.shard_tokens = folder, vocab_size, bos, shard_tokens
        self.dtype = token_dtype(vocab_size)
        self.note: Any = None
        self._progress = progress
        self._splits: dict[str, _Split] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if progress is not None and progress.exists():
            kept = json.loads(progress.read_text(encoding="utf-8"))
            self.note = kept["note"]
            self._splits = {split: _Split(folder, split, self.dtype, state) for split, state in kept["splits"].items()}

    def add(self, split: str, ids: "Sequence[int] | NDArray[Any]") -> None:
        """Appends one document (its ids, with [BOS] and [EOS] where they are wanted) to a split."""
        doc = np.asarray(ids, dtype=np.int64)
        if doc.size == 0:
            return
        if doc.min() < 0 or doc.max() >= self.vocab_size:
            raise ConfigError(f"token id {int(doc.max())} is outside the vocabulary of {self.vocab_size}")
        if split not in self._splits:
            self._splits[split] = _Split(self.folder, split, self.dtype)
        self._splits[split].add(doc, self.shard_tokens)

    def tokens(self, split: str) -> int:
        """Tokens added to a split so far."""
        return self._splits[split].tokens if split in self._splits else 0

    def keep(self, note: Any) -> None:
        """Puts everything on the disk; a writer with the same `progress` goes on here, and finds `note` (JSON)."""
        assert self._progress is not None
        state = {split: writer.keep() for split, writer in self._splits.items()}
        with write_atomic(self._progress) as tmp:
            tmp.write_text(json.dumps({"note": note, "splits": state}), encoding="utf-8")

    def close(self, extra: dict[str, Any] | None = None) -> dict[str, Any]:
        """Writes the last shards and the index; returns the index.

        Args:
            extra: more facts for the index, for example the tokenizer's hash.
        """
        index = {
            "format": FORMAT,
            "dtype": self.dtype.str,
            "vocab_size": self.vocab_size,
            "bos": self.bos,
            "splits": {split: self._splits[split].close() for split in sorted(self._splits)},
            **(extra or {}),
        }
        (self.folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
        return index


class _Split:
    """The files of one split, and what the index will say about them."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype[Any], state: Mapping[str, Any] | None = None) -> None:
        self._folder, self._split, self._dtype = folder, split, dtype
        self.tokens: int = state["tokens"] if state else 0
        self._documents: int = state["documents"] if state else 0
        self._shards: list[dict[str, Any]] = state["shards"] if state else []
        self._starts = _Appended(folder / f"{split}-documents.bin", 8 * self._documents)
        closed = sum(shard["tokens"] for shard in self._shards)
        self._open = _Appended(self._path(), dtype.itemsize * (self.tokens - closed)) if self.tokens > closed else None

    def _path(self) -> Path:
        return self._folder / f"{self._split}-{len(self._shards):05d}.bin"

    def add(self, doc: "NDArray[np.int64]", shard_tokens: int) -> None:
        if self._open is None:
            self._open = _Appended(self._path(), 0)
        self._open.write(doc.astype(self._dtype).tobytes())
        self._starts.write(self.tokens.to_bytes(8, "little"))
        self.tokens, self._documents = self.tokens + doc.size, self._documents + 1
        if self._open.size >= shard_tokens * self._dtype.itemsize:
            self._finish()

    def _finish(self) -> None:
        if self._open is not None:
            tokens = self._open.size // self._dtype.itemsize
            self._shards.append({"file": self._open.path.name, "tokens": tokens, "sha256": self._open.close()})
            self._open = None

    def keep(self) -> dict[str, Any]:
        for file in (self._starts, self._open):
            if file is not None:
                file.sync()
        return {"tokens": self.tokens, "documents": self._documents, "shards": self._shards}

    def close(self) -> dict[str, Any]:
        self._finish()
        starts = {"file": self._starts.path.name, "sha256": self._starts.close()}
        return {"tokens": self.tokens, "documents": self._documents, "starts": starts, "shards": self._shards}


class _Appended:
    """A file that only grows, from its first `size` bytes on, and its hash."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        if not size:
            path.unlink(missing_ok=True)  # another name of it keeps its bytes
        self._file = path.open("r+b" if size else "w+b")
        self._file.truncate(size)
        self._hash = hashlib.file_digest(self._file, "sha256")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> str:
        """On the disk now; its sha256."""
        self.sync()
        self._file.close()
        return self._hash.hexdigest()


@dataclass(frozen=True)
class TokenBatch:
    """Sequences cut from the stream, [B, L] each; `segments_BL` counts the documents within a row."""

    tokens_BL: "Tensor"
    targets_BL: "Tensor"
    segments_BL: "Tensor"


class TokenStream:
    """The endless stream of one split.

    Args:
        folder: a folder that `ShardWriter` filled.
        split: `train` or `validation`.
        seed: of the document order; None keeps the order on disk in every epoch.

    Raises:
        CheckpointError: the index or a shard is missing, of another format or of the wrong size.
    """

    def __init__(self, folder: Path, split: str, seed: int | None) -> None:
        index = read_index(folder)
        if split not in index["splits"]:
            raise CheckpointError(f"{folder / INDEX}: no split named {split!r}")
        entry = index["splits"][split]
        self.seed, self.bos, self.vocab_size = seed, int(index["bos"]), int(index["vocab_size"])
        dtype = np.dtype(index["dtype"])
        self._shards = [_map(folder / shard["file"], dtype, int(shard["tokens"])) for shard in entry["shards"]]
        sizes = [shard.size for shard in self._shards]
        self._shard_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.epoch_tokens, self.documents = int(entry["tokens"]), int(entry["documents"])
        if not self.epoch_tokens:
            raise CheckpointError(f"{folder / INDEX}: split {split!r} is empty")
        starts = _map(folder / entry["starts"]["file"], np.dtype("<u8"), self.documents)
        self._doc_start = np.append(starts.astype(np.int64), self.epoch_tokens)
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, dtype=np.int64)
        self._order_start: np.ndarray = np.empty(0, dtype=np.int64)

    def _load_epoch(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        if self.seed is None:
            self._order = np.arange(self.documents)
        else:
            # A fresh generator per epoch: an epoch's order doesn't depend on how the run got there.
            rng = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._order = rng.permutation(self.documents)
        lengths = np.diff(self._doc_start)[self._order]
        self._order_start = np.concatenate([[0], np.cumsum(lengths)])
        self._epoch = epoch

    def read(self, position: int, count: int) -> np.ndarray:
        """`count` tokens from the absolute place `position`, across documents, shards and epochs (int64)."""
        out = np.empty(count, dtype=np.int64)
        done = 0
        while done < count:
            epoch, offset = divmod(position + done, self.epoch_tokens)
            self._load_epoch(epoch)
            k = int(np.searchsorted(self._order_start, offset, side="right")) - 1
            while done < count and k < self.documents:
                doc = int(self._order[k])
                lo = int(self._doc_start[doc]) + (offset - int(self._order_start[k]))
                n = min(int(self._doc_start[doc + 1]) - lo, count - done)
                shard = int(np.searchsorted(self._shard_start, lo, side="right")) - 1
                base = int(self._shard_start[shard])
                out[done : done + n] = self._shards[shard][lo - base : lo - base + n]
                done += n
                offset += n
                k += 1
        return out

    def document(self, number: int) -> np.ndarray:
        """The ids of one document, by its number on disk (int64)."""
        lo, hi = int(self._doc_start[number]), int(self._doc_start[number + 1])
        shard = int(np.searchsorted(self._shard_start, lo, side="right")) - 1
        base = int(self._shard_start[shard])
        return self._shards[shard][lo - base : hi - base].astype(np.int64)

    def documents_at(self, position: int, count: int) -> list[int]:
        """Numbers (on disk) of the documents that `read(position, count)` touches: names a bad batch."""
        numbers: list[int] = []
        done = 0
        while done < count:
            epoch, offset = divmod(position + done, self.epoch_tokens)
            self._load_epoch(epoch)
            k = int(np.searchsorted(self._order_start, offset, side="right")) - 1
            numbers.append(int(self._order[k]))
            done += int(self._order_start[k + 1]) - offset
        return numbers

    def batch(self, position: int, sequences: int, length: int) -> TokenBatch:
        """`sequences` rows of `length` tokens from `position` on; row r starts at position + r·length.

        The target of a token is the next one in the stream, so a batch consumes exactly sequences·length tokens.
        """
        import torch  # two seconds that writing shards doesn't need

        flat = torch.from_numpy(self.read(position, sequences * length + 1))
        tokens = flat[:-1].view(sequences, length)
        segments = (tokens == self.bos).cumsum(dim=1)
        return TokenBatch(tokens, flat[1:].view(sequences, length), segments)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a folder of shards.

    Raises:
        CheckpointError: missing, not JSON, or of another format.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from None
    if not isinstance(index, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    if index.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {index.get('format')!r}, expected {FORMAT}")
    try:
        _check_index(index)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: broken: {type(error).__name__}: {error}") from None
    return index


def _check_index(index: dict[str, Any]) -> None:
    """Raises one of Python's own errors when a key is missing or of another kind."""
    if np.dtype(index["dtype"]) not in (np.dtype("<u2"), np.dtype("<u4")):
        raise ValueError(f"dtype {index['dtype']!r}")
    numbers = [index["vocab_size"], index["bos"]]
    for entry in index["splits"].values():
        numbers += [entry["tokens"], entry["documents"], *(shard["tokens"] for shard in entry["shards"])]
        names = [entry["starts"]["file"], *(shard["file"] for shard in entry["shards"])]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"file names {names!r}")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a number is missing or negative")


def _map(path: Path, dtype: np.dtype[Any], count: int) -> np.ndarray:
    if not path.exists():
        raise CheckpointError(f"{path}: not found")
    if path.stat().st_size != count * dtype.itemsize:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes, {INDEX} says {count * dtype.itemsize}")
    return np.memmap(path, dtype=dtype, mode="r", shape=(count,))
