"""Shards of rows: written whole and once, found again by a later run, read one at a time."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from k2model.chat.model_json import well_formed
from stages.harness.files import write_atomic
from stages.trajectories.rows import Row


def ranges(count: int, size: int) -> list[range]:
    """The numbers of each shard."""
    return [range(start, min(count, start + size)) for start in range(0, count, size)]


def path_of(folder: Path, name: str, numbers: Sequence[int]) -> Path:
    return folder / f"{name}-{numbers[0]:08d}.jsonl"


def make(path: Path, rows: Callable[[], list[Row]]) -> None:
    """Writes a shard unless it is there; a kill leaves it whole or absent."""
    if path.exists():
        return
    with write_atomic(path) as tmp, tmp.open("w", encoding="utf-8") as handle:
        for row in rows():
            handle.write(json.dumps(well_formed(row), ensure_ascii=False) + "\n")


def read(paths: Sequence[Path], column: str) -> Iterator[list[Row]]:
    """One part of each row (`trajectory` or `task`), shard by shard."""
    for path in paths:
        with path.open(encoding="utf-8") as handle:
            yield [json.loads(line)[column] for line in handle]
