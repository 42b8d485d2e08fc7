"""Rows of samples → metrics with intervals."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gym.benchmarks.base import Benchmark
from gym.benchmarks.estimators import best_of_n, is_solved, majority, over_items
from gym.intervals import bootstrap_mean, wilson
from stages.evaluate.limits import limits
from stages.evaluate.runner import INFRASTRUCTURE, NOT_RUN


def metrics(bench: Benchmark, rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, float]:
    """`<name>` (mean over items of the mean over samples) with `_n` items, its 95 % interval and its parts.

    The interval is Wilson's for one sample per item, else a bootstrap over items: samples of one item are not
    independent. A stratified benchmark weighs its groups itself, and items are redrawn within each. Samples that say
    nothing about the model (`_infrastructure_errors`, `_verifier_errors`, `_not_run`) are counted and left out. With
    none left, or none of a stratified benchmark's group, the score is absent. A sample that ended before it had an
    answer (a prompt that doesn't fit) counts 0 in every part, so that the official number beside the score stays.
    """
    name = bench.name
    measures = {
        f"{name}_infrastructure_errors": float(sum(row["status"] == INFRASTRUCTURE for row in rows)),
        f"{name}_not_run": float(sum(row["status"] == NOT_RUN for row in rows)),
        f"{name}_verifier_errors": float(sum(row["status"] in {"timeout", "verifier_error"} for row in rows)),
        f"{name}_no_answer": float(sum(row["status"] == "no_answer" for row in rows)),
        f"{name}_truncated": float(sum(row["finish_reason"] == "length" for row in rows)),
        f"{name}_output_tokens": float(sum(row["output_tokens"] for row in rows)),
        **limits(name, rows),
    }
    judged = [row for row in rows if row["score"] is not None]
    by_item: dict[str, list[float]] = {}
    votes: dict[str, list[str]] = {}
    for row in judged:
        by_item.setdefault(row["task_id"], []).append(row["score"])
        votes.setdefault(row["task_id"], []).append(row["extracted"])
    measures[f"{name}_n"] = float(len(by_item))
    if not by_item:
        return measures
    means = {item: sum(scores) / len(scores) for item, scores in by_item.items()}
    groups = {row["task_id"]: row["group"] for row in judged}
    headline = _weighed(bench, means, groups, seed) if bench.stratified else _plain(by_item, list(means.values()), seed)
    if headline is not None:
        measures |= dict(zip((name, f"{name}_ci_low", f"{name}_ci_high"), headline, strict=True))
    if any(len(scores) > 1 for scores in by_item.values()):
        measures |= {f"{name}_{key}": value for key, value in over_items(by_item).items()}
        ballots = {item: majority(answers) for item, answers in votes.items()}
        measures[f"{name}_majority_of_n"] = best_of_n(by_item, ballots)
    seen = [{**row, "parts": json.loads(row["parts"])} for row in judged]
    parts = dict.fromkeys((key for row in seen for key in row["parts"]), 0.0)
    if parts or any(row["status"] == "scored" for row in seen):
        filled = [{**row, "parts": parts | row["parts"]} for row in seen]
        measures |= {f"{name}_{key}": value for key, value in bench.summary(filled).items()}
    return measures


Interval = tuple[float, float, float]  # value, low, high


def _plain(by_item: Mapping[str, Sequence[float]], means: Sequence[float], seed: int) -> Interval:
    if all(len(scores) == 1 for scores in by_item.values()) and all(score in (0.0, 1.0) for score in means):
        low, high = wilson(sum(is_solved(score) for score in means), len(means))
    else:
        low, high = bootstrap_mean(means, seed)
        if low == high:  # all items alike: redrawing them shows no spread, and Wilson's interval still does
            low, high = wilson(round(sum(means)), len(means))
    return sum(means) / len(means), low, high


def _weighed(
    bench: Benchmark, means: Mapping[str, float], groups: Mapping[str, str], seed: int, samples: int = 500
) -> Interval | None:
    """The benchmark's own weighing, with items redrawn within their groups; None when a group is missing."""
    by_group: dict[str, list[float]] = {}
    for item, mean in means.items():
        by_group.setdefault(groups[item], []).append(mean)
    value = bench.overall({group: sum(some) / len(some) for group, some in by_group.items()})
    if value is None:
        return None
    rng = np.random.default_rng(seed)
    drawn = {
        group: np.array(some)[rng.integers(0, len(some), (samples, len(some)))].mean(axis=1)
        for group, some in by_group.items()
    }
    rounds = [bench.overall({group: float(some[k]) for group, some in drawn.items()}) for k in range(samples)]
    low, high = np.quantile([score for score in rounds if score is not None], [0.025, 0.975])
    if low == high:
        low, high = wilson(round(sum(means.values())), len(means))
    return value, float(low), float(high)


def asked(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """The data set's name as a tag, with how much of it was asked."""
    if not rows:
        return "nothing asked"
    items = len({row["task_id"] for row in rows})
    name = str(rows[0]["dataset"])
    return name if items == total else f"{name} ({items} of {total})"
