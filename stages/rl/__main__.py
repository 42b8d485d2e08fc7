"""`python -m stages.rl`: joint RL with verifiable and self-critique rewards, from the SFT checkpoint."""

from pathlib import Path

import torch

from k2model.chat.tokenizer import load_tokenizer
from k2model.formats.checkpoint import save_checkpoint
from stages.harness.errors import InputError
from stages.harness.files import write_csv
from stages.harness.hooks import Hooks
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import ROLLOUTS, write_table
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.conversations import Fitted, clean, trajectories
from stages.posttraining.params import TasksParams
from stages.rl.backends import RolloutError
from stages.rl.families import open_families
from stages.rl.loop import Loop, RlSetup
from stages.rl.params import RlParams
from stages.rl.ptx import quality_data
from stages.tracking.runs import Track

START = Path("models/sft")
TOKENIZER = Path("data/tokenizer")
TOKENS = Path("data/tokens")
TRAJECTORIES = Path("data/trajectories.parquet")
FACTS = Path("data/facts.parquet")
OUT = Path("models/rl")
ROLLOUTS_OUT = Path("data/rollouts.parquet")
CURVE = Path("plots/rl.csv")


def main() -> None:
    with Stage("rl", RlParams, Track, system_metrics=True) as stage:
        p = stage.params
        torch.set_num_threads(stage.common.threads)
        shared = load_section("tasks", TasksParams)
        tokenizer = load_tokenizer(TOKENIZER)
        kept = trajectories(TRAJECTORIES)
        index = read_index(TOKENS)
        kept, dropped = clean(kept, index)
        ptx, fitted = None, Fitted()
        if p.ptx > 0 and p.ptx_rows:
            ptx, fitted = quality_data(tokenizer, p, shared.difficulty, kept, stage.seed("ptx"), index)
        with open_families(shared.families, FACTS) as families, stage.progress(p.iterations, "iteration") as progress:
            setup = RlSetup(p, START, stage.work, stage.seed("rl"), tokenizer, ptx, families, shared.difficulty, index)
            hooks = Hooks(
                log=lambda metrics, step: stage.log(metrics, step),
                flush=stage.track.flush,
                progress=progress.update,
                say=lambda line: print(f"rl: {line}", flush=True),
            )
            loop = Loop(setup, hooks)
            try:
                curve = loop.run()
            except RolloutError as error:
                raise InputError(f"rl.rollouts: {error}") from None
        save_checkpoint(loop.tune.model, OUT, dtype=loop.tune.engine.weight_dtype)
        write_table(ROLLOUTS_OUT, loop.rollouts.read(p.iterations), ROLLOUTS)
        columns = list(dict.fromkeys(key for row in curve for key in row))
        write_csv(CURVE, [{key: f"{row[key]:.6g}" if key in row else "" for key in columns} for row in curve])
        stage.track.artifact(CURVE)
        first, last = curve[0], curve[-1]
        metrics = {f"{key}_first": value for key, value in first.items() if key.startswith("held_")}
        metrics |= {key: value for key, value in last.items() if key != "iteration"}
        metrics["trajectories_too_long"] = fitted.too_long
        metrics["trajectories_without_targets"] = fitted.no_targets
        metrics["overlapping"] = dropped + sum(loop.tasks.overlapping.values())
        metrics["rollouts_refused"] = loop.state.refused
        gains = [
            f"{family} {first[key]:.0%} to {last[key]:.0%}"
            for family in shared.families
            if (key := f"held_success_{family}") in first
        ]
        refused = f", {loop.state.refused} rollouts refused" if loop.state.refused else ""
        stage.finish(f"{p.iterations} iterations, held success: {', '.join(gains)}{refused}", metrics)


if __name__ == "__main__":
    main()
