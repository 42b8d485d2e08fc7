"""What the experiment on RL concludes from its runs: verdicts of claims, and the report's charts."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from experiments.results import Interval, Record, claim, interval

NO_RISE = 0.05  # a gain that is surely smaller counts as none
OUTSIDE = "compare"  # a family that SFT showed and RL does not train
LATE = 5  # iterations at the end whose mean counts as late


@dataclass
class RlOutcome:
    """One finished run. cpu_s: processor time of an iteration without an evaluation, the mean.

    before, after: success on the family outside the loop, nats per token on held conversations and held-out text.
    """

    curve: list[dict[str, float]]
    before: dict[str, float]
    after: dict[str, float]
    cpu_s: float

    def first(self, key: str) -> float:
        return self.curve[0][key]

    def last(self, key: str) -> float:
        return self.curve[-1][key]

    def late(self, key: str) -> float:
        return statistics.fmean([row[key] for row in self.curve if key in row][-LATE:])

    def success(self, at: int) -> float:
        """Mean held success over the families."""
        return statistics.fmean(value for key, value in self.curve[at].items() if key.startswith("held_success_"))


@dataclass
class Results:
    """Finished runs by arm; those of one seed stand at the same place in every arm."""

    runs: dict[str, list[RlOutcome]]

    def has(self, *names: str) -> bool:
        return all(len(self.runs.get(name, [])) >= 2 for name in names)

    def values(self, name: str, of: Callable[[RlOutcome], float]) -> list[float]:
        return [of(run) for run in self.runs[name]]

    def difference(self, a: str, b: str, of: Callable[[RlOutcome], float]) -> Interval:
        """a less b, paired by seed: mean and 95 % interval."""
        return interval([of(x) - of(y) for x, y in zip(self.runs[a], self.runs[b], strict=False)])


def learning(r: Results, families: Sequence[str]) -> list[Record]:
    rows = []
    for family in families:
        key = f"held_success_{family}"
        gains = r.values("default", lambda f, key=key: f.last(key) - f.first(key))  # type: ignore[misc]
        ends = ", ".join(f"{value:.0%}" for value in r.values("default", lambda f, key=key: f.last(key)))  # type: ignore[misc]
        first = r.runs["default"][0].first(key)
        ours = f"{family}: {first:.0%} to {ends}"
        rows.append(
            claim(
                f"RL raises held success on {family} by 15 points",
                "joint RL over verifiable tasks",
                ours,
                interval(gains),
                "points",
                min(gains) >= 0.15,
                max(gains) < 0.15,
            )
        )
    return rows


def budget(r: Results) -> list[Record]:
    shorter = r.difference("budget", "no budget", lambda f: f.late("length"))
    success = r.difference("budget", "no budget", lambda f: f.success(-1))
    lengths = [statistics.fmean(r.values(name, lambda f: f.late("length"))) for name in ("budget", "no budget")]
    first = statistics.fmean(r.values("no budget", lambda f: next(x["length"] for x in f.curve if "length" in x)))
    ours = f"{lengths[0]:.1f} tokens with, {lengths[1]:.1f} without ({first:.1f} at the start); "
    return [
        claim(
            "A token budget with a penalty shortens answers at equal accuracy",
            "budget control, no figure",
            f"{ours}success {success[0]:+.1%} [{success[1]:+.1%}, {success[2]:+.1%}]",
            shorter,
            "tokens",
            shorter[2] < 0 and success[2] >= 0,
            shorter[1] > 0 or success[2] < 0,
        )
    ]


def anti_forgetting(r: Results) -> list[Record]:
    rows = []
    for key, what, better, unit in (
        ("outside", f"success on {OUTSIDE}, a family outside the loop", 1, "points"),
        ("conversations", "loss on held conversations", -1, "nats a token"),
        ("text", "loss on held-out text", -1, "nats a token"),
    ):
        gap = r.difference("ptx", "lean", lambda f, key=key: f.after[key])  # type: ignore[misc]
        start = r.runs["lean"][0].before[key]
        with_ptx, without = (
            statistics.fmean(r.values(name, lambda f, key=key: f.after[key]))  # type: ignore[misc]
            for name in ("ptx", "lean")
        )
        ours = f"{start:.3f} before RL; {with_ptx:.3f} with PTX, {without:.3f} without"
        good, bad = (gap[1] > 0, gap[2] < 0) if better > 0 else (gap[2] < 0, gap[1] > 0)
        rows.append(
            claim(f"PTX keeps what RL does not train: {what}", "PTX loss, no figure", ours, gap, unit, good, bad)
        )
    return rows


def temperature(r: Results) -> list[Record]:
    names = ("decaying temperature", "constant temperature")
    surprise = r.difference(*names, lambda f: f.late("surprise"))
    sampled = r.difference(*names, lambda f: f.late("reward"))
    held = r.difference(*names, lambda f: f.success(-1))
    ends = [statistics.fmean(r.values(name, lambda f: f.late("surprise"))) for name in names]
    late = [statistics.fmean(r.values(name, lambda f: f.late("reward"))) for name in names]
    return [
        claim(
            "Temperature decay lowers entropy late",
            "high early, low late, no figure",
            f"{ends[0]:.3f} nats per sampled token with decay, {ends[1]:.3f} without",
            surprise,
            "nats a token",
            surprise[2] < 0,
            surprise[1] > 0,
        ),
        claim(
            "Temperature decay raises late accuracy of sampled answers",
            "high early, low late, no figure",
            f"reward {late[0]:.3f} with decay, {late[1]:.3f} without; greedy on held problems {held[0]:+.1%}",
            sampled,
            "of the reward",
            sampled[1] > 0,
            sampled[2] < 0,
        ),
    ]


def closed_loop(r: Results) -> list[Record]:
    key = "held_critic_accuracy"
    rows = []
    for name, words in (("critic closed", "closed: it rises"), ("lean", "switched off: it does not rise")):
        gains = interval(r.values(name, lambda f: f.last(key) - f.first(key)))
        ends = ", ".join(f"{value:.0%}" for value in r.values(name, lambda f: f.last(key)))
        ours = f"{r.runs[name][0].first(key):.0%} to {ends} on held pairs"
        rises = name == "critic closed"
        rows.append(
            claim(
                f"The critic's loop {words}",
                "critic refined with verifiable rollouts",
                ours,
                gains,
                "points",
                gains[1] > 0 if rises else gains[2] < NO_RISE,
                gains[2] <= 0 if rises else gains[1] > 0,
            )
        )
    gap = r.difference("critic closed", "lean", lambda f: f.last(key))
    rows.append(
        claim(
            "The critic is better with its loop closed than switched off",
            "critic refined with verifiable rollouts",
            f"{gap[0]:+.1%} on held pairs",
            gap,
            "points",
            gap[1] > 0,
            gap[2] < 0,
        )
    )
    return rows


def low_precision(r: Results) -> list[Record]:
    success = r.difference("int4", "bf16", lambda f: f.success(-1))
    reward = r.difference("int4", "bf16", lambda f: f.late("reward"))
    seconds = [statistics.fmean(r.values(name, lambda f: f.cpu_s)) for name in ("int4", "bf16")]
    gaps = [statistics.fmean(r.values(name, lambda f: f.late("mismatch"))) for name in ("int4", "bf16")]
    ours = f"late reward {reward[0]:+.3f} [{reward[1]:+.3f}, {reward[2]:+.3f}], held success {success[0]:+.1%}; "
    ours += f"{seconds[0]:.2f} s of processor time an iteration against {seconds[1]:.2f}; "
    return [
        claim(
            "QAT with INT4 rollouts learns like bf16 with bf16 rollouts",
            "INT4 rollouts, no loss of quality",
            f"{ours}mismatch {gaps[0]:.1e} against {gaps[1]:.1e}",
            reward,
            "of the reward",
            reward[1] > -0.1 and reward[2] >= 0,
            reward[2] < 0,
        )
    ]


def claims(r: Results, families: Sequence[str]) -> list[Record]:
    """Of the arms that have run with two seeds or more."""
    rows = learning(r, families) if r.has("default") else []
    rows += budget(r) if r.has("budget", "no budget") else []
    rows += anti_forgetting(r) if r.has("ptx", "lean") else []
    rows += temperature(r) if r.has("decaying temperature", "constant temperature") else []
    rows += closed_loop(r) if r.has("critic closed", "lean") else []
    rows += low_precision(r) if r.has("int4", "bf16") else []
    return rows


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
