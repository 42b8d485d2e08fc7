"""Which tokens the rows of a cache stand for, so that a prompt is read from where it parts with what was read before.

A row that becomes free keeps its token ids. A new prompt takes the row whose tokens it shares the longest prefix with,
or a copy of that prefix; while the prefix is still being read for another prompt, it waits for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import ne

LEAST_PREFIX = 16  # tokens: what begins alike for less (a chat's first header) is read anew, and not waited for


@dataclass(eq=False)
class Reading:
    """A prompt that is being read, once for all rows that ask for it; the cache of the first is filled.

    Attributes:
        handle: the first of those who asked.
        reused: tokens that stood in the cache when reading began.
        read: tokens that stand there now.
    """

    handle: int
    ids: tuple[int, ...]
    rows: list[int]
    reused: int = 0
    read: int = 0


@dataclass(frozen=True)
class Awaited:
    """A prefix, up to position `until`, that is being read for another prompt."""

    reading: Reading
    until: int

    @property
    def over(self) -> bool:
        """Whether it is read, or nobody reads it any more."""
        return self.reading.read >= self.until or not self.reading.rows


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(compress(count(), map(ne, first, second)), min(len(first), len(second)))


def longest_prefix(prompt: Sequence[int], ids_by_row: Mapping[int, Sequence[int]]) -> tuple[int | None, int]:
    """(row, tokens) of the longest prefix of a prompt; (None, 0) where none is worth it.

    The last token is never part of it: its logits are needed. Of equals, the row that holds the fewest other tokens.
    """
    best, length, size = None, LEAST_PREFIX - 1, 0
    reusable = prompt[:-1]
    for row, ids in ids_by_row.items():
        common = common_prefix(reusable, ids)
        if common > length or (common == length and best is not None and len(ids) < size):
            best, length, size = row, common, len(ids)
    return (None, 0) if best is None else (best, length)


def await_prefix(prompt: Sequence[int], start: int, readings: Iterable[Reading]) -> Awaited | None:
    """The longest prefix that is being read, if it goes far enough beyond the `start` tokens that the cache has."""
    best, length = None, start + LEAST_PREFIX - 1
    reusable = prompt[:-1]
    for reading in readings:
        common = common_prefix(reusable, reading.ids)
        if common > length:
            best, length = reading, common
    return None if best is None else Awaited(best, length)


class FreeRows:
    """The free rows of a cache with the tokens whose keys and values they begin with, the least recently used first."""

    def __init__(self, rows: int) -> None:
        self.ids_by_row: dict[int, Sequence[int]] = dict.fromkeys(range(rows), ())

    def __len__(self) -> int:
        return len(self.ids_by_row)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids_by_row)

    def add(self, row: int, ids: Sequence[int]) -> None:
        """Frees a row; one that holds nothing is the next to be taken."""
        if ids:
            self.ids_by_row[row] = ids
        else:
            self.ids_by_row = {row: ids} | self.ids_by_row

    def take(self, source: int | None = None, length: int = 0) -> int:
        """A row for a prompt whose first `length` tokens stand in row `source`, free or not.

        That row itself, where fewer of its other tokens get lost than the least recently used row has; else the
        latter, for a copy.
        """
        row = next(iter(self.ids_by_row))
        if source is not None and source in self.ids_by_row:
            ids = self.ids_by_row.pop(source)
            if source == row or len(ids) - length <= len(self.ids_by_row[row]):
                return source
            self.ids_by_row[source] = ids  # used now
        del self.ids_by_row[row]
        return row

    def forget(self) -> None:
        """Rows hold nothing any more."""
        self.ids_by_row = dict.fromkeys(self.ids_by_row, ())
