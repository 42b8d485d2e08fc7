"""`python -m stages.evaluate`: every score of the checkpoint, with intervals, and every sample behind it.

With `--target` and `--benchmarks` it evaluates any model without the pipeline (stages/evaluate/standalone.py).
"""

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agents.benchmarks.open import open_any
from agents.chat.open import open_client
from agents.chat.protocol import ChatError
from gym.benchmarks import arena_battles
from gym.benchmarks.base import DataError
from gym.intervals import wilson
from gym.sandbox import SandboxError
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.formats.int4_checkpoint import load_any
from k2model.model import K2Model
from stages.evaluate import arena, standalone
from stages.evaluate import scores as scoring
from stages.evaluate.params import EvaluateParams
from stages.evaluate.runner import run_benchmark
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic, write_json
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import CORPUS, FACTS, SAMPLES, read_table, write_table
from stages.harness.teacher import endpoint_options
from stages.measure import closed_book, loss
from stages.posttraining.packing import Example
from stages.tracking.gate import GateParams
from stages.tracking.registry import register_and_judge
from stages.tracking.runs import Track

CHAT = "models/qat"


def validation(stage: Stage[EvaluateParams], model: K2Model, tokenizer: K2Tokenizer) -> dict[str, float]:
    """Loss and bits per byte, which don't depend on the tokenizer, of held-out documents cut at the context length.

    Of a seeded shuffle, up to `validation_tokens`.

    Raises:
        InputError: there is no such document, or the loss isn't finite.
    """
    p = stage.params
    table = read_table(Path("data/corpus.parquet"), CORPUS)
    rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
    texts = [text for text, split in rows if split == "validation"]
    chosen: list[Example] = []
    n_bytes = n_tokens = 0
    for document in loss.documents(texts, tokenizer, p.sequence_length, stage.rng("validation")):
        if n_tokens >= p.validation_tokens:
            break
        chosen.append(document)
        n_bytes += len(tokenizer.decode(document.ids[1:]).encode())
        n_tokens += document.targets
    if not chosen:
        raise InputError("data/corpus.parquet: no validation document to measure the loss on")
    nats = loss.mean_loss(model, chosen, rows=p.batch_size, pad=tokenizer.pad)
    if not math.isfinite(nats):
        raise InputError(f"models/pretrain: the validation loss is {nats}")
    return {
        "validation_loss": nats,
        "validation_bits_per_byte": nats * n_tokens / math.log(2) / n_bytes,
        "validation_tokens": n_tokens,
    }


def facts_asked(
    stage: Stage[EvaluateParams], model: K2Model, tokenizer: K2Tokenizer, split: str
) -> list[dict[str, Any]]:
    """One row per question on facts about documents of `split`; the shots are about training documents."""
    p = stage.params
    facts = read_table(Path("data/facts.parquet"), FACTS).to_pylist()
    asked = closed_book.choose([fact for fact in facts if fact["split"] == split], p.facts, stage.rng("facts", split))
    train = [fact for fact in facts if fact["split"] == "train"]
    pool = closed_book.choose(train, len(facts), stage.rng("shots"))
    answers = closed_book.ask(
        model,
        tokenizer,
        asked,
        pool,
        shots=p.shots,
        answer_tokens=p.answer_tokens,
        batch_size=p.batch_size,
    )
    return [
        {
            "benchmark": f"facts_{split}",
            "dataset": "corpus",
            "task_id": fact["fact_id"],
            "sample": 0,
            "group": fact["relation"],
            "prompt": answer.prompt,
            "output": answer.output,
            "extracted": answer.output.strip().split("\n", 1)[0],
            "expected": fact["answer"],
            "score": float(answer.correct),
            "parts": "{}",
            "status": "scored",
            "reason": "",
            "finish_reason": answer.finish_reason,
            "output_tokens": answer.tokens,
        }
        for fact, answer in zip(asked, answers, strict=True)
    ]


def benchmarks(stage: Stage[EvaluateParams], folder: Path) -> dict[str, float]:
    """Every chosen benchmark on the pipeline's last checkpoint, INT4 as K2 Thinking reports; samples into `folder`."""
    p = stage.params
    deadline = time.monotonic() + 60 * p.minutes
    tokenizer = Path("data/tokenizer")
    client = open_client(CHAT, store=stage.work / "answers.sqlite", tokenizer=tokenizer, rows=p.batch_size)
    metrics: dict[str, float] = {}
    for asked in p.benchmarks:
        name = asked.name
        bench = open_any(name, None if asked.data is None else Path(asked.data))
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
                deadline=deadline,
                on_answer=bar.update,
            )
        write_table(folder / f"{name}.parquet", rows, SAMPLES)
        scored = scoring.metrics(bench, rows, stage.seed("bootstrap", name))
        metrics |= scored
        tag = scoring.asked(rows, len(bench.items()))
        stage.track.tag(f"dataset.{name}", tag)
        print(standalone.line(name, scored, tag), flush=True)
    return metrics


def battles(stage: Stage[EvaluateParams], folder: Path) -> dict[str, float]:
    """Arena between the pipeline's own checkpoints; the battles go into `folder`."""
    p = stage.params.arena
    if p is None:
        return {}
    options = endpoint_options(load_section("endpoint", EndpointParams))
    open_model = arena.opener(stage.work / "answers.sqlite", options, Path("data/tokenizer"))
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
        gate = load_section("gate", GateParams)
        torch.set_num_threads(stage.common.threads)
        tokenizer = load_tokenizer(Path("data/tokenizer"))
        model = load_any(Path("models/pretrain")).eval()
        scores = validation(stage, model, tokenizer)
        samples: list[dict[str, Any]] = []
        for name, split in (("facts", "train"), ("facts_held_out", "validation")):
            rows = facts_asked(stage, model, tokenizer, split)
            samples += rows
            if rows:
                correct = sum(row["score"] == 1.0 for row in rows)
                low, high = wilson(correct, len(rows))
                scores |= {name: correct / len(rows), f"{name}_n": len(rows)}
                scores |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
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
            f"n={scores['facts_n']:.0f}",
            metrics=scores,
            write=False,
        )


if __name__ == "__main__":
    main()
