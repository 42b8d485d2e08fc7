"""Every benchmark by the name of its metric; a family's module loads when it is opened, since some take seconds."""

import importlib
from collections.abc import Mapping
from pathlib import Path

from gym.benchmarks.base import Benchmark, DataError
from gym.benchmarks.fetch import DOWNLOADS, line

# name: (module, what makes it, its arguments before the path)
_FAMILIES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "acebench": ("acebench_official", "open_acebench", ()),
    "aime_2024": ("aime", "Aime", ("aime_2024",)),
    "aime_2024_heavy": ("aime_modes", "AimeHeavy", ("aime_2024",)),
    "aime_2024_with_python": ("aime_modes", "AimePython", ("aime_2024",)),
    "aime_2025": ("aime", "Aime", ("aime_2025",)),
    "aime_2025_heavy": ("aime_modes", "AimeHeavy", ("aime_2025",)),
    "aime_2025_with_python": ("aime_modes", "AimePython", ("aime_2025",)),
    "arithmetic_mc": ("mmlu", "ArithmeticMc", ()),
    "bfcl": ("bfcl", "Bfcl", ()),
    "bfcl_multi_turn": ("bfcl_multi_turn", "BfclMultiTurn", ()),
    "competition_templates": ("aime", "CompetitionTemplates", ("competition_templates",)),
    "elementary": ("suites", "ElementarySuite", ()),
    "gpqa_diamond": ("gpqa", "GpqaDiamond", ()),
    "gsm8k": ("gsm8k", "Gsm8k", ()),
    "humaneval": ("human_eval", "HumanEval", ()),
    "ifeval": ("ifeval", "IfEval", ()),
    "livecodebench_v6": ("livecodebench", "LiveCodeBench", ()),
    "logic_grids": ("zebra", "LogicGrids", ()),
    "mmlu": ("mmlu", "Mmlu", ()),
    "reasoning_gym": ("suites", "ReasoningGym", ()),
    "repairs_multilingual": ("swe_bench", "RepairsMultilingual", ()),
    "repairs_python": ("repairs", "Repairs", ("repairs_python",)),
    "repairs_python_agentless": ("repairs", "Repairs", ("repairs_python_agentless",)),
    "stdin_programs": ("livecodebench", "StdinPrograms", ()),
    "swe_bench_multilingual": ("swe_official", "OfficialSwe", ("swe_bench_multilingual",)),
    "swe_bench_verified": ("swe_official", "OfficialSwe", ("swe_bench_verified",)),
    "tau2_airline": ("tau2", "Tau2", ("airline",)),
    "tau2_retail": ("tau2", "Tau2", ("retail",)),
    "tau2_telecom": ("tau2", "Tau2", ("telecom",)),
    "tool_quality": ("tool_quality", "ToolQuality", ()),
    "verifiable_instructions": ("ifeval", "VerifiableInstructions", ()),
    "zebralogic": ("zebra", "ZebraLogic", ()),
}
OWN_TOOLS = "function_calling"  # made of tools that the gym does not know: agents/benchmarks/open.py opens it
NAMES = tuple(sorted((*_FAMILIES, OWN_TOOLS)))


def open_benchmark(name: str, path: Path | None = None) -> Benchmark:
    """The benchmark called `name`, on the user's official data where a path is given.

    Raises:
        DataError: no such benchmark, no official items, a missing package, or data that isn't in the official schema.
    """
    if name not in _FAMILIES:
        raise DataError(f"{name}: no such benchmark here; there are {', '.join(_FAMILIES)}")
    if path is not None and not path.exists():
        raise DataError(f"{path}: not found")
    if path is None and name in DOWNLOADS:
        raise DataError(line(name))
    module, maker, arguments = _FAMILIES[name]
    benchmark: Benchmark = getattr(importlib.import_module(f"gym.benchmarks.{module}"), maker)(*arguments, path)
    return benchmark
