"""What must not be trained on: the questions of benchmarks whose data is on this machine, as hashes.

Official questions count by 13 words in a row. The questions of generators (built-in sets, elementary, reasoning_gym)
share their sentences with every task of the same kind, so there the whole question counts, and the functions that they
declare may be this project's own tools, so those don't.
"""

from collections.abc import Sequence

from agents.benchmarks.open import open_named
from gym.benchmarks.base import DataError
from gym.benchmarks.open import NAMES
from gym.decontaminate import Index

GENERATED = ("elementary", "reasoning_gym")
AGAIN = ("_agentless", "_heavy", "_with_python")  # these have another's questions
QUESTIONS = tuple(name for name in NAMES if not name.endswith(AGAIN))


def benchmark_index(names: Sequence[str] = QUESTIONS) -> tuple[Index, list[str], int]:
    """The index, the benchmarks whose data is not installed, and how many hashes are of functions' names."""
    index = Index()
    absent = []
    tools = 0
    for name in names:
        try:
            bench = open_named(name)
        except DataError:
            absent.append(name)
            continue
        if name in GENERATED or bench.manifest.name.startswith("builtin-"):
            asked = (str(message["content"]) for item in bench.items() for message in item.messages[-1:])
            index.add(name, asked, whole=True)
        else:
            index.add(name, bench.texts())
            tools += index.add_tools(name, bench.tool_names())
    return index, absent, tools
