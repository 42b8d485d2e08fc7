"""What must not be trained on: the questions of benchmarks whose data is on this machine, as hashes of n-grams."""

from collections.abc import Sequence

from gym.benchmarks.base import DataError
from gym.benchmarks.open import open_benchmark
from gym.decontaminate import Index

FIXED = ("aime_2024", "aime_2025", "bfcl", "gpqa_diamond", "gsm8k", "humaneval", "mmlu")


def benchmark_index(names: Sequence[str] = FIXED) -> tuple[Index, list[str]]:
    """The index, and the benchmarks that could not be looked at because their data is not installed."""
    index = Index()
    absent = []
    for name in names:
        try:
            samples = open_benchmark(name).items()
        except DataError:
            absent.append(name)
            continue
        index.add(name, (str(message["content"]) for one in samples for message in one.messages))
    return index, absent
