"""Does sparsity gain more in a larger network? Kimi K2 §2.3, figure 5, at two widths.

    python -m experiments.sparsity --steps 240 --seeds 5

Sparsity 8 and 48 at fixed active parameters in the network of `experiments.pretraining`, as it is and twice as wide,
which has four times the active parameters in its feed-forward layers and trains on four times the tokens; each at its
own tuned rate, paired by seed. Run it where the stages corpus, tokenizer and tokens have run. Finished runs are kept in
`work/experiments/pretraining` and not trained again; lines go to `docs/experiments/sparsity.jsonl`. Rules and verdicts:
`experiments/claims.yaml`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from experiments.ledger import conclude
from experiments.pretraining_arms import Experiment
from experiments.pretraining_runs import SIZE, PretrainArm
from experiments.results import T95, RunsFile

RUNS = RunsFile(Path("docs/experiments/sparsity.jsonl"), SIZE)
WIDTHS, EXPERTS = (1, 2), {8: 16, 48: 96}  # sparsity → experts, of which two are active


def measure(steps: int, seeds: int, runs: RunsFile) -> None:
    """Tunes and runs every arm; a line for each run that has none yet."""
    for width in WIDTHS:
        e = Experiment(steps * width**2, seeds, lambda line: print(line, flush=True))
        for sparsity, experts in EXPERTS.items():
            name = f"sparsity {sparsity}, width {width}"
            arm = PretrainArm(name, experts=experts, width=width, steps=e.steps)
            arm = replace(arm, lr=e.tuned(arm))
            for seed, run in enumerate(e.run(arm)):
                key = {"record": "run", "arm": name, "seed": seed, "lr": arm.lr, "steps": arm.steps}
                if not runs.has(key):
                    runs.add(key | {"validation": round(run.validation, 6), "stamp": run.stamp})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=240, help="of the narrow network; four times as many wide")
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(T95))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    measure(args.steps, args.seeds, RUNS)
    conclude("sparsity")


if __name__ == "__main__":
    main()
