"""`python -m stages.evaluate --model FOLDER`, or `--target URL|folder|embedded --benchmarks a,b`: no pipeline needed.

Without `--benchmarks` it asks those of params.yaml, and a folder its facts. Beside a folder's scores stands its loss on
held-out text, where data/ has some.

`python -m stages.evaluate arena --help` is for battles between models (stages/evaluate/arena.py).
"""

import argparse
import contextlib
import math
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.benchmarks.open import open_named
from agents.chat.endpoint import EndpointOptions
from agents.chat.protocol import ChatClient, ChatError
from agents.loop.context import DEFAULT, RULES, ContextPolicy
from gym.benchmarks.base import PRESETS, Benchmark, DataError, Settings
from gym.benchmarks.fetch import DOWNLOADS
from gym.benchmarks.fetch import line as to_fetch
from gym.benchmarks.open import NAMES
from gym.benchmarks.tau2 import EXHAUSTED
from gym.sandbox import LOCAL, SandboxError
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer
from stages.evaluate import arena, loglikelihood
from stages.evaluate import scores as scoring
from stages.evaluate.limits import one_shot
from stages.evaluate.params import EvaluateParams
from stages.evaluate.published import REFERENCES
from stages.evaluate.runner import CannotBeAsked, run_benchmark
from stages.evaluate.text import CORPUS_PATH, FACTS_PATH, facts_asked
from stages.harness.errors import InputError
from stages.harness.files import check_writable, fingerprint, write_atomic, write_json
from stages.harness.progress import Progress
from stages.harness.sandbox import sandboxes
from stages.harness.section import PARAMS, load_common, load_section
from stages.harness.tables import SAMPLES, write_table
from stages.measure.text_loss import HeldText
from stages.tracking.runs import log_run
from stages.tracking.store import identity

USER_ERRORS = (InputError, ConfigError, CheckpointError, ChatError, DataError, SandboxError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description=__doc__)
    parser.add_argument("--target", help="a URL such as http://127.0.0.1:8000/v1 or URL#model, a folder, or 'embedded'")
    parser.add_argument(
        "--model", default="", help="a model folder; or, beside a URL, the endpoint's name of the model"
    )
    parser.add_argument("--benchmarks", help=f"comma-separated (default: params.yaml's): {', '.join(NAMES)}")
    parser.add_argument(
        "--preset", choices=PRESETS, help="whose published settings (default: k2, k2-thinking for params.yaml's)"
    )
    parser.add_argument("--items", type=int, default=0, help="items of each benchmark, drawn by seed (default: all)")
    parser.add_argument("--repeats", type=int, help="samples per item instead of the preset's")
    parser.add_argument("--max-tokens", type=int, help="tokens of an answer instead of the preset's")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--context", type=int, help="tokens of a prompt with its answer instead of the preset's")
    parser.add_argument(
        "--context-policy",
        choices=RULES,
        help=f"of agents, see agents/loop/context.py (default: {DEFAULT}, params.yaml's for its benchmarks)",
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="official data of a benchmark")
    parser.add_argument(
        "--fetch",
        metavar="NAME",
        help="say how to get a benchmark's official items, or with --data what you have with its sha256, and end",
    )
    parser.add_argument("--tokenizer", type=Path, help="of a checkpoint folder that has none")
    parser.add_argument(
        "--user", default="", help="the model of simulated users: URL#model, a folder or embedded; without it a script"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--concurrency", type=int, default=64, help="requests in flight")
    parser.add_argument("--budget-tokens", type=int, default=0, help="0 is no limit")
    parser.add_argument("--max-failed-share", type=float, default=0.2, help="of a model's requests (default: 0.2)")
    parser.add_argument("--budget-minutes", type=float, default=0.0, help="0 is no limit")
    parser.add_argument("--out", type=Path, help="where scores and samples go (default: work/evaluations/<identity>)")
    parser.add_argument(
        "--published", action="store_true", help="log the published figures of K2 and of small models, and end"
    )
    return parser


def settings_of(preset: Settings, args: argparse.Namespace) -> Settings:
    """The preset with what the command line changes.

    Raises:
        InputError: a value that can't be.
    """
    for name, least in {"items": 0, "seed": 0, "concurrency": 1, "budget_tokens": 0, "budget_minutes": 0.0}.items():
        given = getattr(args, name)
        if not least <= given < math.inf:
            raise InputError(f"--{name.replace('_', '-')}: {given}")
    changes = {
        "repeats": args.repeats,
        "max_tokens": args.max_tokens,
        "temperature": args.temperature,
        "context": args.context,
    }
    changed = {key: value for key, value in changes.items() if value is not None}
    for key, value in changed.items():
        if not (0 if key == "temperature" else 1) <= value < math.inf:
            raise InputError(f"--{key.replace('_', '-')}: {value}")
    settings = replace(preset, **changed)
    if settings.context <= settings.max_tokens:
        raise InputError(f"--context: {settings.context}, but an answer may have {settings.max_tokens} tokens")
    return settings


def _paths(pairs: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    paths = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name not in names:
            raise InputError(f"--data {pair}: not NAME=PATH of a chosen benchmark")
        paths[name] = Path(path)
    return paths


def fetch_line(name: str, path: Path | None) -> str:
    """What a person does for the official items of `name`; of items that are here, what they are.

    Raises:
        DataError: no such benchmark, a missing package, or data that isn't in the official schema.
    """
    if path is None and name in DOWNLOADS:
        return to_fetch(name)
    data = open_named(name, path).manifest
    where = f"{data.source}, version {data.version}; licence: {data.licence}; sha256 {data.sha256}"
    return f"{name}: {data.count:,} items are here ({data.name}): {where}"


def log_published(root: Path) -> int:
    """Logs the published figures once; returns how many runs were new."""
    new = 0
    own = identity(root)
    for reference in REFERENCES:
        tags = own | {"source": reference.source, "reference": "published"}
        new += log_run(root, reference.name, params={}, metrics=reference.scores, tags=tags, once=True)
    return new


def _terminate(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def run(argv: Sequence[str]) -> int:
    """The command line; returns the exit status, 2 for what a user did wrong."""
    battles = bool(argv) and argv[0] == "arena"
    args = _parser().parse_args([] if battles else argv)
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _terminate)
    try:
        if battles:
            arena.main(argv[1:])
        elif args.published:
            print(f"evaluate: {log_published(Path())} reference runs logged")
        elif args.fetch:
            print(fetch_line(args.fetch, _paths(args.data, [args.fetch]).get(args.fetch)))
        else:
            _evaluate(args)
    except USER_ERRORS as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


@dataclass(frozen=True)
class Asking:
    """A benchmark and what is asked of it; `items` 0 is all."""

    bench: Benchmark
    settings: Settings
    items: int
    context_policy: ContextPolicy


def _target(args: argparse.Namespace) -> tuple[str, str]:
    """What is evaluated, and an endpoint's name of its model.

    Raises:
        InputError: neither `--model` with a folder nor `--target`.
    """
    if args.target:
        return args.target, args.model
    if not args.model:
        raise InputError("--model FOLDER or --target is needed (see --help)")
    if not Path(args.model).is_dir():
        raise InputError(f"--model {args.model}: no folder; an endpoint's URL goes to --target")
    return args.model, ""


def _user(args: argparse.Namespace) -> str:
    """The name of the model that plays users, for the names of data sets; empty for a script."""
    return arena.named(args.user)[0] if args.user else ""


def _asked(args: argparse.Namespace) -> dict[str, Asking]:
    """The benchmarks that the command line names, else those of params.yaml with their settings."""
    if args.benchmarks is not None:
        names = [name.strip() for name in args.benchmarks.split(",") if name.strip()]
        if not names:
            raise InputError("--benchmarks: names none (see --help)")
        paths = _paths(args.data, names)
        benches = {name: open_named(name, paths.get(name), user=_user(args)) for name in names}
        return {
            name: Asking(
                bench, settings_of(bench.presets[args.preset], args), args.items, args.context_policy or DEFAULT
            )
            for name, bench in benches.items()
        }
    chosen = {}
    own = load_section("evaluate", EvaluateParams)
    paths = _paths(args.data, [asked.name for asked in own.benchmarks])
    context_policy = args.context_policy or own.context_policy
    for asked in own.benchmarks:
        data = paths.get(asked.name, None if asked.data is None else Path(asked.data))
        bench = open_named(asked.name, data, user=_user(args))
        settings = replace(
            bench.presets[args.preset],
            repeats=asked.repeats,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
        )
        chosen[asked.name] = Asking(bench, settings_of(settings, args), args.items or asked.items, context_policy)
    return chosen


def _of_text(folder: Path, with_facts: bool) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """A folder's loss on held-out text and its closed-book facts with their samples, as far as data/ has them."""
    metrics: dict[str, float] = {}
    samples: list[dict[str, Any]] = []
    if not CORPUS_PATH.exists():
        print(f"evaluate: {CORPUS_PATH}: not found; no loss on held-out text is measured", flush=True)
        return metrics, samples
    seed, tokenizer, network = load_common().seed, folder_tokenizer(folder), load_any(folder).eval()
    metrics |= HeldText(seed)(network, tokenizer).metrics()
    print(f"text: {metrics['text_loss']:.4f} nats per token, {metrics['text_loss_per_byte']:.4f} per byte", flush=True)
    if with_facts and FACTS_PATH.exists():
        facts, samples = facts_asked(load_section("evaluate", EvaluateParams), seed, network, tokenizer)
        metrics |= facts
    return metrics, samples


def _evaluate(args: argparse.Namespace) -> None:
    started = time.monotonic()
    target, endpoint_model = _target(args)
    if args.out is not None:
        check_writable(args.out, "--out")
    args.preset = args.preset or ("k2-thinking" if args.benchmarks is None else "k2")
    chosen = _asked(args)
    options = EndpointOptions(
        endpoint_model,
        concurrency=args.concurrency,
        budget_tokens=args.budget_tokens,
        max_failed_share=args.max_failed_share,
    )
    open_model = arena.opener(arena.STORE, options, args.tokenizer)
    client = open_model(target)
    user = open_model(args.user) if args.user else None
    backend = sandboxes() if PARAMS.exists() else LOCAL
    identity = {
        "model": client.model,
        "seed": args.seed,
        "items": {name: asking.items for name, asking in chosen.items()},
        "user": user.model if user is not None else "scripted",
        "settings": {name: asdict(asking.settings) for name, asking in chosen.items()},
        "context_policy": {name: asking.context_policy for name, asking in chosen.items()},
        "data": {name: asking.bench.manifest.sha256 for name, asking in chosen.items()},
    }
    out: Path = args.out or Path("work/evaluations") / fingerprint(identity)
    deadline = started + 60 * args.budget_minutes if args.budget_minutes else None
    metrics: dict[str, float] = {}
    samples_of: dict[str, list[dict[str, Any]]] = {}
    tags = {"preset": args.preset, "target": client.model}
    if Path(target).is_dir():
        metrics, samples = _of_text(Path(target), args.benchmarks is None)
        if samples:
            with write_atomic(out / "facts.parquet") as tmp:
                write_table(tmp, samples, SAMPLES)
    for name, asking in chosen.items():
        bench, total = asking.bench, len(asking.bench.items())
        asked = (min(asking.items, total) if asking.items else total) * asking.settings.repeats
        try:
            with Progress(name, asked, "answer") as bar:
                rows = samples_of[name] = run_benchmark(
                    bench, client, asking.settings, seed=args.seed, items=asking.items,
                    context_policy=asking.context_policy, user=user, backend=backend, deadline=deadline,
                    on_answer=bar.update,
                )  # fmt: skip
        except CannotBeAsked as reason:
            print(reason, flush=True)
            continue
        with write_atomic(out / f"{name}.parquet") as tmp:
            write_table(tmp, rows, SAMPLES)
        scored = scoring.metrics(bench, rows, args.seed)
        metrics |= scored
        tags[f"dataset.{name}"] = scoring.asked(rows, total)
        print(line(bench.name, metrics, tags[f"dataset.{name}"]), flush=True)
        if bench.multiple_choice:
            metrics |= _by_loglikelihood(bench, client, asking.items, args.seed, deadline, out)
    metrics |= one_shot(samples_of)
    metrics = {key: round(value, 6) for key, value in metrics.items()}
    write_json(out / "scores.json", metrics)
    manifests = {name: asdict(asking.bench.manifest) for name, asking in chosen.items()}
    write_json(out / "manifests.json", {"run": tags, "data": manifests})
    log_run(Path(), f"evaluate {client.model}", params={"identity": identity}, metrics=metrics, tags=tags)
    lost = arena.losses({"target": client} | ({"user": user} if user is not None else {}))
    print(f"evaluate: {len(samples_of)} benchmarks, {out}/scores.json{lost}, {time.monotonic() - started:,.1f} s")


def _by_loglikelihood(
    bench: Benchmark, client: ChatClient, items: int, seed: int, deadline: float | None, out: Path
) -> dict[str, float]:
    """Scores of the choices' log-likelihoods, their samples in `out`; none of a model behind an endpoint."""
    reader = loglikelihood.at_hand(client)
    if reader is None:
        print(loglikelihood.absent(bench, client), flush=True)
        return {}
    total = len(bench.items())
    with Progress(f"{bench.name} by log-likelihood", min(items, total) if items else total, "item") as bar:
        rows = loglikelihood.ask(bench, reader, seed=seed, items=items, deadline=deadline, on_answer=bar.update)
    with write_atomic(out / f"{bench.name}_{loglikelihood.SUM}.parquet") as tmp:
        write_table(tmp, rows, SAMPLES)
    scored = loglikelihood.metrics(bench, rows)
    print(loglikelihood.line(bench, scored), flush=True)
    return scored


def line(name: str, scores: dict[str, float], dataset: str) -> str:
    """One benchmark's result for a person."""
    if name not in scores:
        return f"{name}: no score ({dataset})"
    low, high, n = scores[f"{name}_ci_low"], scores[f"{name}_ci_high"], scores[f"{name}_n"]
    lost = scores[f"{name}_infrastructure_errors"]
    more = f", {lost:.0f} infrastructure errors" if lost else ""
    cut = scores[f"{name}_truncated"]
    more += f", {cut:.0f} truncated" if cut else ""
    exhausted = scores.get(f"{name}_{EXHAUSTED}", 0.0)
    more += f", {exhausted:.0%} ended by a full context" if exhausted else ""
    return f"{name}: {scores[name]:.1%} [{low:.1%}, {high:.1%}], n={n:.0f}{more}; {dataset}"
