"""`python -m stages.rl`: joint RL with verifiable and self-critique rewards, from the SFT checkpoint.

With `--model FOLDER --out FOLDER` it goes on from any model folder, apart from the pipeline.
"""

import sys
from pathlib import Path

import torch

from agents.chat.open import open_client
from agents.chat.protocol import ChatError
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer, save_model_folder
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_csv
from stages.harness.hooks import Hooks
from stages.harness.own_model import own_model
from stages.harness.ranks import on_ranks
from stages.harness.sandbox import sandboxes
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import ROLLOUTS, write_table
from stages.harness.teacher import answer_store, endpoint_options
from stages.measure.record import made_here, records
from stages.measure.text_loss import HeldText, compare
from stages.posttraining.benchmark_index import read_index
from stages.posttraining.comparison import Comparison
from stages.posttraining.conversations import Fitted, clean, trajectories
from stages.posttraining.params import TasksParams
from stages.rl.backends import RolloutError
from stages.rl.families import open_families
from stages.rl.loop import Loop, RlSetup
from stages.rl.params import RlParams
from stages.rl.ptx import quality_data
from stages.rl.url_judge import UrlJudge, messages
from stages.tracking.runs import Track

TOKENS = Path("data/tokens")
TRAJECTORIES = Path("data/trajectories.parquet")
FACTS = Path("data/facts.parquet")
OUT = Path("models/rl")
ROLLOUTS_OUT = Path("data/rollouts.parquet")
CURVE = Path("plots/rl.csv")


def main() -> None:
    own = own_model("rl", sys.argv[1:])
    with Stage("rl", RlParams, Track, system_metrics=True, own=own) as stage:
        p = stage.params
        torch.set_num_threads(stage.threads)
        shared = load_section("tasks", TasksParams)
        tokenizer = folder_tokenizer(stage.start)
        kept = trajectories(TRAJECTORIES)
        index = read_index(TOKENS)
        kept, dropped = clean(kept, index)
        ptx, fitted = None, Fitted()
        if p.ptx > 0 and p.ptx_rows:
            ptx, fitted = quality_data(tokenizer, p, shared.difficulty, kept, stage.seed("ptx"), index)
        judge = None if p.critic.judge == "self" else _judge(p.critic.judge)
        if judge is not None:
            asked = messages(Comparison("{{request}}", "{{answer_a}}", "{{answer_b}}"))
            stage.track.prompts({"critic": list(asked)})
        held_text = HeldText(stage.common.seed)
        text_before = held_text(load_any(stage.start), tokenizer) if stage.leads else None
        with (
            open_families(shared.families, FACTS, p.limits, sandboxes()) as families,
            stage.progress(p.iterations, "iteration") as progress,
        ):
            setup = RlSetup(
                p, stage.start, stage.work, stage.seed("rl"), tokenizer, ptx, families, shared.difficulty, index, judge
            )
            hooks = Hooks(
                log=lambda metrics, step: stage.log(metrics, step),
                flush=stage.track.flush,
                progress=progress.update,
                say=lambda line: print(f"rl: {line}", flush=True),
            )
            loop = Loop(setup, hooks)
            try:
                curve = loop.run()
                if judge is not None:
                    judge.client.losses.close()
            except RolloutError as error:
                raise InputError(f"rl.rollouts: {error}") from None
            except ChatError as error:
                raise InputError(f"rl.critic.judge: {error}") from None
        engine = loop.engine
        text_after = engine.led(lambda model: held_text(model, tokenizer))
        if text_before is None:
            engine.attend()
            return
        first, last = curve[0], curve[-1]
        metrics = {f"{key}_first": value for key, value in first.items() if key.startswith("held_")}
        metrics |= {key: value for key, value in last.items() if key != "iteration"}
        metrics["trajectories_too_long"] = fitted.too_long
        metrics["trajectories_without_targets"] = fitted.no_targets
        metrics["overlapping"] = dropped + sum(loop.tasks.overlapping.values())
        metrics["rollouts_refused"] = loop.state.refused
        if judge is not None:
            metrics["verdicts_failed"] = judge.client.losses.failed
        metrics |= compare(text_before, text_after, stage.seed("text"))
        data = [made_here("verifiable tasks", f"families {', '.join(shared.families)}")]
        if ptx is not None:
            data.append(made_here("trajectories and demonstrations of the PTX loss", f"{p.ptx_rows} rows a step"))
        made = records(stage, stage.start, data, metrics)
        out, dtype = stage.place(OUT), engine.weight_dtype
        save_model_folder(engine.model, out, tokenizer, made, dtype=dtype, tensors=engine.tensors())
        write_table(stage.place(ROLLOUTS_OUT), loop.rollouts.read(p.iterations), ROLLOUTS)
        columns = list(dict.fromkeys(key for row in curve for key in row))
        rows = [{key: f"{row[key]:.6g}" if key in row else "" for key in columns} for row in curve]
        write_csv(stage.place(CURVE), rows)
        stage.track.artifact(stage.place(CURVE))
        gains = [
            f"{family} {first[key]:.0%} to {last[key]:.0%}"
            for family in shared.families
            if (key := f"held_success_{family}") in first
        ]
        lost = "" if judge is None or not judge.client.losses.failed else f", judge: {judge.client.losses.line()}"
        refused = f", {loop.state.refused} rollouts refused" if loop.state.refused else ""
        text = f"held-out text {metrics['text_loss']:.3f} nats a token ({metrics['text_loss_change']:+.3f})"
        stage.finish(f"{p.iterations} iterations, held success: {', '.join(gains)}{refused}{lost}, {text}", metrics)


def _judge(spec: str) -> UrlJudge:
    endpoint = endpoint_options(load_section("endpoint", EndpointParams))
    return UrlJudge(open_client(spec, store=answer_store(), endpoint=endpoint))


if __name__ == "__main__":
    on_ranks("rl", RlParams, main)
