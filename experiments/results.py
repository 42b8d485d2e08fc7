"""What the experiments share: an interval over seeds, a claim with its verdict, and the file of results.

A results file is JSON Lines: `settings` once, then a line for each arm, run, claim and chart, each with its `record`.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.harness.files import write_atomic

T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # Student's t, two-sided, by seeds
Record = dict[str, Any]
Interval = tuple[float, float, float]  # mean, low, high


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student's 95 % interval."""
    mean = statistics.fmean(values)
    half = T95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def verdict(good: bool, bad: bool) -> str:
    """In the words of the report's table; what neither rule decides is not settled."""
    return "reproduces" if good else "does not reproduce" if bad else "not settled at this size"


def claim(text: str, k2: str, ours: str, measured: Interval, unit: str, good: bool, bad: bool) -> dict[str, str]:
    """A row of the report's table of claims.

    Args:
        k2: K2's figure. ours: the one measured here. measured: what the rules `good` and `bad` judge.
        unit: of `measured`; `points` are hundredths of a share.
    """
    _, low, high = measured
    shown = f"{100 * low:+.1f} to {100 * high:+.1f} points" if unit == "points" else f"{low:.3f} to {high:.3f} {unit}"
    return {"claim": text, "k2": k2, "ours": ours, "interval": shown, "verdict": verdict(good, bad)}


def write_results(
    path: Path,
    settings: Mapping[str, Any],
    *,
    arms: Iterable[Record] = (),
    runs: Iterable[Record] = (),
    claims: Iterable[Record],
    charts: Iterable[Record],
) -> None:
    """Writes the file of results, a line for each thing."""
    lines: list[Record] = [{"record": "settings", **settings}]
    for kind, records in (("arm", arms), ("run", runs), ("claim", claims), ("chart", charts)):
        lines += [{"record": kind, **record} for record in records]
    with write_atomic(path) as tmp:
        tmp.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")
