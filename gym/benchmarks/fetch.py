"""Official items that no package carries: what a person downloads, by which command, and where it is put.

Nothing is downloaded by this project. No hash is stated, for the files were never seen here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FOLDER = "data/official"
HUB = "hf download {} --repo-type dataset --local-dir {}"


@dataclass(frozen=True)
class Download:
    """One data set.

    Attributes:
        place: what `--data` is given afterwards.
        size: of the download, about.
        licence: as its publisher states it.
    """

    command: str
    place: str
    size: str
    licence: str


def _hub(repository: str, name: str, size: str, licence: str, *, files: str = "", place: str = "") -> Download:
    """Of the Hugging Face hub."""
    folder = f"{FOLDER}/{name}"
    return Download(HUB.format(f"{repository}{files}", folder), f"{folder}{place}", size, licence)


_AIME_2024 = _hub(
    "Maxwell-Jia/AIME_2024", "aime_2024", "30 problems, under 1 MB", "MIT by its card, the problems are the MAA's"
)
DOWNLOADS: Mapping[str, Download] = {
    "acebench": Download(
        f"git clone --depth 1 https://github.com/ACEBench/ACEBench {FOLDER}/ACEBench",
        f"{FOLDER}/ACEBench", "1,023 items, about 10 MB", "MIT",
    ),
    "aime_2024": _AIME_2024,
    "aime_2024_heavy": _AIME_2024,
    "aime_2024_with_python": _AIME_2024,
    "ifeval": Download(
        f"curl -L --create-dirs -o {FOLDER}/ifeval.jsonl https://raw.githubusercontent.com/google-research/"
        "google-research/master/instruction_following_eval/data/input_data.jsonl",
        f"{FOLDER}/ifeval.jsonl", "541 prompts, under 1 MB", "Apache-2.0",
    ),
    "livecodebench_v6": _hub(
        "livecodebench/code_generation_lite", "livecodebench", "about 2 GB", "CC by its card, kind not stated",
        files=" test4.jsonl test5.jsonl test6.jsonl",
    ),
    "mmlu": Download(
        f"mkdir -p {FOLDER}/mmlu && curl -L https://people.eecs.berkeley.edu/~hendrycks/data.tar | "
        f"tar -x -C {FOLDER}/mmlu",
        f"{FOLDER}/mmlu/data", "14,042 questions, about 160 MB", "MIT",
    ),
    "swe_bench_multilingual": _hub(
        "SWE-bench/SWE-bench_Multilingual", "swe_bench_multilingual",
        "300 instances, some MB, without their containers", "not stated on its card, the project is MIT",
        place="/data/test-00000-of-00001.parquet",
    ),
    "swe_bench_verified": _hub(
        "SWE-bench/SWE-bench_Verified", "swe_bench_verified",
        "500 instances, some MB, without their containers", "not stated on its card, the project is MIT",
        place="/data/test-00000-of-00001.parquet",
    ),
    "zebralogic": _hub(
        "allenai/ZebraLogicBench-private", "zebralogic",
        "1,000 puzzles, some MB, for accounts to which its owner gave access", "unknown here: its card is gated",
        files=" --include 'grid_mode/*'", place="/grid_mode",
    ),
}  # fmt: skip


def line(name: str) -> str:
    """What is to be done for official items of a name in DOWNLOADS."""
    wanted = DOWNLOADS[name]
    return (
        f"{name}: its official items are not here: {wanted.command} ({wanted.size}; licence: {wanted.licence}; sha256 "
        f"unknown here), then --data {name}={wanted.place}"
    )
