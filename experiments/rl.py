"""K2's claims about RL, measured at the size of params.yaml.

    python -m experiments.rl --seeds 3 [--iterations 30] [--only default,lean]

Without `--only` every arm runs; with it the results file still shows every arm that has run before.

The main curve is `params.yaml: rl` as it stands. The other arms differ from a lean one (no PTX, no critic, no open
prompts, fewer iterations) in what they name: PTX, the critic's loop, a constant temperature, bfloat16 or INT4
rollouts. The token budget is measured from a checkpoint that was tuned to think in useless words before it answers.
Run it where the stages up to sft have run. Results go to `docs/experiments/rl.jsonl` and to MLflow; arms are paired by
seed. Finished runs are kept in `work/experiments/rl`, unfinished ones go on from their last checkpoint.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.ledger import conclude
from experiments.results import T95, Record, stamp, write_results
from experiments.rl_outcome import OUTSIDE, RlOutcome, charts
from gym.tasksets.elementary import WORDS, Elementary
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.model import K2Model, Output
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from k2model.training.token_shards import TokenStream
from stages.dial import load_params, merge
from stages.harness.files import fingerprint, sha256_tree, write_json
from stages.harness.hooks import Hooks
from stages.harness.seeds import rng, seed32, sub_seed
from stages.measure.loss import mean_loss, stream_loss
from stages.measure.tasks import elementary_scores
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import Conversation, clean, encode, trajectories
from stages.posttraining.packing import Packed, pack, plan
from stages.rl.families import open_families
from stages.rl.loop import Loop, RlSetup
from stages.rl.params import RlParams
from stages.rl.ptx import quality_data
from stages.tracking.groups import RunGroup

START, TOKENS = Path("models/sft"), Path("data/tokens")
TRAJECTORIES, FACTS = Path("data/trajectories.parquet"), Path("data/facts.parquet")
OUT, KEPT = Path("docs/experiments/rl.jsonl"), Path("work/experiments/rl")
HELD_CONVERSATIONS, HELD_ROWS, HELD_LENGTH = 40, 32, 128
WORDY_STEPS, WORDY_LR, WORDY_MOST = 24, 0.002, 14


@dataclass(frozen=True)
class RlArm:
    """Changes to the RL parameters, and the checkpoint: `sft`, or `wordy` which thinks in useless words."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    start: str = "sft"


def lean(iterations: int) -> dict[str, Any]:
    off = {"open_prompts": 0, "coefficient": 0.0, "held_pairs": 90}
    return {"iterations": iterations, "eval_every": max(1, iterations // 2), "ptx": 0.0, "critic": off}


def arms(iterations: int) -> list[RlArm]:
    base = lean(iterations)

    def changed(name: str, changes: dict[str, Any], start: str = "sft") -> RlArm:
        return RlArm(name, merge(base, changes), start)

    return [
        RlArm("default"),
        RlArm("lean", base),
        changed("critic closed", {"critic": {"coefficient": 1.0, "pairs": 10}}),
        changed("ptx", {"ptx": 0.3}),
        changed("constant temperature", {"temperature": {"first": 1.0, "last": 1.0}}),
        changed("decaying temperature", {"temperature": {"first": 1.0, "last": 0.5}}),
        changed("bf16", {"compute": "bfloat16"}),
        changed(
            "int4",
            {
                "compute": "bfloat16",
                "fake_quant": True,
                "rollouts": {"backend": "int4", "url": "", "max_failed_share": 0.2, "max_mismatch": 0.2},
            },
        ),
        changed("budget", {"budget": {"scale": 1.0, "penalty": 0.2}}, "wordy"),
        changed("no budget", {"budget": {"scale": 4.0, "penalty": 0.0}}, "wordy"),
    ]


class Lab:
    """What all runs share."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.stamp = say, stamp()
        dial = load_params()
        self.params, self.shared = dial.rl, dial.tasks
        self.tokenizer: K2Tokenizer = load_tokenizer(START)
        self.index = read_index(TOKENS)
        kept, _ = clean(trajectories(TRAJECTORIES), self.index)
        examples, places, _ = encode(self.tokenizer, kept, self.params.ptx_length)
        held = set(list(dict.fromkeys(places))[-HELD_CONVERSATIONS:])  # of those that fit
        self.kept_conversations = [conversation for k, conversation in enumerate(kept) if k not in held]
        self.conversations = [example for k, example in zip(places, examples, strict=True) if k in held]
        self.identity = sha256_tree([START, TRAJECTORIES])
        self._before: dict[str, dict[str, float]] = {}

    def measure(self, model: K2Model) -> dict[str, float]:
        """What RL does not train: a family outside, conversations that PTX never shows, held-out text."""
        model.eval()
        with open_families([OUTSIDE], FACTS, self.params.limits) as families:
            tasks = families.tasks(OUTSIDE, "held", 100, 1, self.shared.difficulty)
        scores = elementary_scores(model, self.tokenizer, {OUTSIDE: tasks})[OUTSIDE]
        return {
            "outside": statistics.fmean(scores),
            "outside_n": float(len(scores)),
            "conversations": mean_loss(model, self.conversations, rows=8, pad=self.tokenizer.pad),
            "text": stream_loss(model, TokenStream(TOKENS, "validation", None), HELD_ROWS, HELD_LENGTH),
        }

    def start(self, name: str) -> Path:
        if name == "sft":
            return START
        path = KEPT / f"wordy-{fingerprint({'start': self.identity, 'steps': WORDY_STEPS})[:16]}"
        if not (path / "manifest.json").exists():
            save_checkpoint(self._wordy(), path)
        return path

    def _wordy(self) -> K2Model:
        """The SFT checkpoint after a short tuning on answers that follow a thought of 0 to 14 random words."""
        draw = rng(0, "wordy")
        conversations: list[Conversation] = []
        for family in self.shared.elementary:
            taskset = Elementary(family)
            for task in taskset.tasks(200, seed32(0, family), self.shared.difficulty):
                thought = " ".join(draw.choice(WORDS, int(draw.integers(WORDY_MOST + 1))).tolist())
                answer = {"role": "assistant", "content": taskset.demonstration(task), "reasoning_content": thought}
                conversations.append(([*task.messages, answer], None))
        examples, _, _ = encode(self.tokenizer, conversations, 512)
        rows = plan([example.inputs for example in examples], 512, draw)
        engine = TrainEngine(START, OptimizerOptions(weight_decay=0.0), micro_batches=1)
        for step in range(WORDY_STEPS):
            pair = [[examples[k] for k in rows[(step * 2 + row) % len(rows)]] for row in range(2)]
            loss = engine.accumulate(_supervised, [pack(pair, 512, self.tokenizer.pad)])
            engine.apply(loss, lr=WORDY_LR * (1 - step / WORDY_STEPS))
        self.say(f"wordy start: loss {loss:.3f} after {WORDY_STEPS} steps")
        return engine.model

    def before(self, start: str) -> dict[str, float]:
        if start not in self._before:
            self._before[start] = self.measure(load_checkpoint(self.start(start)))
        return self._before[start]

    def held_problems(self) -> dict[str, int]:
        """Different held problems of each family."""
        with open_families(self.shared.families, FACTS, self.params.limits) as families:
            p = self.params
            return {
                name: len(families.tasks(name, "held", p.held_tasks, 0, self.shared.difficulty))
                for name in families.names
            }

    def _place(self, arm: RlArm, seed: int) -> tuple[RlParams, Path]:
        p = RlParams.model_validate(merge(self.params.model_dump(), arm.changes))
        of = {
            "params": p.model_dump(),
            "tasks": self.shared.model_dump(),
            "start": arm.start,
            "seed": seed,
            "inputs": self.identity,
        }
        return p, KEPT / fingerprint(of)[:24]

    def kept(self, arm: RlArm, seed: int) -> RlOutcome | None:
        """A run that has finished."""
        path = self._place(arm, seed)[1] / "found.json"
        return RlOutcome(**json.loads(path.read_text())) if path.exists() else None

    def run(self, arm: RlArm, seed: int) -> RlOutcome:
        """One run, or what an earlier start found."""
        p, work = self._place(arm, seed)
        if outcome := self.kept(arm, seed):
            return outcome
        ptx = None
        if p.ptx > 0:
            ptx, _ = quality_data(
                self.tokenizer, p, self.shared.difficulty, self.kept_conversations, sub_seed(seed, "ptx"), self.index
            )
        with open_families(self.shared.families, FACTS, self.params.limits) as families:
            setup = RlSetup(
                p,
                self.start(arm.start),
                work,
                sub_seed(seed, "experiment"),
                self.tokenizer,
                ptx,
                families,
                self.shared.difficulty,
            )
            clock = Clock(work / "cpu.json")
            loop = Loop(setup, Hooks(log=clock.log))
            curve = loop.run()
        outcome = RlOutcome(curve, self.before(arm.start), self.measure(loop.engine.model), clock.seconds, self.stamp)
        write_json(work / "found.json", asdict(outcome))
        shutil.rmtree(work / "checkpoints", ignore_errors=True)
        return outcome


def _supervised(model: nn.Module, micro: Packed) -> tuple[Tensor, Output]:
    output = model(micro.tokens_BL, micro.targets_BL, positions_BL=micro.positions_BL, segment_ids_BL=micro.segments_BL)
    return output.loss, output


class Clock:
    """Processor seconds of the iterations that end without an evaluation; a resumed run goes on with the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        self._began = time.process_time()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        if "rl/temperature" in metrics and not any(key.startswith("rl/held_") for key in metrics):
            self.times[str(step)] = time.process_time() - self._began
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, self.times)
        self._began = time.process_time()

    @property
    def seconds(self) -> float:
        """Of one iteration, the mean over the run."""
        return statistics.fmean(self.times.values()) if self.times else 0.0


def arm_record(arm: RlArm, runs: Sequence[RlOutcome]) -> Record:
    """What the results file says of an arm."""
    before = {key: round(value, 4) for key, value in runs[0].before.items()}
    return {"arm": arm.name, "changes": arm.changes, "start": arm.start, "before": before}


def run_record(arm: RlArm, seed: int, run: RlOutcome) -> Record:
    """What the results file says of a run; curves are points of (iteration, value)."""
    shown = ("held_", "reward", "length", "surprise", "mismatch")
    return {
        "arm": arm.name,
        "seed": seed,
        "after": {key: round(value, 4) for key, value in run.after.items()},
        "cpu_seconds_an_iteration": round(run.cpu_s, 3),
        "stamp": run.stamp,
        "curves": {
            key: [[row["iteration"], round(row[key], 4)] for row in run.curve if key in row]
            for key in sorted({key for row in run.curve for key in row})
            if key.startswith(shown)
        },
    }


def log(every: Sequence[RlArm], runs: Mapping[str, list[RlOutcome]]) -> None:
    """One MLflow parent, a child for each arm and seed."""
    parent = RunGroup.open("RL claims", Path(), "experiment")
    for arm in every:
        for seed, run in enumerate(runs[arm.name]):
            params = {"seed": seed, "start": arm.start, "changes": json.dumps(arm.changes)}
            child = parent.start(f"{arm.name}, seed {seed}", params, stage="arm", arm=arm.name)
            metrics = {f"after_{key}": value for key, value in run.after.items()} | {"cpu_s": run.cpu_s}
            curves: dict[str, dict[int, float]] = {}
            for row in run.curve:
                for key, value in row.items():
                    if key != "iteration":
                        curves.setdefault(f"rl/{key}", {})[int(row["iteration"])] = value
            parent.finish(child, metrics, curves)
    parent.end(True, OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures K2's claims about RL.")
    parser.add_argument("--seeds", type=int, default=3, choices=[1, *sorted(T95)])
    parser.add_argument("--iterations", type=int, default=30, help="of every arm but the default one")
    parser.add_argument("--only", default="", help="names of arms, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lab = Lab(lambda line: print(line, flush=True))
    every = arms(args.iterations)
    for seed in range(args.seeds):
        for arm in every:
            if not args.only or arm.name in args.only.split(","):
                outcome = lab.run(arm, seed)
                held = {key: value for key, value in outcome.curve[-1].items() if key.startswith("held_")}
                lab.say(f"{arm.name}, seed {seed}: { {k: round(v, 3) for k, v in (held | outcome.after).items()} }")
    report(lab, every, args.seeds, args.iterations)


def report(lab: Lab, every: Sequence[RlArm], seeds: int, iterations: int) -> None:
    """Writes what has run so far to the results file and to MLflow."""
    runs = {arm.name: [run for seed in range(seeds) if (run := lab.kept(arm, seed))] for arm in every}
    families = lab.shared.families
    settings = {
        "model": f"models/sft at size {lab.stamp['size']}",
        "iterations": {"default": lab.params.iterations, "others": iterations},
        "prompts": lab.params.prompts,
        "samples": lab.params.samples,
        "seeds": {name: len(finished) for name, finished in runs.items()},
        "held_problems": lab.held_problems(),
    }
    write_results(
        OUT,
        settings,
        arms=[arm_record(arm, runs[arm.name]) for arm in every if runs[arm.name]],
        runs=[run_record(arm, seed, run) for arm in every for seed, run in enumerate(runs[arm.name])],
        charts=charts(runs, families),
    )
    log(every, runs)
    conclude("rl")


if __name__ == "__main__":
    main()
