"""What RL teaches in each family by itself, measured on things that no task to learn from is about.

    python -m experiments.rl_families --start models/sft --families calls,code --seeds 0,1,2

Each run goes on from the same checkpoint with `params.yaml: rl` as it stands, on prompts of one family alone, without
open prompts. Held tasks (other tools, functions, numbers, topics) are answered greedily before and after; held-out text
stands beside. Checkpoints stay in work/experiments/rl_families, from which a killed run goes on; lines of
docs/experiments/rl_families.jsonl are not measured again, and end with what follows from them.

Rules, written before any of these runs:
- RL teaches a family: success on held tasks after − before, paired by task, averaged over the seeds; it reproduces when
  the 95 % interval lies above +15 points, does not when it lies below +15.
- language is kept: loss on held-out text at most 0.15 nats above models/base, by the interval over the seeds.
Fewer than three seeds make no claim; they stand in the table.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from experiments.results import SEEDS, Record, RunsFile, claim, interval, over_seeds, paired
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
TAUGHT, TEXT_ROOM = 0.15, 0.15  # a share of held tasks; nats
K2 = "verifiable rewards; no figure for a family"


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
    RUNS.conclude(claim=claims)


def claims(lines: Sequence[Record]) -> list[Record]:
    """The verdicts of the rules, of families with enough seeds."""
    rows: list[Record] = []
    for before in (line for line in lines if line["record"] == "before"):
        same = {"record": "after", "family": before["family"], "held": before["held"]}
        runs = [line for line in lines if same.items() <= line.items()]
        if len(runs) < SEEDS:
            continue
        gain = paired(runs, [{**before, "seed": run["seed"]} for run in runs], "each")
        after = statistics.fmean(over_seeds(runs, "each"))
        ours = f"{before['success']:.0%} to {after:.0%} of {len(before['each'])} held tasks ({len(runs)} seeds)"
        text = f"RL on verifiable rewards teaches {before['family']} on things it has not met"
        rows.append(claim(text, K2, ours, gain, "points", gain[1] > TAUGHT, gain[2] < TAUGHT))
    by_seed: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        if line["record"] == "after":
            by_seed[line["seed"]].append(line["text"])
    losses = [statistics.fmean(own) for own in by_seed.values()]
    if len(losses) >= SEEDS:
        (base,) = (line["loss"] for line in lines if line["record"] == "text")
        gain = interval([loss - base for loss in losses])
        ours = f"{statistics.fmean(losses):.3f} against {base:.3f} before all tuning, in {len(losses)} seeds"
        good, bad = gain[2] <= TEXT_ROOM, gain[1] > TEXT_ROOM
        rows.append(claim("RL in one family keeps the language", K2, ours, gain, "nats a token", good, bad))
    return rows


if __name__ == "__main__":
    main()
