"""The report's section about what conversations teach, from the lines of `experiments/agentic_data.py`."""

from pathlib import Path
from typing import Any

from stages.report.claims import records
from stages.report.page import Chapter, table

ARMS = {
    "base": "nothing (models/base)",
    "none": "plain text alone",
    "before": "worlds of before: one table, four actions",
    "services": "requests to service specifications",
    "worlds": "conversations at desks",
    "requests": "whole conversations on everyday tools, library functions, services",
    "singles": "single turns on such tools, a third without a fitting one",
    "all": "requests and desks",
}
LEAD = (
    "The same base tuned on equally many tokens of an agent's, of different kinds of conversations: the share right on "
    "BFCL by its official checker and at desks of applications that no training data touches, the mean over seeds with "
    "the 95 % interval over items, and the loss on held-out text."
)


def effect(root: Path) -> Chapter:
    """What each kind of conversation teaches, a row for each."""
    found = [row for name, row in records(root, "effect") if name == "agentic_data"]
    if not found:
        return Chapter("effect", "What conversations teach", "<p>no experiment has run</p>")
    shares = {(row["arm"], _measure(row)): row for row in found if row["measure"] != "text"}
    losses: dict[str, list[float]] = {}
    for row in found:
        if row["measure"] == "text":
            losses.setdefault(row["arm"], []).append(row["loss"])
    measures = list(dict.fromkeys(measure for _, measure in shares))
    rows = []
    for arm, words in ARMS.items():
        seeds = max((row["seeds"] for (name, _), row in shares.items() if name == arm), default=0)
        cells = [_share(shares.get((arm, measure))) for measure in measures]
        if arm in losses or any(cells):
            text = f"{sum(losses[arm]) / len(losses[arm]):.3f}" if arm in losses else ""
            rows.append([words, *cells, text, str(seeds or "")])
    head = ["learned from", *measures, "text loss", "seeds"]
    return Chapter("effect", "What conversations teach", table(head, rows, range(1, len(head))), LEAD)


def _measure(row: dict[str, Any]) -> str:
    return f"{row['measure']}, grammar" if row["grammar"] else str(row["measure"])


def _share(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['share']:.0%} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
