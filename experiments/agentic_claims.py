"""What the experiment on agentic data concludes from its lines: the verdicts of its rules, and the report's table.

A line of an arm and seed holds `each`, 1 or 0 for every item, the same items in every arm; their outcomes are averaged
over the seeds first, so that an interval is one over items.
"""

import statistics
from collections.abc import Mapping, Sequence

from experiments.results import BETTER, SEEDS, Interval, Record, claim, language_kept, over_seeds, paired
from gym.intervals import wilson

K2 = "synthetic tools, agents, tasks with rubrics; no figure"
SILENT_SHARE = 0.6  # of irrelevance items

Runs = Mapping[str, list[Record]]  # by arm, in the order of the seeds


def _runs(lines: Sequence[Record], **wanted: object) -> Runs:
    found: dict[str, list[Record]] = {}
    for line in sorted((line for line in lines if wanted.items() <= line.items()), key=lambda line: line["seed"]):
        found.setdefault(line["arm"], []).append(line)
    return found


def _share(runs: Sequence[Record]) -> Interval:
    """Mean over seeds and items, with Wilson's interval for that many items, however many seeds."""
    items = over_seeds(runs, "each")
    return statistics.fmean(items), *wilson(round(sum(items)), len(items))


def _against(text: str, runs: Runs, arm: str, other: str) -> list[Record]:
    """The claim that one arm is at least `BETTER` better than another, where both have run."""
    seeds = {run["seed"] for run in runs.get(arm, ())} & {run["seed"] for run in runs.get(other, ())}
    if len(seeds) < SEEDS:
        return []
    gap = paired(runs[arm], runs[other], "each")
    mine, theirs = (_share(runs[name])[0] for name in (arm, other))
    ours = f"{mine:.0%} against {theirs:.0%} of {len(runs[arm][0]['each'])} ({len(seeds)} seeds)"
    return [claim(text, K2, ours, gap, "points", gap[1] > BETTER, gap[2] < 0)]


def claims(lines: Sequence[Record], budget: int) -> list[Record]:
    """The rules in `experiments/agentic_data.py`, of the arms that have run with this budget."""
    free = {"record": "score", "budget": budget, "grammar": False, "choose": False}
    simple, silent = _runs(lines, category="simple_python", **free), _runs(lines, category="irrelevance", **free)
    losses = _runs(lines, record="text", budget=budget)
    base = [line["loss"] for line in lines if line["record"] == "text" and line["arm"] == "base"]
    rows = []
    for arm, words in {"requests": "Whole conversations", "singles": "Single turns"}.items():
        rows += _against(
            f"{words} on many tools teach calls of functions never seen better than the worlds of before",
            simple,
            arm,
            "before",
        )
        if len(silent.get(arm, ())) >= SEEDS:
            share = _share(silent[arm])
            good, bad = share[1] >= SILENT_SHARE, share[2] < SILENT_SHARE
            ours = f"{share[0]:.0%} of {len(silent[arm][0]['each'])} ({len(silent[arm])} seeds)"
            rows.append(
                claim(f"{words} on many tools teach when not to call", K2, ours, share, "of the items", good, bad)
            )
        text = [line["loss"] for line in losses.get(arm, [])]
        if base and len(text) >= SEEDS:
            rows.append(language_kept(f"{words} on many tools keep the language", K2, base[0], text))
    return rows + _against(
        "Conversations at desks teach work at desks never seen",
        _runs(lines, record="desks", budget=budget),
        "all",
        "before",
    )


def effects(lines: Sequence[Record], budget: int) -> list[Record]:
    """The report's table: for every arm and measure the share right, its interval, items and seeds."""
    rows: list[Record] = []

    def add(measure: str, runs: Runs, *, grammar: bool = False) -> None:
        for arm, own in runs.items():
            share, low, high = _share(own)
            sizes = {"items": len(own[0]["each"]), "seeds": len(own)}
            rows.append({"arm": arm, "measure": measure, "grammar": grammar, "share": share, "low": low, "high": high})
            rows[-1] |= sizes

    scores = [line for line in lines if line["record"] == "score" and not line["choose"]]
    for category in dict.fromkeys(line["category"] for line in scores):
        for grammar in (False, True):
            add(category, _runs(scores, category=category, budget=budget, grammar=grammar), grammar=grammar)
    add("held desks", _runs(lines, record="desks", budget=budget))
    for line in lines:
        if line["record"] == "text" and (line["arm"] == "base" or line["budget"] == budget):
            rows.append({"arm": line["arm"], "measure": "text", "loss": line["loss"]})
    return rows
