"""Every benchmark by the name of its metric."""

from collections.abc import Callable, Mapping
from pathlib import Path

from gym.benchmarks import acebench_official
from gym.benchmarks.acebench import AceBench
from gym.benchmarks.aime import Aime
from gym.benchmarks.aime_modes import AimeHeavy, AimePython
from gym.benchmarks.base import Benchmark, DataError
from gym.benchmarks.bfcl import Bfcl
from gym.benchmarks.bfcl_multi_turn import BfclMultiTurn
from gym.benchmarks.gpqa import GpqaDiamond
from gym.benchmarks.gsm8k import Gsm8k
from gym.benchmarks.human_eval import HumanEval
from gym.benchmarks.ifeval import IfEval
from gym.benchmarks.livecodebench import LiveCodeBench
from gym.benchmarks.mmlu import Mmlu
from gym.benchmarks.suites import ElementarySuite, ReasoningGym
from gym.benchmarks.swe_official import open_swe
from gym.benchmarks.tau2 import Tau2
from gym.benchmarks.tool_quality import ToolQuality
from gym.benchmarks.zebra import ZebraLogic


def _acebench(path: Path | None) -> Benchmark:
    if path is None:
        raise DataError("acebench: its built-in set comes from the project's tools: open it by agents.benchmarks.open")
    return AceBench(acebench_official.read(path))


def _without_path(make: Callable[[], Benchmark]) -> Callable[[Path | None], Benchmark]:
    def build(path: Path | None) -> Benchmark:
        if path is not None:
            raise DataError(f"{path}: this benchmark is generated and takes no data")
        return make()

    return build


BENCHMARKS: Mapping[str, Callable[[Path | None], Benchmark]] = {
    "acebench": _acebench,
    "aime_2024": lambda path: Aime(2024, path),
    "aime_2024_heavy": lambda path: AimeHeavy(2024, path),
    "aime_2024_with_python": lambda path: AimePython(2024, path),
    "aime_2025": lambda path: Aime(2025, path),
    "aime_2025_heavy": lambda path: AimeHeavy(2025, path),
    "aime_2025_with_python": lambda path: AimePython(2025, path),
    "bfcl": Bfcl,
    "bfcl_multi_turn": BfclMultiTurn,
    "elementary": _without_path(ElementarySuite),
    "gpqa_diamond": GpqaDiamond,
    "gsm8k": Gsm8k,
    "humaneval": HumanEval,
    "ifeval": IfEval,
    "livecodebench_v6": LiveCodeBench,
    "mmlu": Mmlu,
    "reasoning_gym": _without_path(ReasoningGym),
    "swe_bench_multilingual": lambda path: open_swe("swe_bench_multilingual", path),
    "swe_bench_verified": lambda path: open_swe("swe_bench_verified", path),
    "swe_bench_verified_agentless": lambda path: open_swe("swe_bench_verified_agentless", path),
    "tau2_airline": lambda path: Tau2("airline", path),
    "tau2_retail": lambda path: Tau2("retail", path),
    "tau2_telecom": lambda path: Tau2("telecom", path),
    "tool_quality": ToolQuality,
    "zebralogic": ZebraLogic,
}


def open_benchmark(name: str, path: Path | None = None) -> Benchmark:
    """The benchmark called `name`, on the user's official data where a path is given.

    Raises:
        DataError: no such benchmark, a missing package, or data that isn't in the official schema.
    """
    if name not in BENCHMARKS:
        raise DataError(f"{name}: no such benchmark; there are {', '.join(sorted(BENCHMARKS))}")
    if path is not None and not path.exists():
        raise DataError(f"{path}: not found")
    return BENCHMARKS[name](path)
