"""Which documents are the same, or nearly: it depends on the documents and their order only.

Everything is decided on columns of numbers, which are on the disk in `Parts`: a few of them are in memory at a time,
and no text is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from stages.corpus.parts import Parts
from stages.corpus.sketch import PERMUTATIONS

KEPT, EXACT, NEAR = 0, 1, 2
WIDTH = 4 * PERMUTATIONS  # bytes of a signature


def verdicts(parts: Parts, threshold: float, bands: int) -> NDArray[np.uint8]:
    """`KEPT`, `EXACT` or `NEAR` of each document, by number.

    Of documents with the same text the first stays. Prose goes whose 5-grams of words and symbols overlap those of an
    earlier document that stays by about `threshold` (Jaccard, estimated by MinHash). Of a drawing or a formula the set
    of 5-grams says too little, so those stay.
    """
    found = np.full(parts.size, KEPT, np.uint8)
    found[_repeated(parts)] = EXACT
    if bands:
        compared = np.flatnonzero(parts.column("prose", np.bool_) & (found == KEPT))
        found[_near(parts, compared, threshold, bands)] = NEAR
    return found


def _repeated(parts: Parts) -> NDArray[np.int64]:
    """Numbers of documents whose key an earlier one has."""
    first, second = parts.column("key_0", np.uint64), parts.column("key_1", np.uint64)
    order = np.lexsort((first, second))  # stable: of equal keys the earlier document comes first
    first, second = first[order], second[order]
    return order[1:][(first[1:] == first[:-1]) & (second[1:] == second[:-1])]


def _near(parts: Parts, compared: NDArray[np.int64], threshold: float, bands: int) -> NDArray[np.int64]:
    """Numbers of documents that are near an earlier one which stays."""
    pairs = [_neighbours(parts.column(f"band_{band}", np.uint64)[compared]) for band in range(bands)]
    left, right = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    met = np.unique(np.concatenate([left, right]))  # the others share a band with nobody
    if not len(met):
        return met
    edges = np.ones(len(left), np.bool_), (np.searchsorted(met, left), np.searchsorted(met, right))
    _, labels = connected_components(coo_matrix(edges, shape=(len(met), len(met))), directed=False)
    order = np.argsort(labels, kind="stable")  # component by component, in each in the order of the documents
    numbers = compared[met[order]]
    ends = np.flatnonzero(np.diff(labels[order], append=-1)) + 1
    dropped = [
        numbers[begin:end][_near_in_component(signatures, keys, threshold)]
        for begin, end, signatures, keys in _components(parts, numbers, ends, bands)
    ]
    return np.concatenate(dropped)


def _neighbours(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of places that hold the same key, each with the next: they connect all that do."""
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    return order[:-1][same], order[1:][same]


def _components(
    parts: Parts, numbers: NDArray[np.int64], ends: NDArray[np.int64], bands: int
) -> Iterator[tuple[int, int, NDArray[np.uint32], NDArray[np.uint64]]]:
    """Begin, end, signatures and keys of bands of each component of `numbers`; those of one are in memory at a time.

    They lie in a file in the order of `numbers`, which one reading of the parts fills.
    """
    width = WIDTH + 8 * bands
    order = np.argsort(numbers)
    path = parts.folder / "components"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        names = [f"band_{band}" for band in range(bands)]
        for found, columns in parts.columns("signature", *names):
            at = np.searchsorted(numbers, found, sorter=order)
            at = order[np.minimum(at, len(order) - 1)]
            wanted = np.flatnonzero(numbers[at] == found)
            signatures = columns["signature"].take(wanted).to_pylist()
            keys = np.stack([columns[name].to_numpy()[wanted] for name in names], 1)
            for place, signature, own in zip(at[wanted].tolist(), signatures, keys, strict=True):
                os.pwrite(descriptor, signature + own.tobytes(), place * width)
        begin = 0
        for end in ends.tolist():
            raw = np.frombuffer(os.pread(descriptor, (end - begin) * width, begin * width), np.uint8)
            table = raw.reshape(-1, width)
            yield (
                begin,
                end,
                np.ascontiguousarray(table[:, :WIDTH]).view(np.uint32),
                np.ascontiguousarray(table[:, WIDTH:]).view(np.uint64),
            )
            begin = end
    finally:
        os.close(descriptor)
        Path(path).unlink()


def _near_in_component(signatures: NDArray[np.uint32], keys: NDArray[np.uint64], threshold: float) -> list[int]:
    """Places of those that are near an earlier one which stays and with which they share a band."""
    staying: dict[tuple[int, int], list[int]] = {}
    dropped = []
    for place, own in enumerate(keys.tolist()):
        others = sorted({other for key in enumerate(own) for other in staying.get(key, ())})
        agree = (signatures[others] == signatures[place]).sum(axis=1) / PERMUTATIONS
        if (agree >= threshold).any():
            dropped.append(place)
        else:
            for key in enumerate(own):
                staying.setdefault(key, []).append(place)
    return dropped
