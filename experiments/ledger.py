"""The ledger: each claim of `experiments/claims.yaml` with a verdict that follows from its rule and the raw figures.

A claim reproduces when the whole interval lies beyond its threshold, does not when the whole interval lies on the other
side (of `refuted`, where the rule names one), and is not settled otherwise. As many seeds as the rule names decide, the
first ones: what was added after a look does not. Without figures of that many seeds at that size it is not tested here.
Figures of a code version that does not hold the rule can't reproduce anything.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from experiments.figures import METRICS, Figure
from experiments.history import came_first, rule_commits
from experiments.results import FIGURES, By, Interval, Record, interval, read_lines
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.section import Section, load_yaml, validate

CLAIMS, LEDGER = Path("experiments/claims.yaml"), FIGURES / "ledger.jsonl"
REPRODUCES, REFUTED, OPEN, UNTESTED = "reproduces", "does not reproduce", "not settled", "not tested here"
AFTER, UNKNOWN = "rule written after the run", "the history does not tell whether the rule was before the run"
Direction = Literal["above", "below"]


class Bound(Section):
    """A second metric of the same figures, with its own threshold."""

    metric: str
    by: By
    direction: Direction
    threshold: float


class Claim(Section):
    """One claim of the reports.

    k2: their figure. metric: of `experiments/figures.py`; in words where no experiment measures it. by: what the
    interval is over. refuted: the bound of the other verdict where it is not the threshold. reaches: what the interval
    must also reach. also: must hold too for it to reproduce. unless: refutes it where it surely fails. rule: what the
    numbers don't say. arguments: of the experiment. needs: what a test would take. rule_commit: see `history`.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    statement: str
    source: str
    k2: str
    experiment: str = ""
    arguments: str = ""
    metric: str
    by: By
    unit: str
    direction: Direction
    threshold: float
    refuted: float | None = None
    reaches: float | None = None
    also: list[Bound] = []
    unless: list[Bound] = []
    size: str
    seeds: int = Field(ge=1)
    rule: str = ""
    needs: str = ""
    rule_commit: str = ""

    @model_validator(mode="after")
    def _measured_or_needs(self) -> "Claim":
        if not self.experiment and not self.needs:
            raise ValueError("needs: missing: no experiment measures this claim")
        if self.experiment and self.experiment not in METRICS:
            raise ValueError(f"experiment: {self.experiment}: none of {', '.join(METRICS)}")
        for name in (self.metric, *(bound.metric for bound in [*self.also, *self.unless])):
            if self.experiment and name not in METRICS[self.experiment]:
                raise ValueError(f"metric: {name}: not measured by {self.experiment}")
        return self


@dataclass(frozen=True)
class Judged:
    """A claim with what was found. value, low, high: of its metric, None where nothing was. note: why not more."""

    claim: Claim
    verdict: str
    note: str = ""
    told: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rule_commit: str = ""
    run_commit: str = ""

    def record(self) -> Record:
        """The line of the written ledger, which the report reads."""
        found = {key: value for key, value in asdict(self).items() if key != "claim"}
        return {"record": "verdict", **self.claim.model_dump(exclude_defaults=True), **found}


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """All claims, in the order of the file.

    Raises:
        InputError: one line that names the claim and the key.
    """
    value = load_yaml(path)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{path}: not a list of claims")
    claims = [validate(Claim, one, path, f"{one.get('name', k)}.") for k, one in enumerate(value)]
    names = [claim.name for claim in claims]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"{path}: {twice}: named twice")
    return claims


def beyond(span: Interval, direction: Direction, threshold: float) -> bool:
    """Whether the whole interval lies on that side of the threshold; one that touches it does not."""
    _, low, high = span
    return low > threshold if direction == "above" else high < threshold


def other(direction: Direction) -> Direction:
    return "below" if direction == "above" else "above"


def verdict(claim: Claim, span: Interval, also: Sequence[Interval | None], unless: Sequence[Interval | None]) -> str:
    """What the rule says of the intervals of its metrics; None is a metric that was not measured."""
    against = claim.threshold if claim.refuted is None else claim.refuted
    refuted = beyond(span, other(claim.direction), against) or any(
        found is not None and beyond(found, other(bound.direction), bound.threshold)
        for bound, found in zip(claim.unless, unless, strict=True)
    )
    if refuted:
        return REFUTED
    holds = beyond(span, claim.direction, claim.threshold) and None not in unless
    holds &= all(
        found is not None and beyond(found, bound.direction, bound.threshold)
        for bound, found in zip(claim.also, also, strict=True)
    )
    if claim.reaches is not None:
        holds &= not beyond(span, other(claim.direction), claim.reaches)
    return REPRODUCES if holds else OPEN


def figures_of(claim: Claim, root: Path) -> tuple[list[Record], str]:
    """The raw lines that may decide a claim, each with its stamp, and what is wrong with the others in words."""
    stamped = read_lines(root / FIGURES / f"{claim.experiment}.jsonl")
    sizes = sorted({str(line["stamp"].get("size", "")) for line in stamped})
    own = [line for line in stamped if line["stamp"].get("size") == claim.size]
    others = [size for size in sizes if size and size != claim.size]
    return [line for line in own if line.get("seed", 0) < claim.seeds], (
        f"there are figures of size {', '.join(others)} alone" if others and not own else ""
    )


def _span(figure: Figure, by: By) -> Interval:
    value, low, high = interval(figure.values, by)
    return figure.back(value), figure.back(low), figure.back(high)


def judge(claim: Claim, root: Path, rule_commit: str) -> Judged:
    """The verdict on one claim, from the figures under `root`."""
    needs = claim.needs or f"python -m experiments {claim.name}"
    if not claim.experiment:
        return Judged(claim, UNTESTED, needs, rule_commit=rule_commit)
    lines, problem = figures_of(claim, root)
    figure = METRICS[claim.experiment][claim.metric](lines)
    if figure is None or figure.seeds < claim.seeds:
        ran = f"{figure.seeds} of {claim.seeds} seeds ran" if figure else problem
        return Judged(claim, UNTESTED, "; ".join(filter(None, (ran, needs))), rule_commit=rule_commit)
    span = _span(figure, claim.by)
    also, unless = (
        [
            _span(second, bound.by) if (second := METRICS[claim.experiment][bound.metric](lines)) else None
            for bound in bounds
        ]
        for bounds in (claim.also, claim.unless)
    )
    word, notes = verdict(claim, span, also, unless), list[str]()
    for bound, span_of in zip([*claim.also, *claim.unless], [*also, *unless], strict=True):
        if span_of is None:
            notes.append(f"no figure of {bound.metric}")
        elif bound in claim.also and not beyond(span_of, bound.direction, bound.threshold):
            notes.append(f"{bound.metric} is not surely {bound.direction} {bound.threshold:g}")
        elif bound in claim.unless and beyond(span_of, other(bound.direction), bound.threshold):
            notes.append(f"{bound.metric} is surely {other(bound.direction)} {bound.threshold:g}")
    stamps = [line["stamp"] for line in figure.used]
    names = [f"{stamp.get('commit', '')}{' changed' if stamp.get('dirty') else ''}" for stamp in stamps]
    versions = list(dict.fromkeys(names))
    order = [
        bool(rule_commit)
        and came_first(root, rule_commit, str(stamp.get("commit", "")), itself=stamp.get("recorded", True))
        for stamp in {json.dumps(stamp, sort_keys=True): stamp for stamp in stamps}.values()
    ]
    if not all(order):
        word, notes = OPEN if word == REPRODUCES else word, [*notes, AFTER if False in order else UNKNOWN]
    return Judged(
        claim, word, "; ".join(notes), figure.told, *span, rule_commit=rule_commit, run_commit=", ".join(versions)
    )


def ledger(root: Path = Path()) -> list[Judged]:
    """Every claim with its verdict."""
    claims, commits = load_claims(root / CLAIMS), rule_commits(root, CLAIMS)
    return [judge(claim, root, commits.get(claim.name, "")) for claim in claims]


def write_ledger(root: Path = Path()) -> list[Judged]:
    """Makes the ledger anew and writes it where the report reads it."""
    every = ledger(root)
    with write_atomic(root / LEDGER) as tmp:
        lines = [json.dumps(one.record(), ensure_ascii=False) for one in every]
        tmp.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return every


def line_of(one: Judged) -> str:
    """A claim on one line: name, verdict, interval and threshold, size, both commits."""
    claim = one.claim
    wanted = f"{claim.direction} {claim.threshold:g} {claim.unit}"
    measured = f"{one.low:.4g} to {one.high:.4g}, wanted {wanted}" if one.low is not None else f"wanted {wanted}"
    commits = f"rule {one.rule_commit or 'not committed'}, run {one.run_commit or 'none'}"
    note = f" ({one.note})" if one.note else ""
    return f"{claim.name:24s} {one.verdict:18s} {measured}; {claim.size}, {claim.seeds} seeds; {commits}{note}"


def conclude(experiment: str) -> None:
    """What an experiment ends with: the ledger is written anew, its own claims are printed."""
    for one in write_ledger():
        if one.claim.experiment == experiment:
            print(line_of(one), flush=True)
