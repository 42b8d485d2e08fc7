"""Known limits of K2's report as measures: too many tokens, needless calls of tools, one shot worse than an agent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gym.intervals import paired_difference
from stages.evaluate.runner import INFRASTRUCTURE, NOT_RUN

AGENTIC, ONE_SHOT = "repairs_python", "repairs_python_agentless"
CALLING = ("bfcl", "tool_quality")  # whose references say how many calls are needed
Rows = Sequence[Mapping[str, Any]]


def limits(name: str, rows: Rows) -> dict[str, float]:
    """Of one benchmark.

    `_tokens_per_answer`, `_truncated_share`; where tools are offered, `_needless_calls` (of the items for which none is
    needed, the share in which one is called) and `_surplus_calls` (of the others, the share with more calls than the
    reference makes).
    """
    answered = [row for row in rows if row["status"] not in (INFRASTRUCTURE, NOT_RUN)]
    if not answered:
        return {}
    measures = {
        f"{name}_tokens_per_answer": sum(row["output_tokens"] for row in answered) / len(answered),
        f"{name}_truncated_share": sum(row["finish_reason"] == "length" for row in answered) / len(answered),
    }
    if name in CALLING:
        counts = [(_made(row), _needed(row)) for row in answered]
        idle = [made > 0 for made, needed in counts if needed == 0]
        busy = [made > needed for made, needed in counts if needed]
        if idle:
            measures[f"{name}_needless_calls"] = sum(idle) / len(idle)
        if busy:
            measures[f"{name}_surplus_calls"] = sum(busy) / len(busy)
    return measures


def _made(row: Mapping[str, Any]) -> int:
    return int(json.loads(row["parts"]).get("calls", 0))


def _needed(row: Mapping[str, Any]) -> int | None:
    """Calls of the reference; None where it says only that there are some."""
    if row["group"].endswith("irrelevance"):
        return 0
    gold = json.loads(row["expected"])
    if row["benchmark"] == "tool_quality":
        return (len(gold["call"]) if gold["call"] else None) if gold["calls"] else 0
    return len(gold["truth"]) if gold["truth"] else None


def item_means(rows: Rows) -> dict[str, float]:
    """The mean score of each item that was judged."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] is not None:
            scores.setdefault(row["task_id"], []).append(row["score"])
    return {item: sum(own) / len(own) for item, own in scores.items()}


def one_shot(rows: Mapping[str, Rows]) -> dict[str, float]:
    """`one_shot_minus_agentic`: repairs in one answer less those by an agent, on the same bugs; absent unless both ran.

    With a 95 % interval and `_items`.
    """
    if AGENTIC not in rows or ONE_SHOT not in rows:
        return {}
    found = paired_difference(item_means(rows[ONE_SHOT]), item_means(rows[AGENTIC]))
    if found is None:
        return {}
    names = ("", "_ci_low", "_ci_high", "_items")
    return {f"one_shot_minus_agentic{end}": float(value) for end, value in zip(names, found, strict=True)}
