"""What the experiment on pre-training runs, and the report's charts of it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from experiments.pretraining_runs import (
    CURVE_POINTS,
    LENGTH,
    ROWS,
    PretrainArm,
    PretrainRun,
    kept,
)
from experiments.results import Record

TUNING_SEED = 99  # no reported run uses it
CLIP_SEEDS = 3
STEEP = 0.16  # many times the tuned rate: logits pass 100 within 240 steps


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


def optimizers(e: Experiment, muon_lr: float, adam_lr: float) -> None:
    """MuonClip, AdamW, and AdamW on twice the tokens, each at its rate."""
    e.run(PretrainArm("muonclip", lr=muon_lr, steps=e.steps))
    e.run(PretrainArm("adamw", "adamw", adam_lr, steps=e.steps))
    e.run(PretrainArm("adamw, twice the tokens", "adamw", adam_lr, steps=2 * e.steps))


def clip(e: Experiment) -> None:
    """QK-Clip's thresholds at a rate where logits grow."""
    for name, tau in {"no clip": 0.0, "tau 30": 30.0, "tau 100": 100.0}.items():
        e.run(PretrainArm(name, lr=STEEP, tau=tau, steps=e.steps), CLIP_SEEDS)


def shapes(e: Experiment, muon_lr: float) -> None:
    """More experts, more heads; the arm `muonclip` has sparsity 8 and two heads."""
    sparse = PretrainArm("sparsity 48", lr=muon_lr, experts=96, steps=e.steps)
    e.run(replace(sparse, lr=e.tuned(sparse)))
    e.run(PretrainArm("heads 4", lr=muon_lr, heads=4, steps=e.steps))


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
