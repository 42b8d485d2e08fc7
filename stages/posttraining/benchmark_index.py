"""The hashes of benchmark questions, as the stage `tokens` leaves them to the stages that train."""

from pathlib import Path

from gym.decontaminate import Index
from stages.harness.tables import NGRAMS, read_table

FILE = "benchmarks.parquet"


def read_index(path: Path) -> Index:
    """The index that the stage `tokens` made; empty where it compares nothing.

    Raises:
        InputError: the file is missing or broken.
    """
    return Index.of(read_table(path / FILE, NGRAMS).to_pylist())
