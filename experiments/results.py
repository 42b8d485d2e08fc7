"""What the experiments share: an interval over seeds, a claim with its verdict, and the file of results.

A results file is JSON Lines: `settings` once, then a line for each arm, run, claim and chart, each with its `record`.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.intervals import Z95
from stages.harness.files import write_atomic

T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # Student's t, two-sided, by seeds
SEEDS = 3  # that a claim on tuned models wants; what fewer gave stands in the table alone
BETTER = 0.10  # points between arms
TEXT_KEPT = 0.05  # nats above the base's loss on held-out text that count as kept
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


def language_kept(text: str, k2: str, base: float, losses: Sequence[float]) -> dict[str, str]:
    """The claim that tuning keeps the language, of held-out text's loss before and after it in each seed."""
    gain = interval([loss - base for loss in losses])
    ours = f"{statistics.fmean(losses):.3f} against {base:.3f} before, in {len(losses)} seeds"
    return claim(text, k2, ours, gain, "nats a token", gain[2] <= TEXT_KEPT, gain[1] > TEXT_KEPT)


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


class RunsFile:
    """Lines of an experiment that are written as they come and end with what follows from them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[Record]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def has(self, key: Record) -> bool:
        """Whether a line says all of `key`: what was measured is not measured again."""
        return any(key.items() <= line.items() for line in self.lines())

    def add(self, line: Record) -> None:
        print(json.dumps(line), flush=True)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def conclude(self, **follows: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
        """Writes what follows from the runs, a kind of record each, in the place of what followed before."""
        runs = [line for line in self.lines() if line["record"] not in follows]
        found = [{"record": kind, **row} for kind, rows in follows.items() for row in rows(runs)]
        with write_atomic(self.path) as tmp:
            tmp.write_text("".join(f"{json.dumps(line)}\n" for line in [*runs, *found]), encoding="utf-8")


def over_seeds(runs: Sequence[Record], key: str) -> list[float]:
    """Of each item the mean over the runs; the same items in every run."""
    return [statistics.fmean(own) for own in zip(*(run[key] for run in runs), strict=True)]


def paired(a: Sequence[Record], b: Sequence[Record], key: str) -> Interval:
    """a less b in the seeds that both have, by item: mean and 95 % interval over items."""
    seeds = {run["seed"] for run in a} & {run["seed"] for run in b}
    ours, theirs = (over_seeds([run for run in runs if run["seed"] in seeds], key) for runs in (a, b))
    gaps = [x - y for x, y in zip(ours, theirs, strict=True)]
    mean, half = statistics.fmean(gaps), Z95 * statistics.stdev(gaps) / len(gaps) ** 0.5
    return mean, mean - half, mean + half
