"""`python -m stages.evaluate`: every score of the checkpoint, with intervals, and every sample behind it.

With arguments it evaluates any model without the pipeline (stages/evaluate/standalone.py).
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.benchmarks.open import open_named
from agents.chat.open import open_client
from agents.chat.protocol import ChatClient, ChatError
from gym.benchmarks import arena_battles
from gym.benchmarks.base import Benchmark, DataError, Settings
from gym.sandbox import SandboxError
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer
from stages.evaluate import arena, comparison, loglikelihood, standalone
from stages.evaluate import scores as scoring
from stages.evaluate.contamination import contamination
from stages.evaluate.limits import one_shot
from stages.evaluate.params import LAST, EvaluateParams, label
from stages.evaluate.published import REFERENCES
from stages.evaluate.runner import CannotBeAsked, run_benchmark
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
from stages.tracking.runs import Track, log_run
from stages.tracking.store import identity

BASE, PRETRAINED, CHAT = Path("models/base"), Path("models/pretrain"), Path(LAST)


def answer_file(stage: Stage[EvaluateParams]) -> Path:
    """The store of answers: with other parameters, such as more minutes, what was answered is not asked again."""
    return stage.work.parent / f"answers-{stage.code[:16]}.sqlite"


def language(stage: Stage[EvaluateParams]) -> dict[str, float]:
    """Loss on held-out text of the base and of the last model, and what all training since cost."""
    held_text = HeldText(stage.common.seed)
    first, last = (held_text(load_any(folder).eval(), folder_tokenizer(folder)) for folder in (BASE, CHAT))
    return compare(first, last, stage.seed("text"))


@dataclass(frozen=True)
class Asked:
    """A benchmark of the pipeline's last checkpoint: how it was asked, and its samples."""

    bench: Benchmark
    settings: Settings
    items: int
    rows: list[dict[str, Any]]


def ask(
    stage: Stage[EvaluateParams], bench: Benchmark, client: ChatClient, settings: Settings, items: int, deadline: float
) -> list[dict[str, Any]]:
    """A model's samples of a benchmark, the same items for every model."""
    with stage.progress(items * settings.repeats, bench.name) as bar:
        return run_benchmark(
            bench,
            client,
            settings,
            seed=stage.common.seed,
            items=items,
            context_policy=stage.params.context_policy,
            backend=sandboxes(),
            deadline=deadline,
            on_answer=bar.update,
        )


def open_all(p: EvaluateParams) -> dict[str, Benchmark]:
    """The chosen benchmarks; all are read before the first question, so that what is missing is said at once.

    Raises:
        InputError: a data set is missing or broken.
    """
    try:
        return {a.name: open_named(a.name, None if a.data is None else Path(a.data)) for a in p.benchmarks}
    except DataError as error:
        raise InputError(str(error)) from None


def benchmarks(
    stage: Stage[EvaluateParams], opened: Mapping[str, Benchmark], folder: Path, deadline: float
) -> tuple[dict[str, float], dict[str, Asked]]:
    """Every chosen benchmark on the pipeline's last checkpoint, INT4 as K2 Thinking reports; samples into `folder`."""
    p = stage.params
    client = open_client(str(CHAT), store=answer_file(stage), rows=p.batch_size)
    metrics: dict[str, float] = {}
    done: dict[str, Asked] = {}
    for asked in p.benchmarks:
        name, bench = asked.name, opened[asked.name]
        settings = replace(
            bench.presets["k2-thinking"],
            repeats=asked.repeats,
            max_tokens=asked.max_tokens,
            max_steps=asked.max_steps,
            temperature=asked.temperature,
        )
        rows = ask(stage, bench, client, settings, asked.items, deadline)
        done[name] = Asked(bench, settings, asked.items, rows)
        write_table(folder / f"{name}.parquet", rows, SAMPLES)
        scored = scoring.metrics(bench, rows, stage.seed("bootstrap", name))
        metrics |= scored
        tag = scoring.asked(rows, len(bench.items()))
        stage.track.tag(f"dataset.{name}", tag)
        print(standalone.line(bench.name, scored, tag), flush=True)
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
    return metrics | one_shot({name: asked.rows for name, asked in done.items()}), done


def compared(stage: Stage[EvaluateParams], folder: Path, done: Mapping[str, Asked]) -> dict[str, float]:
    """The models of `evaluate.compare` on the same items, each a run in MLflow; what the report shows of them."""
    p = stage.params.compare
    names = [] if p is None else [name for name in p.benchmarks if name in done]
    deadline = time.monotonic() + 60 * (0 if p is None else p.minutes)
    models = [] if p is None else [beside(stage, folder, str(target), done, deadline) for target in p.models]
    if models:
        last = {name: done[name].rows for name in names}
        models.append(comparison.Compared(label(LAST), is_stage=True, rows=last))
    metrics: dict[str, float] = {}
    for model in models:
        for name, rows in model.rows.items():
            own = comparison.score(done[name].bench, rows, stage.common.seed)
            metrics |= {f"compared_{model.label}_{key}": value for key, value in own.items()}
    shown = {"models": [model.label for model in models], "benchmarks": names}
    write_json(folder / "comparison.json", shown | {"published": [asdict(reference) for reference in REFERENCES]})
    standalone.log_published(stage.root)
    if models:
        metrics |= comparison.differences(models)
        print("".join(f"{line}\n" for line in comparison.lines(models, metrics)), end="", flush=True)
    return metrics


def beside(
    stage: Stage[EvaluateParams], folder: Path, target: str, done: Mapping[str, Asked], deadline: float
) -> comparison.Compared:
    """A model that is asked what the last one was, as far as it can be; its samples into `folder`."""
    open_model = arena.opener(answer_file(stage), endpoint_options(load_section("endpoint", EndpointParams)))
    client, name = open_model(target), label(target)
    rows: dict[str, list[dict[str, Any]]] = {}
    scored: dict[str, float] = {}
    for asked in done.values():
        bench = asked.bench
        if stage.params.compare is None or bench.name not in stage.params.compare.benchmarks:
            continue
        try:
            rows[bench.name] = ask(stage, bench, client, asked.settings, asked.items, deadline)
        except CannotBeAsked as reason:
            print(f"{name}: {reason}", flush=True)
            continue
        write_table(folder / "compared" / f"{name}-{bench.name}.parquet", rows[bench.name], SAMPLES)
        own = comparison.score(bench, rows[bench.name], stage.common.seed)
        value, low, high = (own.get(f"{bench.name}{end}", 0.0) for end in comparison.ENDS)
        told = f"{value:.1%} [{low:.1%}, {high:.1%}]" if own else "no score"
        print(f"{name}: {bench.name}: {told}", flush=True)
        scored |= own
    tags = identity(stage.root) | {"target": client.model, "reference": "compared"}
    log_run(stage.root, f"compared {name}", params={"target": target}, metrics=scored, tags=tags)
    return comparison.Compared(name, is_stage=Path(target).parent == CHAT.parent, rows=rows)


def battles(stage: Stage[EvaluateParams], folder: Path) -> dict[str, float]:
    """Arena between the pipeline's own checkpoints; the battles go into `folder`."""
    p = stage.params.arena
    if p is None:
        return {}
    options = endpoint_options(load_section("endpoint", EndpointParams))
    open_model = arena.opener(answer_file(stage), options)
    judge = arena.Judge.of(p.judge, open_model)
    request = arena_battles.Question("", "{{request}}")
    shown = arena_battles.judge_messages(request, "{{answer_a}}", "{{answer_b}}", prefill=judge.by_label)
    stage.track.prompts({"arena-judge": list(shown)})
    with stage.progress(2 * p.judge_pairs, "arena's judge") as bar:
        examined = arena.examine(judge, p.judge_pairs, p.min_agreement, stage.common.seed, bar.update)
    if not examined.fit:
        print(f"arena: not settled, no battle is played: {examined.line}", flush=True)
        failed = {"arena_requests_failed": float(judge.client.losses.failed)}
        return examined.metrics | arena.settled(examined.metrics, p.min_agreement) | failed
    players = {name: open_model(target) for name, target in p.players.items()}
    every, manifest = arena_battles.questions()
    asked = arena.draw(every, p.prompts, stage.common.seed)
    with stage.progress(arena.requests(len(players), len(asked)), "arena") as bar:
        played = arena.play(
            players, judge, asked, max_tokens=p.max_tokens, seed=stage.common.seed, on_answer=bar.update
        )
    arena.write_battles(folder / "arena.jsonl", played.rows)
    stage.track.tag("dataset.arena", f"{manifest.name} ({len(asked)} of {len(every)})")
    metrics = examined.metrics | played.counts | arena.rate(played.rows, stage.seed("bootstrap", "arena"))
    metrics |= arena.settled(metrics, p.min_agreement)
    models = players | {"judge": judge.client}
    print(f"{arena.table(metrics)}{arena.losses(models)}", flush=True)
    return metrics | {"arena_requests_failed": float(sum(model.losses.failed for model in models.values()))}


def main() -> None:
    if sys.argv[1:]:
        raise SystemExit(standalone.run(sys.argv[1:]))
    with Stage("evaluate", EvaluateParams, Track, system_metrics=True) as stage:
        p, gate = stage.params, load_section("gate", GateParams)
        torch.set_num_threads(stage.common.threads)
        opened = open_all(p)
        scores = contamination(opened.values(), Path("data"))
        tokenizer, seed = folder_tokenizer(PRETRAINED), stage.common.seed
        model = load_any(PRETRAINED).eval()
        scores |= validation(p, seed, model, tokenizer) | language(stage)
        facts, samples = facts_asked(p, seed, model, tokenizer)
        scores |= facts
        with write_atomic(Path("data/samples")) as tmp:
            tmp.mkdir(exist_ok=True)
            write_table(tmp / "facts.parquet", samples, SAMPLES)
            try:
                asked, done = benchmarks(stage, opened, tmp, time.monotonic() + 60 * p.minutes)
                scores |= asked | compared(stage, tmp, done)
                scores |= battles(stage, tmp)
            except (ChatError, CannotBeAsked, DataError, SandboxError) as error:
                raise InputError(str(error)) from None
        scores = {key: round(value, 6) for key, value in scores.items()}
        write_json(Path("metrics/scores.json"), scores)
        from stages.tracking.registry import register_and_judge  # MLflow: seconds, which a refusal doesn't take

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
