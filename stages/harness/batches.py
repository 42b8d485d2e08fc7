"""A stream cut into runs of neighbours."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], limit: int, size: Callable[[T], int], *, most: int | None = None) -> Iterator[list[T]]:
    """Lists of items; the one with which their sizes reach `limit`, or the `most`-th, ends a list.

    Args:
        size: of an item, in the unit of `limit`.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= limit or len(batch) == most:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
