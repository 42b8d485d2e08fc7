"""What a run of the experiment on RL leaves, and the report's charts of all."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from experiments.results import Record

OUTSIDE = "compare"  # a family that SFT showed and RL does not train


@dataclass
class RlOutcome:
    """One finished run. cpu_s: processor time of an iteration without an evaluation, the mean.

    before, after: success on the family outside the loop, nats per token on held conversations and held-out text.
    stamp: see `results`.
    """

    curve: list[dict[str, float]]
    before: dict[str, float]
    after: dict[str, float]
    cpu_s: float
    stamp: Record = field(default_factory=dict)


def curve_of(runs: Sequence[RlOutcome]) -> dict[str, list[tuple[float, float]]]:
    """Means over seeds of every measure, as (iteration, value)."""
    measures: dict[str, dict[float, list[float]]] = {}
    for row in (row for run in runs for row in run.curve):
        for key, value in row.items():
            if key != "iteration":
                measures.setdefault(key, {}).setdefault(row["iteration"], []).append(value)
    return {key: [(at, statistics.fmean(values)) for at, values in points.items()] for key, points in measures.items()}


def charts(runs: Mapping[str, list[RlOutcome]], families: Sequence[str]) -> list[Record]:
    """What the report draws: means over seeds, of the arms that have run."""
    curves = {name: curve_of(finished) for name, finished in runs.items() if finished}

    def chart(title: str, y: str, series: Sequence[tuple[str, str, str]]) -> Record:
        """Series of (shown name, arm, measure); none when one of them has not run."""
        drawn = [
            {"name": name, "x": [at for at, _ in points], "y": [round(value, 4) for _, value in points]}
            for name, arm, key in series
            if arm in curves and (points := curves[arm].get(key))
        ]
        return {"title": title, "x": "iteration", "y": y, "series": drawn if len(drawn) == len(series) else []}

    def pair(arms: Sequence[str], key: str) -> list[tuple[str, str, str]]:
        return [(arm, arm, key) for arm in arms]

    figures = [
        chart(
            f"Success on held problems, default RL, mean of {len(runs.get('default', []))} seeds",
            "greedy success",
            [(family, "default", f"held_success_{family}") for family in families],
        ),
        chart("Tokens of an answer with and without a budget", "tokens", pair(("budget", "no budget"), "length")),
        chart(
            "The critic on held pairs",
            "share right",
            [
                ("loop closed", "critic closed", "held_critic_accuracy"),
                ("switched off", "lean", "held_critic_accuracy"),
            ],
        ),
        chart(
            "Entropy of sampling as temperature decays",
            "nats per sampled token",
            pair(("decaying temperature", "constant temperature"), "surprise"),
        ),
        chart("Reward with INT4 rollouts (QAT) and with bf16", "reward", pair(("int4", "bf16"), "reward")),
    ]
    return [drawn for drawn in figures if drawn["series"]]
