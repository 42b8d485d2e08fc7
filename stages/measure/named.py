"""Opens any benchmark by its name, the one too whose items are made of the project's own tools."""

from pathlib import Path

from agents.benchmarks.acebench import builtin
from agents.benchmarks.open import open_any
from gym.benchmarks import base
from gym.benchmarks.acebench import FunctionCalling
from gym.benchmarks.base import Benchmark
from gym.benchmarks.fetch import DOWNLOADS
from gym.benchmarks.open import OWN_TOOLS, open_benchmark


def open_named(name: str, path: Path | None = None, *, scripted: bool = True) -> Benchmark:
    """The benchmark called `name`; an official name has official items, of the path or of a package.

    Args:
        scripted: the user of a dialogue is a script; otherwise a model plays it.

    Raises:
        DataError: no such benchmark, no official items, a missing package, or data that isn't in the official schema.
    """
    if name == OWN_TOOLS:
        base.takes_no_data(name, path)
        return FunctionCalling(builtin(), scripted=scripted)
    if path is None and name in DOWNLOADS:
        return open_benchmark(name)
    return open_any(name, path, scripted=scripted)
