"""Rows of samples → metrics with intervals."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gym.benchmarks.base import Benchmark
from gym.benchmarks.estimators import best_of_n, is_solved, majority, over_items
from gym.intervals import bootstrap_mean, wilson
from stages.evaluate.runner import INFRASTRUCTURE, NOT_RUN


def metrics(bench: Benchmark, rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, float]:
    """`<name>` (mean over items of the mean over samples) with `_n` items, its 95 % interval and its parts.

    The interval is Wilson's for one sample per item, else a bootstrap over items: samples of one item are not
    independent. Samples that say nothing about the model (`_infrastructure_errors`, `_verifier_errors`, `_not_run`) are
    counted and left out. With none left the score is absent.
    """
    name = bench.name
    found = {
        f"{name}_infrastructure_errors": float(sum(row["status"] == INFRASTRUCTURE for row in rows)),
        f"{name}_not_run": float(sum(row["status"] == NOT_RUN for row in rows)),
        f"{name}_verifier_errors": float(sum(row["status"] in {"timeout", "verifier_error"} for row in rows)),
        f"{name}_no_answer": float(sum(row["status"] == "no_answer" for row in rows)),
        f"{name}_truncated": float(sum(row["finish_reason"] == "length" for row in rows)),
        f"{name}_output_tokens": float(sum(row["output_tokens"] for row in rows)),
    }
    judged = [row for row in rows if row["score"] is not None]
    by_item: dict[str, list[float]] = {}
    votes: dict[str, list[str]] = {}
    for row in judged:
        by_item.setdefault(row["task_id"], []).append(row["score"])
        votes.setdefault(row["task_id"], []).append(row["extracted"])
    found[f"{name}_n"] = float(len(by_item))
    if not by_item:
        return found
    means = [sum(scores) / len(scores) for scores in by_item.values()]
    single = all(len(scores) == 1 for scores in by_item.values())
    if single and all(score in (0.0, 1.0) for score in means):
        low, high = wilson(sum(is_solved(score) for score in means), len(means))
    else:
        low, high = bootstrap_mean(means, seed)
        if low == high:  # all items alike: redrawing them shows no spread, and Wilson's interval still does
            low, high = wilson(round(sum(means)), len(means))
    found |= {name: sum(means) / len(means), f"{name}_ci_low": low, f"{name}_ci_high": high}
    if not single:
        found |= {f"{name}_{key}": value for key, value in over_items(by_item).items()}
        ballots = {item: majority(answers) for item, answers in votes.items()}
        found[f"{name}_majority_of_n"] = best_of_n(by_item, ballots)
    seen = [{**row, "parts": json.loads(row["parts"])} for row in judged]
    complete = [row for row in seen if row["parts"] or row["status"] == "scored"]
    if complete and len(complete) == len(seen):
        found |= {f"{name}_{key}": value for key, value in bench.summary(complete).items()}
    return found


def asked(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """The data set's name as a tag, with how much of it was asked."""
    if not rows:
        return "nothing asked"
    items = len({row["task_id"] for row in rows})
    name = str(rows[0]["dataset"])
    return name if items == total else f"{name} ({items} of {total})"
