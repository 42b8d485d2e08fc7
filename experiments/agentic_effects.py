"""The report's table of what each kind of conversation teaches, from the lines of the experiment on agentic data.

A line of an arm and seed holds `each`, 1 or 0 for every item, the same items in every arm; their outcomes are averaged
over the seeds first, so that an interval is one over items.
"""

from collections.abc import Mapping, Sequence

from experiments.results import Interval, Record, interval, over_seeds

Runs = Mapping[str, list[Record]]  # by arm, in the order of the seeds


def _runs(lines: Sequence[Record], **wanted: object) -> Runs:
    found: dict[str, list[Record]] = {}
    for line in sorted((line for line in lines if wanted.items() <= line.items()), key=lambda line: line["seed"]):
        found.setdefault(line["arm"], []).append(line)
    return found


def _share(runs: Sequence[Record]) -> Interval:
    """Mean over seeds and items, with Wilson's interval for that many items, however many seeds."""
    return interval(over_seeds(runs, "each"), "share")


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
