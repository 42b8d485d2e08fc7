"""`python -m stages.evaluate`: every score of the checkpoint, with intervals, and every sample behind it.

With arguments it evaluates any model without the pipeline (stages/evaluate/standalone.py).
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from agents.benchmarks.open import open_named
from agents.chat.open import open_client
from agents.chat.protocol import ChatError
from gym.benchmarks import arena_battles
from gym.benchmarks.base import DataError
from gym.sandbox import SandboxError
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer
from stages.evaluate import arena, loglikelihood, standalone
from stages.evaluate import scores as scoring
from stages.evaluate.params import EvaluateParams
from stages.evaluate.runner import run_benchmark
from stages.evaluate.text import facts_asked, validation
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic, write_json
from stages.harness.sandbox import sandboxes
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import SAMPLES, write_table
from stages.harness.teacher import endpoint_options
from stages.measure.text_loss import HeldText, compare
from stages.tracking.gate import GateParams
from stages.tracking.registry import register_and_judge
from stages.tracking.runs import Track

BASE, PRETRAINED, CHAT = Path("models/base"), Path("models/pretrain"), Path("models/qat")


def language(stage: Stage[EvaluateParams]) -> dict[str, float]:
    """Loss on held-out text of the base and of the last model, and what all training since cost."""
    held_text = HeldText(stage.common.seed)
    first, last = (held_text(load_any(folder).eval(), folder_tokenizer(folder)) for folder in (BASE, CHAT))
    return compare(first, last, stage.seed("text"))


def benchmarks(stage: Stage[EvaluateParams], folder: Path) -> dict[str, float]:
    """Every chosen benchmark on the pipeline's last checkpoint, INT4 as K2 Thinking reports; samples into `folder`."""
    p = stage.params
    deadline = time.monotonic() + 60 * p.minutes
    client = open_client(str(CHAT), store=stage.work / "answers.sqlite", rows=p.batch_size)
    backend = sandboxes()
    metrics: dict[str, float] = {}
    for asked in p.benchmarks:
        name = asked.name
        bench = open_named(name, None if asked.data is None else Path(asked.data))
        settings = replace(
            bench.presets["k2-thinking"],
            repeats=asked.repeats,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
        )
        with stage.progress(asked.items * asked.repeats, name) as bar:
            rows = run_benchmark(
                bench,
                client,
                settings,
                seed=stage.common.seed,
                items=asked.items,
                context_policy=p.context_policy,
                backend=backend,
                deadline=deadline,
                on_answer=bar.update,
            )
        write_table(folder / f"{name}.parquet", rows, SAMPLES)
        scored = scoring.metrics(bench, rows, stage.seed("bootstrap", name))
        metrics |= scored
        tag = scoring.asked(rows, len(bench.items()))
        stage.track.tag(f"dataset.{name}", tag)
        print(standalone.line(name, scored, tag), flush=True)
        reader = loglikelihood.at_hand(client) if bench.multiple_choice else None
        if reader is not None:
            with stage.progress(asked.items, f"{name} by log-likelihood") as bar:
                rows = loglikelihood.ask(
                    bench, reader, seed=stage.common.seed, items=asked.items, deadline=deadline, on_answer=bar.update
                )
            write_table(folder / f"{name}_{loglikelihood.SUM}.parquet", rows, SAMPLES)
            scored = loglikelihood.metrics(bench, rows)
            metrics |= scored
            print(loglikelihood.line(bench, scored), flush=True)
    return metrics


def battles(stage: Stage[EvaluateParams], folder: Path) -> dict[str, float]:
    """Arena between the pipeline's own checkpoints; the battles go into `folder`."""
    p = stage.params.arena
    if p is None:
        return {}
    options = endpoint_options(load_section("endpoint", EndpointParams))
    open_model = arena.opener(stage.work / "answers.sqlite", options)
    players = {name: open_model(target) for name, target in p.players.items()}
    judge = arena.Judge.of(p.judge, open_model)
    every, manifest = arena_battles.questions()
    asked = arena.draw(every, p.prompts, stage.common.seed)
    with stage.progress(arena.requests(len(players), len(asked)), "arena") as bar:
        played = arena.play(
            players, judge, asked, max_tokens=p.max_tokens, seed=stage.common.seed, on_answer=bar.update
        )
    arena.write_battles(folder / "arena.jsonl", played.rows)
    stage.track.tag("dataset.arena", f"{manifest.name} ({len(asked)} of {len(every)})")
    metrics = played.counts | arena.rate(played.rows, stage.seed("bootstrap", "arena"))
    models = players | {"judge": judge.client}
    print(f"{arena.table(metrics)}{arena.losses(models)}", flush=True)
    return metrics | {"arena_requests_failed": float(sum(model.losses.failed for model in models.values()))}


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(standalone.run(sys.argv[1:]))
    with Stage("evaluate", EvaluateParams, Track, system_metrics=True) as stage:
        p, gate = stage.params, load_section("gate", GateParams)
        torch.set_num_threads(stage.common.threads)
        tokenizer, seed = folder_tokenizer(PRETRAINED), stage.common.seed
        model = load_any(PRETRAINED).eval()
        scores = validation(p, seed, model, tokenizer) | language(stage)
        facts, samples = facts_asked(p, seed, model, tokenizer)
        scores |= facts
        with write_atomic(Path("data/samples")) as tmp:
            tmp.mkdir(exist_ok=True)
            write_table(tmp / "facts.parquet", samples, SAMPLES)
            try:
                scores |= benchmarks(stage, tmp)
                scores |= battles(stage, tmp)
            except (ChatError, DataError, SandboxError) as error:
                raise InputError(str(error)) from None
        scores = {key: round(value, 6) for key, value in scores.items()}
        write_json(Path("metrics/scores.json"), scores)
        print(register_and_judge(stage.root, gate), flush=True)
        accuracy = f"facts {scores['facts']:.1%} [{scores['facts_ci_low']:.1%}, {scores['facts_ci_high']:.1%}]"
        stage.finish(
            f"loss {scores['validation_loss']:.3f}, {scores['validation_bits_per_byte']:.3f} bits/byte, {accuracy}, "
            f"n={scores['facts_n']:.0f}; held-out text after tuning {scores['text_loss']:.3f} nats a token "
            f"({scores['text_loss_change']:+.3f})",
            metrics=scores,
            write=False,
        )


if __name__ == "__main__":
    main()
