"""K2's claims about pre-training, measured at a size for one core.

    python -m experiments.pretraining --steps 240 --seeds 5

MuonClip against AdamW, both at a tuned rate: loss at equal tokens, tokens that AdamW needs for the same loss, loss
spikes. The largest attention logit per head without clip and with τ = 30 and 100, at a rate where it grows. Sparsity 8
against 48 at fixed active parameters, each at its own tuned rate. Half the heads. Rules and verdicts:
`experiments/claims.yaml`, `python -m experiments`. Run it where the stages corpus, tokenizer and tokens have run.
Results go to `docs/experiments/pretraining.jsonl` and to MLflow. Arms share data, seeds, schedule and weight decay;
only what an arm names differs, so differences are paired by seed. Finished runs are kept in
`work/experiments/pretraining` and not trained again.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from experiments.ledger import conclude
from experiments.pretraining_arms import CLIP_SEEDS, Experiment, charts, clip, optimizers, shapes, smooth
from experiments.pretraining_runs import CURVE_POINTS, LENGTH, ROWS, SIZE, VALIDATION_ROWS, PretrainArm, PretrainRun
from experiments.results import T95, Record, write_results
from stages.tracking.groups import RunGroup

OUT = Path("docs/experiments/pretraining.jsonl")


def records(name: str, runs: Sequence[PretrainRun]) -> list[Record]:
    """What the results file says of an arm's runs; the first one is drawn."""
    every = max(1, len(runs[0].losses) // CURVE_POINTS)
    rows: list[Record] = [
        {
            "arm": name,
            "seed": seed,
            "validation": round(run.validation, 6),
            "largest_logit": round(max(run.logits), 3),
            "settled_logit": round(max(run.logits[len(run.logits) // 2 :]), 3),
            "heads_clipped": round(run.clipped, 4),
            "spikes": run.spikes,
            "stamp": run.stamp,
        }
        for seed, run in enumerate(runs)
    ]
    rows[0]["loss_curve"] = [round(loss, 4) for loss in smooth(runs[0].losses)][::every]
    if name in ("no clip", "tau 30", "tau 100"):
        rows[0]["largest_logit_per_head"] = runs[0].heads
    return rows


def measure(e: Experiment) -> None:
    """Runs all arms."""
    muon_lr = e.tuned(PretrainArm("muonclip", lr=0.01, steps=e.steps))
    adam_lr = e.tuned(PretrainArm("adamw", "adamw", 0.004, steps=e.steps))
    optimizers(e, muon_lr, adam_lr)
    clip(e)
    shapes(e, muon_lr)


def write(e: Experiment) -> None:
    settings = {
        "preset": f"{SIZE}, 16 experts",
        "steps": e.steps,
        "tokens_per_step": LENGTH * ROWS,
        "seeds": len(e.seeds),
        "seeds_of_clip_arms": min(CLIP_SEEDS, len(e.seeds)),
        "validation_tokens": VALIDATION_ROWS * LENGTH,
    }
    write_results(
        OUT,
        settings,
        arms=[{"arm": name, "lr": arm.lr} for name, arm in e.arms.items()],
        runs=[record for name, runs in e.runs.items() for record in records(name, runs)],
        charts=charts(e),
    )


def log(e: Experiment) -> None:
    """One MLflow parent, a child for each arm and seed."""
    runs = RunGroup.open("pretraining claims", Path(), "experiment")
    for name, seeds in e.runs.items():
        for seed, run in enumerate(seeds):
            child = runs.start(f"{name}, seed {seed}", asdict(e.arms[name]) | {"seed": seed}, stage="arm", arm=name)
            metrics = {"validation_loss": run.validation, "heads_clipped": run.clipped, "spikes": run.spikes}
            curves = {"train/loss": dict(enumerate(run.losses))}
            if math.isfinite(max(run.logits)):
                curves["train/max_logit"] = dict(enumerate(run.logits))
            runs.finish(child, metrics, curves)
    runs.end(True, OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures K2's pre-training claims at a size for one core.")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(T95))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    experiment = Experiment(args.steps, args.seeds, lambda line: print(line, flush=True))
    measure(experiment)
    write(experiment)
    log(experiment)
    conclude("pretraining")


if __name__ == "__main__":
    main()
