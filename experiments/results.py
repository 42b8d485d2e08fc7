"""What the experiments share: intervals, the stamp of a run, and the files of raw figures.

A file of figures is JSON Lines: `settings`, then a line for each arm, run and chart, each with its `record`. What was
measured carries a `stamp`: version of the code, hash of the parameters, size. Figures of before that have one line
`stamp` for the whole file: the commit that brought them, which is as late as their code can be (`recorded: false`).
Verdicts are not in these files: `experiments/ledger.py` makes them of the figures and `claims.yaml`.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gym.intervals import Z95, wilson
from stages.harness.files import fingerprint, write_atomic
from stages.harness.section import load_common, load_yaml
from stages.tracking.store import identity

FIGURES = Path("docs/experiments")
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # Student's t, two-sided, by seeds
Record = dict[str, Any]
Interval = tuple[float, float, float]  # value, low, high
By = Literal["seeds", "items", "share", "every seed", "recorded"]


def _seeds(values: Sequence[float]) -> Interval:
    mean, half = statistics.fmean(values), T95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def _items(values: Sequence[float]) -> Interval:
    mean, half = statistics.fmean(values), Z95 * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def _share(values: Sequence[float]) -> Interval:
    return statistics.fmean(values), *wilson(round(sum(values)), len(values))


def _each(values: Sequence[float]) -> Interval:
    return statistics.fmean(values), min(values), max(values)


def _recorded(values: Sequence[float]) -> Interval:
    value, low, high = values
    return value, low, high


INTERVALS: dict[By, Callable[[Sequence[float]], Interval]] = {
    "seeds": _seeds,  # Student's 95 % over seeds
    "items": _items,  # normal 95 % over items, each of them a mean over the seeds
    "share": _share,  # Wilson's 95 % over as many items, however many seeds
    "every seed": _each,  # from the least to the greatest
    "recorded": _recorded,  # a bootstrap of the run's own: value, low, high
}


def interval(values: Sequence[float], by: By) -> Interval:
    """Value, low and high of what `by` says of the values; see `INTERVALS`."""
    return INTERVALS[by](values)


def size_of(base: str, model: str) -> str:
    """What a run's size is called: laptop is the default from an open base, scratch its network from nothing."""
    if base == "scratch":
        return "scratch" if model == "laptop" else model
    return "laptop" if base == "embedded" else Path(base).name


@cache
def stamp(size: str = "") -> Record:
    """Code version, parameters and size of what runs now; taken at the first call, which belongs at the start.

    Args:
        size: where an experiment has its own; empty: that of params.yaml.
    """
    tags, common = identity(Path()), load_common()
    return {
        "commit": tags["git.commit"][:12],
        "dirty": tags["git.dirty"] == "true",
        "params": fingerprint(load_yaml())[:12],
        "size": size or size_of(common.base, common.model),
    }


def read_lines(path: Path) -> list[Record]:
    """All lines of a file of figures, each with its stamp; none where there is no file."""
    if not path.exists():
        return []
    lines: list[Record] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    whole = next(({k: v for k, v in line.items() if k != "record"} for line in lines if line["record"] == "stamp"), {})
    return [{**line, "stamp": line.get("stamp", whole)} for line in lines if line["record"] != "stamp"]


def _key(line: Record) -> tuple[Any, ...]:
    """What a line is of: two with the same key are one figure, measured twice."""
    size = line["stamp"].get("size") if line["record"] == "run" else None
    return line["record"], line.get("arm"), line.get("seed"), line.get("title"), size


def write_results(
    path: Path,
    settings: Mapping[str, Any],
    *,
    arms: Iterable[Record] = (),
    runs: Iterable[Record] = (),
    charts: Iterable[Record],
) -> None:
    """Writes the file of figures, a line for each thing; runs carry their stamps.

    Arms, runs and charts that the file has of before, and that are not among these, stay: to measure one claim again
    takes nothing from the others.
    """
    lines: list[Record] = [{"record": "settings", **settings}]
    for kind, records in (("arm", arms), ("run", runs), ("chart", charts)):
        lines += [{"record": kind, **record} for record in records]
    written = {_key(line) for line in lines}
    for line in read_lines(path):
        if _key(line) not in written:
            lines.append(line)
    with write_atomic(path) as tmp:
        tmp.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")


class RunsFile:
    """Lines of an experiment that are written as they come and end with what follows from them.

    Args:
        size: where the experiment has its own; empty: that of params.yaml.
    """

    def __init__(self, path: Path, size: str = "") -> None:
        self.path, self.size = path, size

    def lines(self) -> list[Record]:
        return read_lines(self.path)

    def has(self, key: Record) -> bool:
        """Whether a line of this size says all of `key`: what was measured is not measured again."""
        size = self.size or stamp()["size"]
        return any(key.items() <= line.items() for line in self.lines() if line["stamp"].get("size") == size)

    def add(self, line: Record) -> None:
        """Writes a line, with the stamp of now where it has none of its own."""
        stamped = line if "stamp" in line else line | {"stamp": stamp(self.size)}
        print(json.dumps(stamped), flush=True)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(stamped) + "\n")

    def conclude(self, **follows: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
        """Writes what follows from the runs, a kind of record each, in the place of what followed before."""
        runs = [line for line in self.lines() if line["record"] not in follows]
        newest = {"stamp": runs[-1]["stamp"]} if runs else {}
        found = [{"record": kind, **row, **newest} for kind, rows in follows.items() for row in rows(runs)]
        with write_atomic(self.path) as tmp:
            tmp.write_text("".join(f"{json.dumps(line)}\n" for line in [*runs, *found]), encoding="utf-8")


def over_seeds(runs: Sequence[Record], key: str) -> list[float]:
    """Of each item the mean over the runs; the same items in every run."""
    return [statistics.fmean(own) for own in zip(*(run[key] for run in runs), strict=True)]
