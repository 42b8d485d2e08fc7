"""What the experiment on pre-training concludes from its runs: arms, verdicts of claims, the report's charts."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from experiments.pretraining_runs import (
    CURVE_POINTS,
    LENGTH,
    ROWS,
    PretrainArm,
    PretrainRun,
    config_of,
    kept,
)
from experiments.results import Record, claim, interval
from k2model.flops import train_flops_per_token

TUNING_SEED = 99  # no reported run uses it
CLIP_SEEDS = 3
STEEP = 0.16  # many times the tuned rate: logits pass 100 within 240 steps
MOONLIGHT_TOKENS = 1 / 0.52
HEADS_COST = 0.012  # the upper end of K2's 0.5 to 1.2 %


class Experiment:
    """Runs arms over seeds and remembers them."""

    def __init__(self, steps: int, seeds: int, say: Callable[[str], None]) -> None:
        self.steps, self.seeds, self.say = steps, list(range(seeds)), say
        self.runs: dict[str, list[PretrainRun]] = {}
        self.arms: dict[str, PretrainArm] = {}

    def run(self, arm: PretrainArm, seeds: int | None = None) -> list[PretrainRun]:
        runs = [kept(arm, seed) for seed in self.seeds[:seeds]]
        self.runs[arm.name], self.arms[arm.name] = runs, arm
        self.say(f"{arm.name}: validation {[round(run.validation, 4) for run in runs]}")
        return runs

    def tuned(self, arm: PretrainArm) -> float:
        """The best rate for an arm on a grid of factors of two, widened until the best is inside it."""
        tried: dict[float, float] = {}

        def loss_at(lr: float) -> float:
            if lr not in tried:
                tried[lr] = kept(replace(arm, lr=lr), TUNING_SEED).validation
            return tried[lr]

        best = arm.lr
        while (better := min((best / 2, best, best * 2), key=loss_at)) != best:
            best = better
        self.say(f"tuning {arm.name}: {tried}")
        return best

    def differences(self, a: str, b: str) -> list[float]:
        """Validation loss of a less that of b, by seed."""
        pairs = zip(self.runs[a], self.runs[b], strict=False)
        return [x.validation - y.validation for x, y in pairs]


def optimizers(e: Experiment, muon_lr: float, adam_lr: float) -> list[Record]:
    """Claims (a) and (e)."""
    muon = e.run(PretrainArm("muonclip", lr=muon_lr, steps=e.steps))
    once = e.run(PretrainArm("adamw", "adamw", adam_lr, steps=e.steps))
    twice = e.run(PretrainArm("adamw, twice the tokens", "adamw", adam_lr, steps=2 * e.steps))
    gain = interval(e.differences("adamw", "muonclip"))
    # Loss falls about linearly in log(tokens) between the two lengths.
    doublings = interval(
        [
            (a.validation - m.validation) / max(a.validation - b.validation, 1e-6)
            for a, b, m in zip(once, twice, muon, strict=True)
        ]
    )
    tokens, least, most = (2**value for value in doublings)
    per_thousand = [interval([1000 * f.spikes / e.steps for f in runs]) for runs in (muon, once)]
    total = sum(run.spikes for run in muon)
    return [
        claim(
            "MuonClip's loss is below tuned AdamW's at equal tokens",
            "token efficiency, no figure",
            f"{gain[0]:+.3f} nats better",
            gain,
            "nats",
            gain[1] > 0,
            gain[2] < 0,
        ),
        claim(
            "Tokens that AdamW needs for MuonClip's loss",
            "Moonlight: 1.92 times (52 % of the FLOPs)",
            f"{tokens:.2f} times",
            (tokens, least, most),
            "times",
            least >= 1.5 and most >= MOONLIGHT_TOKENS,
            most < 1.5,
        ),
        claim(
            "No loss spikes with MuonClip",
            "0 in 15.5T tokens",
            f"{total} in {len(muon) * e.steps} steps; AdamW {per_thousand[1][0]:.2f} per 1,000",
            per_thousand[0],
            "spikes per 1,000 steps",
            total == 0,
            per_thousand[0][1] > 0,
        ),
    ]


def clip(e: Experiment) -> list[Record]:
    """Claim (b)."""
    taus = {"no clip": 0.0, "tau 30": 30.0, "tau 100": 100.0}
    for name, tau in taus.items():
        e.run(PretrainArm(name, lr=STEEP, tau=tau, steps=e.steps), CLIP_SEEDS)
    largest = {name: [max(run.logits) for run in e.runs[name]] for name in taus}
    settled = {name: [max(run.logits[len(run.logits) // 2 :]) for run in e.runs[name]] for name in taus}
    free = interval(largest["no clip"])
    held = all(max(settled[name]) < 1.5 * taus[name] for name in ("tau 30", "tau 100"))
    shown = ", ".join(f"{name} {statistics.fmean(values):.0f}" for name, values in largest.items())
    later = ", ".join(f"{name} {statistics.fmean(values):.0f}" for name, values in settled.items())
    rows = [
        claim(
            "Without clip the largest logit grows; τ holds it",
            "beyond 1000 without; 100 with",
            f"largest: {shown}; in the second half: {later}",
            free,
            "as largest logit",
            free[1] > 100 and held,
            free[0] > 100 and not held,
        )
    ]
    for name in ("tau 30", "tau 100"):
        harm = interval(e.differences(name, "no clip"))
        acted = statistics.fmean(run.clipped for run in e.runs[name])
        rows.append(
            claim(
                f"QK-Clip at τ = {taus[name]:.0f} does not cost loss",
                "no difference (τ = 30)",
                f"{harm[0]:+.4f} nats; {acted:.0%} of the heads were clipped at some step",
                harm,
                "nats",
                acted > 0 and harm[2] < 0.02,
                acted > 0 and harm[1] > 0.02,
            )
        )
    return rows


def shapes(e: Experiment, muon_lr: float) -> list[Record]:
    """Claims (c) and (d); the arm `muonclip` has sparsity 8 and two heads."""
    sparse = PretrainArm("sparsity 48", lr=muon_lr, experts=96, steps=e.steps)
    e.run(replace(sparse, lr=e.tuned(sparse)))
    e.run(PretrainArm("heads 4", lr=muon_lr, heads=4, steps=e.steps))
    fall = interval(e.differences("muonclip", "sparsity 48"))
    cost = interval(e.differences("muonclip", "heads 4"))
    flops = [train_flops_per_token(config_of(PretrainArm("", heads=heads)), LENGTH) for heads in (4, 2)]
    little = HEADS_COST * statistics.fmean(run.validation for run in e.runs["heads 4"])
    return [
        claim(
            "Sparsity 8 → 48 at fixed active parameters lowers the loss",
            "1.69× fewer FLOPs for the same loss",
            f"{fall[0]:+.4f} nats lower",
            fall,
            "nats",
            fall[1] > 0,
            fall[2] < 0,
        ),
        claim(
            "Half the heads cost little loss",
            "0.5 to 1.2 % of the loss",
            f"{cost[0]:+.4f} nats ({cost[0] / little * HEADS_COST:+.2%}) for {1 - flops[1] / flops[0]:.1%} fewer FLOPs",
            cost,
            "nats",
            cost[2] < little,
            cost[1] > little,
        ),
    ]


def smooth(values: Sequence[float]) -> list[float]:
    """Running mean over eight steps."""
    return [statistics.fmean(values[max(0, k - 7) : k + 1]) for k in range(len(values))]


def charts(e: Experiment) -> list[Record]:
    """What the report draws: losses of both optimizers, largest logits and losses of the clip arms, logits per head."""

    def curve(name: str, measure: str, unit: int) -> Record:
        runs = e.runs[name]
        mean = [statistics.fmean(values) for values in zip(*(getattr(run, measure) for run in runs), strict=True)]
        steps = range(0, len(mean), max(1, len(mean) // CURVE_POINTS))
        mean = smooth(mean) if measure == "losses" else mean
        return {"name": name, "x": [step * unit for step in steps], "y": [round(mean[step], 4) for step in steps]}

    optimizers, taus = ("muonclip", "adamw", "adamw, twice the tokens"), ("no clip", "tau 30", "tau 100")
    steep = f"rate {STEEP}, mean of {len(e.runs['no clip'])} seeds"
    heads = e.runs["no clip"][0].heads
    every = max(1, e.steps // CURVE_POINTS)
    per_head = [
        {"name": f"head {k}", "x": list(range(0, e.steps, every))[: len(heads)], "y": [row[k] for row in heads]}
        for k in range(len(heads[0]))
    ]
    tokens = LENGTH * ROWS
    return [
        {
            "title": f"Training loss at the tuned rates, mean of {len(e.seeds)} seeds",
            "x": "tokens",
            "y": "nats per token",
            "series": [curve(name, "losses", tokens) for name in optimizers],
        },
        {
            "title": f"Largest attention logit, {steep}",
            "x": "step",
            "y": "logit",
            "series": [curve(name, "logits", 1) for name in taus],
        },
        {
            "title": f"Training loss beside it, {steep}",
            "x": "step",
            "y": "nats per token",
            "series": [curve(name, "losses", 1) for name in taus],
        },
        {
            "title": f"Largest logit of each head without clip, rate {STEEP}, first seed",
            "x": "step",
            "y": "logit",
            "series": per_head,
        },
    ]
