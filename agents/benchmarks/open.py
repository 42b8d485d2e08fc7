"""Opens any benchmark by its name, the one too whose items are made of the project's own tools."""

from pathlib import Path

from agents.benchmarks.acebench import builtin
from gym.benchmarks import acebench_official, base
from gym.benchmarks.acebench import AceBench, FunctionCalling
from gym.benchmarks.base import Benchmark, DataError
from gym.benchmarks.open import OWN_TOOLS, open_benchmark
from gym.benchmarks.tau2 import Tau2


def open_named(name: str, path: Path | None = None, *, user: str = "") -> Benchmark:
    """The benchmark called `name`; an official name has official items, of the path or of a package.

    Args:
        user: the name of the model that plays the user of a dialogue; without one a script does.

    Raises:
        DataError: no such benchmark, no official items, a missing package, or data that isn't in the official schema.
    """
    if name == OWN_TOOLS:
        base.takes_no_data(name, path)
        return FunctionCalling(builtin(), scripted=not user)
    if path is not None and not path.exists():
        raise DataError(f"{path}: not found")
    if name == "acebench" and path is not None:
        return AceBench(acebench_official.read(path), scripted=not user)
    if name.startswith("tau2_") and user:
        return Tau2(name.removeprefix("tau2_"), path, user=user)
    return open_benchmark(name, path)
