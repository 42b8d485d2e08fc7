"""Models on the same items: scores side by side, and each one's difference from the one before, item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gym.benchmarks.base import Benchmark
from gym.intervals import paired_difference
from stages.evaluate import scores as scoring
from stages.evaluate.limits import item_means
from stages.harness.seeds import sub_seed

ENDS = ("", "_ci_low", "_ci_high")


@dataclass(frozen=True)
class Compared:
    """A model and its rows of samples by benchmark."""

    label: str
    is_stage: bool  # made by a stage, and no model that only stands beside
    rows: Mapping[str, Sequence[Mapping[str, Any]]]


def score(bench: Benchmark, rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, float]:
    """The score with its interval under the benchmark's own name; empty where nothing was judged."""
    found = scoring.metrics(bench, rows, sub_seed(seed, "compare", bench.name))
    return {key: found[key] for end in ENDS if (key := f"{bench.name}{end}") in found}


def differences(models: Sequence[Compared]) -> dict[str, float]:
    """`change_<model>_<benchmark>`: its mean score less that of the model before, over the items that both answered.

    With a 95 % interval and `_items`. `regressions` counts the changes from one stage to the next whose interval lies
    below 0.
    """
    metrics: dict[str, float] = {}
    regressions = 0
    for before, after in zip(models, models[1:], strict=False):
        for name in after.rows:
            found = paired_difference(item_means(after.rows[name]), item_means(before.rows.get(name, ())))
            if found is None:
                continue
            names = (f"change_{after.label}_{name}{end}" for end in (*ENDS, "_items"))
            metrics |= dict(zip(names, map(float, found), strict=True))
            regressions += before.is_stage and after.is_stage and found[2] < 0
    return metrics | {"regressions": float(regressions)}


def lines(models: Sequence[Compared], metrics: Mapping[str, float]) -> list[str]:
    """A line for each change that an interval settles."""
    said = []
    for before, after in zip(models, models[1:], strict=False):
        for name in after.rows:
            key = f"change_{after.label}_{name}"
            low, high = (metrics.get(f"{key}{end}", 0.0) for end in ENDS[1:])
            if low > 0 or high < 0:
                word = "better" if low > 0 else "worse"
                points = f"{100 * metrics[key]:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
                said.append(f"{name}: {after.label} is {word} than {before.label}: {points}")
    return said
