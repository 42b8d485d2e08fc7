"""The names of the benchmarks, without what they need: importing them all takes seconds."""

NAMES = (
    "acebench",
    "aime_2024",
    "aime_2025",
    "bfcl",
    "elementary",
    "gpqa_diamond",
    "gsm8k",
    "humaneval",
    "ifeval",
    "livecodebench_v6",
    "mmlu",
    "reasoning_gym",
    "swe_bench_multilingual",
    "swe_bench_verified",
    "swe_bench_verified_agentless",
    "tau2_airline",
    "tau2_retail",
    "tau2_telecom",
    "tool_quality",
    "zebralogic",
)
