"""Published figures that stand beside ours, under the names of our metrics: K2's, and those of small open models.

Their settings differ from ours, as the source says of each; what was not read in the source stands nowhere.
"""

from dataclasses import dataclass

K2_SOURCE = "Kimi K2 technical report, table 3 (arXiv:2507.20534)"
THINKING_SOURCE = "Kimi K2 Thinking model card, evaluation table (INT4)"


@dataclass(frozen=True)
class Published:
    """Scores as fractions of 1."""

    name: str
    source: str
    scores: dict[str, float]


def _fractions(**percent: float) -> dict[str, float]:
    return {name: round(value / 100, 6) for name, value in percent.items()}


PUBLISHED = (
    Published(
        "Kimi-K2-Instruct (published)",
        K2_SOURCE,
        _fractions(
            swe_bench_verified=65.8,
            swe_bench_verified_best_of_n=71.6,
            swe_bench_multilingual=47.3,
            livecodebench_v6=53.7,
            tau2_retail=70.6,
            tau2_airline=56.5,
            tau2_telecom=65.8,
            tau2=66.1,
            acebench=76.5,
            aime_2024=69.6,
            aime_2025=49.5,
            gpqa_diamond=75.1,
            zebralogic=89.0,
            mmlu=89.5,
            ifeval=89.8,
        ),
    ),
    Published(
        "Kimi-K2-Thinking (published)",
        THINKING_SOURCE,
        _fractions(
            swe_bench_verified=71.3,
            swe_bench_multilingual=61.1,
            livecodebench_v6=83.1,
            aime_2025=94.5,
            aime_2025_with_python=99.1,
            aime_2025_heavy=100.0,
            gpqa_diamond=84.5,
        ),
    ),
)

_CARD = "model card, HuggingFaceTB"
_MEASURED = "IFEval is the mean over prompts and over instructions, GSM8K has 5 shots, by lighteval"
SMALL = (
    Published(
        "SmolLM2-135M-Instruct (published)",
        f"{_CARD}/SmolLM2-135M-Instruct, table of instruction models: {_MEASURED}",
        {"ifeval": 0.299, "gsm8k": 0.014},
    ),
    Published(
        "Qwen2.5-0.5B-Instruct (published)",
        f"{_CARD}/SmolLM2-360M-Instruct, table of instruction models: {_MEASURED}",
        {"ifeval": 0.316, "gsm8k": 0.268},
    ),
    Published(
        "Qwen3-0.6B (published)",
        "BFCL v4 leaderboard, gorilla f7cf735 with bfcl-eval 2025.12.17, row Qwen3-0.6B (FC)",
        {
            "bfcl_non_live_ast": 0.7179,
            "bfcl_multiple": 0.86,
            "bfcl_parallel": 0.675,
            "bfcl_parallel_multiple": 0.695,
        },
    ),
)
REFERENCES = (*PUBLISHED, *SMALL)
