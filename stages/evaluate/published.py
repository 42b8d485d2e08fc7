"""Published figures that stand beside ours: K2's (stages/measure/published.py), and those of small open models.

Their settings differ from ours, as the source says of each; what was not read in the source stands nowhere.
"""

from stages.measure.published import PUBLISHED, Published

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
