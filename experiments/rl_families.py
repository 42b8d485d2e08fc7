"""What RL teaches in each family by itself, measured on things that no task to learn from is about.

    python -m experiments.rl_families --start models/sft --families calls,code --seeds 0,1,2

Each run goes on from the same checkpoint with `params.yaml: rl` as it stands, on prompts of one family alone, without
open prompts. Held tasks (other tools, functions, numbers, topics) are answered greedily before and after; held-out text
stands beside. Checkpoints stay in work/experiments/rl_families, from which a killed run goes on; lines of
docs/experiments/rl_families.jsonl are not measured again.

Rules and verdicts: `experiments/claims.yaml`, `python -m experiments`.
"""

import argparse
import statistics
from functools import partial
from pathlib import Path

import torch

from experiments.ledger import conclude
from experiments.results import Record, RunsFile
from gym.intervals import wilson
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import folder_tokenizer
from k2model.model import K2Model
from stages.harness.hooks import Hooks
from stages.harness.section import load_common, load_section
from stages.harness.seeds import seed32
from stages.measure.text_loss import HeldText
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import clean, trajectories
from stages.posttraining.params import TasksParams
from stages.rl.families import Families, open_families
from stages.rl.loop import Loop, RlSetup
from stages.rl.params import RlParams
from stages.rl.ptx import quality_data
from stages.rl.sampling import held_scores

RUNS, KEPT = RunsFile(Path("docs/experiments/rl_families.jsonl")), Path("work/experiments/rl_families")
BASE, FACTS, TOKENS = Path("models/base"), Path("data/facts.parquet"), Path("data/tokens")
TRAJECTORIES = Path("data/trajectories.parquet")


def measure(model: K2Model, families: Families, name: str, p: RlParams, n: int, difficulty: float) -> Record:
    """Held tasks, the same ones for every run, and held-out text of one network; a verifier's error counts as 0."""
    tasks = families.tasks(name, "held", n, 0, difficulty)
    scores = held_scores(model.eval(), folder_tokenizer(BASE), families, name, tasks, p)
    each = [score or 0.0 for score in scores]
    share = {"success": statistics.fmean(each), "interval": wilson(round(sum(each)), len(each))}
    return {"each": each, **share, "text": _text(model)}


def _text(model: K2Model) -> float:
    """Nats a token of held-out text."""
    return HeldText(load_common().seed)(model.eval(), folder_tokenizer(BASE)).metrics()["text_loss"]


def _told(name: str, done: int, note: str) -> None:
    print(f"{name}: {note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, default=Path("models/sft"))
    parser.add_argument("--families", default="calls,code,arithmetic_words,instructions")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--iterations", type=int, default=12, help="0 measures the start alone")
    parser.add_argument("--held", type=int, default=60, help="tasks that are measured on")
    args = parser.parse_args()
    common, tasks = load_common(), load_section("tasks", TasksParams)
    section = load_section("rl", RlParams)
    critic = section.critic.model_copy(update={"open_prompts": 0, "coefficient": 0.0, "held_pairs": 0})
    lean = {"iterations": args.iterations, "eval_every": max(1, args.iterations), "critic": critic, "held_tasks": 1}
    p = section.model_copy(update=lean)
    torch.set_num_threads(common.threads)
    tokenizer, index = folder_tokenizer(BASE), read_index(TOKENS)
    if not RUNS.has(untuned := {"record": "text", "of": "base"}):
        RUNS.add(untuned | {"loss": _text(load_checkpoint(BASE))})
    for name in args.families.split(","):
        with open_families([name], FACTS, p.limits) as families:
            before = {"record": "before", "family": name, "held": args.held}
            if not RUNS.has(before):
                start = load_checkpoint(args.start)
                RUNS.add(before | measure(start, families, name, p, args.held, tasks.difficulty))
            for seed in map(int, args.seeds.split(",")) if args.iterations else ():
                run = {"family": name, "seed": seed, "iterations": args.iterations, "held": args.held}
                if RUNS.has({"record": "after"} | run):
                    continue
                kept, _ = clean(trajectories(TRAJECTORIES), index)
                ptx, _ = quality_data(tokenizer, p, tasks.difficulty, kept, seed32(seed, "ptx"), index)
                work = KEPT / f"{name.replace('/', '-')}-{seed}-{args.iterations}"
                setup = RlSetup(p, args.start, work, seed, tokenizer, ptx, families, tasks.difficulty, index)
                loop = Loop(setup, Hooks(progress=partial(_told, name)))
                curve = loop.run()
                found = measure(loop.engine.model, families, name, p, args.held, tasks.difficulty)
                rewards = [row["reward"] for row in curve if "reward" in row]
                RUNS.add({"record": "after"} | run | found | {"rewards": rewards, "seconds": loop.seconds})
    conclude("rl_families")


if __name__ == "__main__":
    main()
