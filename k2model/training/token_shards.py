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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from k2model.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
INDEX = "index.json"


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest little-endian unsigned type that holds every id."""
    return np.dtype("<u2") if vocab_size <= 2**16 else np.dtype("<u4")


class ShardWriter:
    """Writes the shards of one folder: `add` documents in order, then `close`.

    A document never straddles two shards. A shard is closed once it holds `shard_tokens` or more.

    Raises:
        ConfigError: shard_tokens is not positive; an id is outside the vocabulary.
    """

    def __init__(self, folder: Path, *, vocab_size: int, bos: int, shard_tokens: int) -> None:
        if shard_tokens < 1:
            raise ConfigError(f"shard_tokens: must be at least 1, got {shard_tokens}")
        self.folder, self.vocab_size, self.bos, self.shard_tokens = folder, vocab_size, bos, shard_tokens
        self.dtype = token_dtype(vocab_size)
        self._open: dict[str, list[np.ndarray]] = {}
        self._starts: dict[str, list[int]] = {}
        self._shards: dict[str, list[dict[str, Any]]] = {}
        self._tokens: dict[str, int] = {}
        self._pending: dict[str, int] = {}  # tokens of the open shard
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, split: str, ids: Iterable[int]) -> None:
        """Appends one document (its ids, with [BOS] and [EOS] where they are wanted) to a split."""
        doc = np.asarray(list(ids), dtype=np.int64)
        if doc.size == 0:
            return
        if doc.min() < 0 or doc.max() >= self.vocab_size:
            raise ConfigError(f"token id {int(doc.max())} is outside the vocabulary of {self.vocab_size}")
        pending = self._open.setdefault(split, [])
        starts = self._starts.setdefault(split, [])
        starts.append(self.tokens(split))
        pending.append(doc.astype(self.dtype))
        self._tokens[split] = self.tokens(split) + doc.size
        self._pending[split] = self._pending.get(split, 0) + doc.size
        if self._pending[split] >= self.shard_tokens:
            self._flush(split)

    def tokens(self, split: str) -> int:
        """Tokens added to a split so far."""
        return self._tokens.get(split, 0)

    def _flush(self, split: str) -> None:
        pending = self._open[split]
        if pending:
            shards = self._shards.setdefault(split, [])
            data = np.concatenate(pending).tobytes()
            name = f"{split}-{len(shards):05d}.bin"
            (self.folder / name).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            shards.append({"file": name, "tokens": len(data) // self.dtype.itemsize, "sha256": digest})
            pending.clear()
            self._pending[split] = 0

    def close(self, extra: dict[str, Any] | None = None) -> dict[str, Any]:
        """Writes the last shards and the index; returns the index.

        Args:
            extra: more facts for the index, for example the tokenizer's hash.
        """
        splits = {}
        for split in sorted(self._open):
            self._flush(split)
            name = f"{split}-documents.bin"
            data = np.asarray(self._starts[split], dtype="<u8").tobytes()
            (self.folder / name).write_bytes(data)
            splits[split] = {
                "tokens": self.tokens(split),
                "documents": len(self._starts[split]),
                "starts": {"file": name, "sha256": hashlib.sha256(data).hexdigest()},
                "shards": self._shards[split],
            }
        index = {
            "format": FORMAT,
            "dtype": self.dtype.str,
            "vocab_size": self.vocab_size,
            "bos": self.bos,
            "splits": splits,
            **(extra or {}),
        }
        (self.folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
        return index


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
