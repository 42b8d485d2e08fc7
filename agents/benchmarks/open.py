"""Opens any benchmark, those too whose built-in set is made of the project's own tools."""

from pathlib import Path

from agents.benchmarks.acebench import builtin
from gym.benchmarks import acebench_official
from gym.benchmarks.acebench import AceBench
from gym.benchmarks.base import Benchmark, DataError
from gym.benchmarks.open import open_benchmark
from gym.benchmarks.tau2 import Tau2


def open_any(name: str, path: Path | None = None, *, scripted: bool = True) -> Benchmark:
    """The benchmark called `name`, on the user's official data where a path is given.

    Args:
        scripted: the user of a dialogue is a script; otherwise a model plays it.

    Raises:
        DataError: no such benchmark, a missing package, or data that isn't in the official schema.
    """
    if path is not None and not path.exists():
        raise DataError(f"{path}: not found")
    if name == "acebench":
        return AceBench(builtin() if path is None else acebench_official.read(path), scripted=scripted)
    if name.startswith("tau2_") and not scripted:
        return Tau2(name.removeprefix("tau2_"), path, scripted=False)
    return open_benchmark(name, path)
