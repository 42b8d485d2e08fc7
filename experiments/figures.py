"""What each claim's metric is, out of the raw figures of its experiment.

A metric takes an experiment's lines, of the claim's seeds and size alone, and gives a `Figure`, or None where nothing
of it was measured. Values are one a seed, or one an item (its mean over the seeds).
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.results import Record, over_seeds

Lines = Sequence[Record]
Value = Callable[[Record], float]
LATE = 5  # iterations at the end whose mean counts as late
AGENT_BUDGET, CODING_BUDGET = 4000, 6000  # learned tokens of the agent


@dataclass(frozen=True)
class Figure:
    """What was measured.

    values: what the interval is taken of. seeds: that it rests on. told: the measured quantities in words.
    used: the lines that it is from. back: from the scale in which values are averaged to that of the threshold.
    """

    values: list[float]
    seeds: int
    told: str
    used: Lines
    back: Callable[[float], float] = float


Metric = Callable[[Lines], Figure | None]


def pick(lines: Lines, **wanted: Any) -> list[Record]:
    """Lines that say all of it, in the order of their seeds."""
    return sorted((line for line in lines if wanted.items() <= line.items()), key=lambda line: line.get("seed", 0))


def field(name: str) -> Value:
    """A number of a line; `a.b` is the number b in a."""

    def value(line: Record) -> float:
        found: Any = line
        for part in name.split("."):
            found = found[part]
        return float(found)

    return value


def first(key: str) -> Value:
    return lambda run: float(run["curves"][key][0][1])


def last(key: str) -> Value:
    return lambda run: float(run["curves"][key][-1][1])


def late(key: str) -> Value:
    return lambda run: statistics.fmean(value for _, value in run["curves"][key][-LATE:])


def success(run: Record) -> float:
    """Mean held success over RL's families at the end."""
    return statistics.fmean(points[-1][1] for key, points in run["curves"].items() if key.startswith("held_success_"))


def _rises(key: str) -> Value:
    return lambda run: last(key)(run) - first(key)(run)


def _told(ours: Sequence[float], theirs: Sequence[float] = ()) -> str:
    means = [statistics.fmean(values) for values in (ours, theirs) if values]
    return " against ".join(f"{mean:.4g}" for mean in means)


def runs(arm: str, value: Value) -> Metric:
    """A number of each run of an arm."""

    def metric(lines: Lines) -> Figure | None:
        own = pick(lines, record="run", arm=arm)
        values = [value(run) for run in own]
        return Figure(values, len(own), _told(values), own) if own else None

    return metric


def gap(arm: str, other: str, value: Value, *, relative: bool = False) -> Metric:
    """One arm less another, paired by seed; `relative` to the mean of the other."""

    def metric(lines: Lines) -> Figure | None:
        a = {run["seed"]: run for run in pick(lines, record="run", arm=arm)}
        b = {run["seed"]: run for run in pick(lines, record="run", arm=other)}
        both = sorted(a.keys() & b.keys())
        if not both:
            return None
        ours, theirs = [value(a[seed]) for seed in both], [value(b[seed]) for seed in both]
        scale = statistics.fmean(theirs) if relative else 1.0
        values = [(x - y) / scale for x, y in zip(ours, theirs)]
        used = [runs[seed] for seed in both for runs in (a, b)]
        return Figure(values, len(both), _told(ours, theirs), used)

    return metric


def doublings(lines: Lines) -> Figure | None:
    """Times the tokens that AdamW needs for MuonClip's loss; loss falls linearly in log(tokens) between two lengths."""
    once, twice, muon = (
        {run["seed"]: run for run in pick(lines, record="run", arm=arm)}
        for arm in ("adamw", "adamw, twice the tokens", "muonclip")
    )
    seeds = sorted(once.keys() & twice.keys() & muon.keys())
    if not seeds:
        return None
    loss = field("validation")
    values = [(loss(once[seed]) - loss(muon[seed])) / max(loss(once[seed]) - loss(twice[seed]), 1e-6) for seed in seeds]
    used = [arm[seed] for seed in seeds for arm in (once, twice, muon)]
    return Figure(values, len(seeds), f"{2 ** statistics.fmean(values):.3g} times", used, lambda value: 2**value)


def trend(lines: Lines) -> Figure | None:
    """The gain of sparsity 48 at twice the width less that at the width of before, paired by seed."""
    narrow, wide = (
        gap(f"sparsity 8, width {width}", f"sparsity 48, width {width}", field("validation"))(lines) for width in (1, 2)
    )
    if narrow is None or wide is None:
        return None
    values = [b - a for a, b in zip(narrow.values, wide.values)]
    told = _told(wide.values, narrow.values)
    return Figure(values, min(narrow.seeds, wide.seeds), told, [*narrow.used, *wide.used])


def settled(lines: Lines) -> Figure | None:
    """Largest logit in the second half of a run over its τ, the worst run of both; None where runs didn't keep it."""
    taus = {"tau 30": 30.0, "tau 100": 100.0}
    own = [run for arm in taus for run in pick(lines, record="run", arm=arm)]
    if not own or not all("settled_logit" in run for run in own):
        return None
    worst = max(run["settled_logit"] / taus[run["arm"]] for run in own)
    return Figure([worst], min(len(pick(own, arm=arm)) for arm in taus), f"{worst:.3g} τ at most", own)


def items(key: str, ours: Record, theirs: Record) -> Metric:
    """Outcomes by item of one set of lines less those of another, in the seeds that both have."""

    def metric(lines: Lines) -> Figure | None:
        a, b = pick(lines, **ours), pick(lines, **theirs)
        if b and "seed" not in b[0]:  # one start for all seeds
            b = [b[0] | {"seed": line["seed"]} for line in a]
        seeds = {line["seed"] for line in a} & {line["seed"] for line in b}
        if not seeds:
            return None
        used = [[line for line in own if line["seed"] in seeds] for own in (a, b)]
        mine, other = (over_seeds(own, key) for own in used)
        told = f"{statistics.fmean(mine):.0%} against {statistics.fmean(other):.0%} of {len(mine)}"
        return Figure([x - y for x, y in zip(mine, other, strict=True)], len(seeds), told, [*used[0], *used[1]])

    return metric


def share(wanted: Record) -> Metric:
    """The share right of each item."""

    def metric(lines: Lines) -> Figure | None:
        own = pick(lines, **wanted)
        if not own:
            return None
        each = over_seeds(own, "each")
        return Figure(each, len(own), f"{statistics.fmean(each):.0%} of {len(each)}", own)

    return metric


def text(wanted: Record, base: Record, key: str = "loss") -> Metric:
    """Loss on held-out text of each seed (its mean over lines) less the base's."""

    def metric(lines: Lines) -> Figure | None:
        before, after = pick(lines, **base), pick(lines, **wanted)
        if not before or not after:
            return None
        start = before[0]["loss"]
        losses = [
            statistics.fmean(line[key] for line in after if line["seed"] == seed)
            for seed in dict.fromkeys(line["seed"] for line in after)
        ]
        return Figure([loss - start for loss in losses], len(losses), _told(losses, [start]), [before[0], *after])

    return metric


def recorded(better: str, worse: str) -> Metric:
    """The difference in choosing the right answer, with the bootstrap over facts that the run took."""

    def metric(lines: Lines) -> Figure | None:
        settings = pick(lines, record="settings")
        if not settings:
            return None
        found = settings[0]["differences"]["choice"][f"{better} - {worse}"]
        ours, theirs = (pick(lines, record="arm", arm=arm)[0]["choice"] for arm in (better, worse))
        told = f"{ours:.1%} against {theirs:.1%} of choices"
        return Figure([found["mean"], *found["ci"]], settings[0]["setup"]["seeds"], told, settings)

    return metric


def concluded(of: str) -> Metric:
    """What the experiment itself concludes of its runs, with the interval that it took."""

    def metric(lines: Lines) -> Figure | None:
        found = pick(lines, record="figure", of=of)
        if not found:
            return None
        values = [float(found[0][key]) for key in ("mean", "low", "high")]
        return Figure(values, 1, f"{values[0]:.4g}", pick(lines, record="run"))

    return metric


def _simple(arm: str, category: str) -> Record:
    free = {"record": "score", "budget": AGENT_BUDGET, "grammar": False, "choose": False}
    return free | {"arm": arm, "category": category}


def _agentic(arm: str) -> dict[str, Metric]:
    base, learned = {"record": "text", "arm": "base"}, {"record": "text", "arm": arm, "budget": AGENT_BUDGET}
    return {
        f"{arm}_calls": items("each", _simple(arm, "simple_python"), _simple("before", "simple_python")),
        f"{arm}_silence": share(_simple(arm, "irrelevance")),
        f"{arm}_text": text(learned, base),
    }


def _sessions(measure: str) -> Metric:
    kind = {"record": "sessions", "budget": CODING_BUDGET}
    return items(measure, kind | {"arm": "with"}, kind | {"arm": "without"})


def _taught(family: str) -> Metric:
    return items("each", {"record": "after", "family": family}, {"record": "before", "family": family})


CRITIC = "held_critic_accuracy"
DESKS = {"record": "desks", "budget": AGENT_BUDGET}
METRICS: dict[str, dict[str, Metric]] = {
    "pretraining": {
        "validation_gain": gap("adamw", "muonclip", field("validation")),
        "times_the_tokens": doublings,
        "spikes": runs("muonclip", field("spikes")),
        "spikes_of_adamw": runs("adamw", field("spikes")),
        "free_logit": runs("no clip", field("largest_logit")),
        "settled_over_tau": settled,
        "cost_of_tau_30": gap("tau 30", "no clip", field("validation")),
        "cost_of_tau_100": gap("tau 100", "no clip", field("validation")),
        "clipped_at_30": runs("tau 30", field("heads_clipped")),
        "clipped_at_100": runs("tau 100", field("heads_clipped")),
        "sparsity_gain": gap("muonclip", "sparsity 48", field("validation")),
        "cost_of_half_the_heads": gap("muonclip", "heads 4", field("validation"), relative=True),
    },
    "sparsity": {
        "wide_gain": gap("sparsity 8, width 2", "sparsity 48, width 2", field("validation")),
        "gain_by_width": trend,
    },
    "rephrase": {
        "many_over_raw": recorded("many", "raw"),
        "one_over_raw": recorded("one", "raw"),
        "many_over_one": recorded("many", "one"),
    },
    "agentic_data": {
        **_agentic("singles"),
        **_agentic("requests"),
        "desks": items("each", DESKS | {"arm": "all"}, DESKS | {"arm": "before"}),
    },
    "coding": {
        "valid_calls": _sessions("valid_calls"),
        "place_found": _sessions("opened_function"),
        "with_text": text(
            {"record": "text", "arm": "with", "budget": CODING_BUDGET}, {"record": "text", "arm": "base"}
        ),
    },
    "rl_families": {
        **{f"{name}_taught": _taught(name) for name in ("calls", "code", "arithmetic_words", "instructions")},
        "families_text": text({"record": "after"}, {"record": "text", "of": "base"}, "text"),
    },
    "int4_quality": {
        "qat_on_k2s_grid": concluded("k2/qat - bf16"),
        "rounding_on_the_hard_grid": concluded("hard/nearest - bf16"),
        "won_back_on_the_hard_grid": concluded("share won back by hard/qat"),
        "distilled_less_plain": concluded("hard/distilled - hard/qat"),
    },
    "qat_seeds": {
        "cost_of_qat": runs("qat", field("qat_minus_bf16")),
        "qat_less_rounding": runs("qat", lambda run: float(run["qat_minus_bf16"] - run["ptq_minus_bf16"])),
    },
    "rl": {
        **{f"{name}_gain": runs("default", _rises(f"held_success_{name}")) for name in ("parity", "size", "category")},
        "budget_length": gap("budget", "no budget", late("length")),
        "budget_success": gap("budget", "no budget", success),
        "ptx_outside": gap("ptx", "lean", field("after.outside")),
        "ptx_conversations": gap("ptx", "lean", field("after.conversations")),
        "ptx_text": gap("ptx", "lean", field("after.text")),
        "decay_reward": gap("decaying temperature", "constant temperature", late("reward")),
        "critic_closed": runs("critic closed", _rises(CRITIC)),
        "critic_off": runs("lean", _rises(CRITIC)),
        "critic_gap": gap("critic closed", "lean", last(CRITIC)),
        "int4_reward": gap("int4", "bf16", late("reward")),
    },
}
