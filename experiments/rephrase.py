"""Does rephrasing teach more per token? Kimi K2 §2.2, Table 1, at a size for two cores.

    python -m experiments.rephrase --documents 60 --versions 10 --seeds 3

From one base, under one token budget, the model trains on some documents' (a) raw text, `versions` epochs, (b) one
rephrasing each, `versions` epochs, (c) `versions` distinct rephrasings each, one epoch. Only documents with that many
accepted rephrasings take part. Half the rows of every batch, the same in all arms, are other documents and questions
about them. Then the model is asked, closed book, for the fact that each document states: by its greedy answer, by the
log-probability of the right one, and by choosing among the answers that belong to the other documents.
Run it where the stages corpus and tokenizer have run; results go to `docs/experiments/rephrase.jsonl` and to MLflow.
"""

import argparse
import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.ledger import conclude
from experiments.rephrase_data import Setup, arms, base_texts, choose, rephrasings
from experiments.rephrase_measure import (
    MEANS,
    NAMES,
    PAIRS,
    REPORT,
    ask,
    log_probabilities,
    paired,
    question,
    summary,
)
from experiments.results import Record, size_of, stamp, write_results
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.config import K2Config
from k2model.model import K2Model, Output
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from stages.harness.errors import InputError
from stages.harness.seeds import rng, sub_seed
from stages.tracking.groups import RunGroup

POINTS = 8  # of each curve


def stream(epochs: Sequence[Sequence[str]], tokenizer: K2Tokenizer, order: np.random.Generator) -> Iterator[int]:
    """Token ids of the epochs, each in a new order, without end."""
    while True:
        for epoch in epochs:
            for index in order.permutation(len(epoch)):
                yield from (tokenizer.bos, *tokenizer.encode(epoch[index]), tokenizer.eos)


def batches(sources: Sequence[Iterator[int]], s: Setup, steps: int) -> Iterator[Tensor]:
    """[rows, length + 1] for each step: inputs and the next token; the rows come from the sources in turn."""
    for _ in range(steps):
        rows = [[next(sources[k % len(sources)]) for _ in range(s.length + 1)] for k in range(s.rows)]
        yield torch.tensor(rows)


def train(
    model: K2Model,
    sources: Sequence[Iterator[int]],
    s: Setup,
    steps: int,
    lr: float,
    watch: Callable[[int, float], None] = lambda step, loss: None,
) -> float:
    """Trains in place, learning rate falling to a tenth along a cosine; returns the mean loss of the last steps.

    Args:
        watch: called with every step's number, from 1, and loss.
    """
    engine = TrainEngine(model, OptimizerOptions(), micro_batches=1)

    def loss_fn(network: Any, micro: Tensor) -> tuple[Tensor, Output]:
        out = network(micro[:, :-1], micro[:, 1:])
        assert out.loss is not None
        return out.loss, out

    losses = []
    for step, tokens in enumerate(batches(sources, s, steps)):
        loss = engine.accumulate(loss_fn, [tokens])
        rate = lr * min(1.0, (step + 1) / 5) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        engine.apply(loss, lr=rate, bias_rate=0.001)
        losses.append(loss)
        watch(step + 1, loss)
    return sum(losses[-5:]) / len(losses[-5:])


def run(s: Setup, runs: RunGroup, out: Path) -> dict[str, Record]:
    """Every arm over every seed, each a child of `runs`; writes the results to `out`.

    Returns:
        The summary of each arm.

    Raises:
        InputError: too few documents have enough accepted rephrasings.
    """
    code, tokenizer = stamp(size_of("scratch", s.preset)), load_tokenizer(Path("data/tokenizer"))
    rows, facts, others, pool = choose(s)
    texts, done = rephrasings(rows, s)
    distinct = [len(texts[row["doc_id"]]) for row in rows]
    kept = [k for k, n in enumerate(distinct) if n >= s.versions]
    print(f"rephrase: {len(kept)} of {len(rows)} documents have {s.versions} texts; {distinct}", flush=True)
    if len(kept) < s.options:
        raise InputError(f"--documents {s.documents}: only {len(kept)} have {s.versions} accepted rephrasings")
    rows, facts = [rows[k] for k in kept], [facts[k] for k in kept]
    plans = [arms(rows, texts, s.versions, seed) for seed in range(s.seeds)]
    tokens = {name: [_tokens(plan[name], tokenizer) for plan in plans] for name in plans[0]}
    steps = math.ceil(max(max(seeds) for seeds in tokens.values()) / (s.rows // 2 * s.length))
    mixed = base_texts(s, others, pool)
    sizes = {"hidden_size": s.hidden} if s.hidden else {}
    base = K2Model(K2Config.preset(s.preset, vocab_size=tokenizer.vocab_size, **sizes), seed=sub_seed(s.seed, "base"))
    order = rng(s.seed, "experiment", "base")
    base_loss = train(base, [stream([mixed], tokenizer, order)], s, s.base_steps, s.base_lr)
    state = copy.deepcopy(base.state_dict())
    answers: dict[str, list[dict[str, Any]]] = {"base": ask(base, tokenizer, facts, pool, s.options)}
    print(f"base: loss {base_loss:.3f}, {_line('base', summary(answers['base'], s.seed))}", flush=True)
    right = [(question(fact), str(fact["answer"])) for fact in facts]
    losses: dict[str, list[list[float]]] = {}
    curves: dict[str, list[dict[int, float]]] = {}
    for seed in range(s.seeds):
        for name, epochs in plans[seed].items():
            model = K2Model(base.config, seed=0)
            model.load_state_dict(state)
            sources = [
                stream(epochs, tokenizer, rng(s.seed, "experiment", "arm", seed)),
                stream([mixed], tokenizer, rng(s.seed, "experiment", "mix", seed)),
            ]
            child = runs.start(
                f"{name}, seed {seed}", {"seed": seed, "steps": steps, "lr": s.lr}, stage="arm", arm=name
            )
            seen: list[float] = []
            logp = {0: sum(answer["logp"] for answer in answers["base"]) / len(facts)}

            def watch(
                step: int, loss: float, model: K2Model = model, seen: list[float] = seen, logp: dict[int, float] = logp
            ) -> None:
                seen.append(loss)
                if step * POINTS // steps > (step - 1) * POINTS // steps:
                    each = log_probabilities(model, tokenizer, right)
                    logp[step] = sum(each) / len(each)

            loss = train(model, sources, s, steps, s.lr, watch)
            losses.setdefault(name, []).append(seen)
            curves.setdefault(name, []).append(logp)
            asked = ask(model, tokenizer, facts, pool, s.options)
            answers.setdefault(name, []).extend(asked)
            mine = summary(asked, s.seed)
            runs.finish(
                child,
                {"train_loss": loss, **{key: mine[key] for key in ("accuracy", *MEANS)}},
                {"logp_of_the_answer": logp, "loss": dict(enumerate(seen, 1))},
            )
            print(f"seed {seed}: loss {loss:.3f}, {_line(name, mine)}", flush=True)
    pairs = {f"{better} - {worse}": (answers[worse], answers[better]) for worse, better in PAIRS}
    differences = {
        key: {name: paired(*both, key, s.seed) for name, both in pairs.items()} for key in ("correct", *MEANS)
    }
    settings = {
        "setup": vars(s) | {"steps": steps, "arm_tokens": steps * (s.rows // 2) * s.length, "one_pass_tokens": tokens},
        "documents": len(rows),
        "documents_tried": len(distinct),
        "distinct_rephrasings": distinct,
        "texts_accepted": sum(rephrasing.accepted for rephrasing in done) / len(done),
        "base_loss": base_loss,
        "differences": differences,
        "report_simpleqa": REPORT,
        "stamp": code,
    }
    logps = [_mean_curve(NAMES[name], seeds) for name, seeds in curves.items()]
    trained = [_loss_curve(NAMES[name], seeds) for name, seeds in losses.items()]
    charts: list[Record] = [
        {
            "title": "Rephrasing: log-probability per token of the right answer",
            "x": "step",
            "y": "nats",
            "series": logps,
        },
        {"title": "Rephrasing: training loss", "x": "step", "y": "nats", "series": trained},
    ]
    arm_summaries = {name: summary(given, s.seed) for name, given in answers.items()}
    samples = {name: given[:5] for name, given in answers.items()}
    write_results(
        out,
        settings,
        arms=[{"arm": name, **arm, "samples": samples[name]} for name, arm in arm_summaries.items()],
        charts=charts,
    )
    return arm_summaries


def _tokens(epochs: Sequence[Sequence[str]], tokenizer: K2Tokenizer) -> int:
    return sum(len(tokenizer.encode(text)) + 2 for epoch in epochs for text in epoch)


def _mean_curve(name: str, seeds: Sequence[dict[int, float]]) -> Record:
    steps = list(seeds[0])
    return {"name": name, "x": steps, "y": [sum(curve[step] for curve in seeds) / len(seeds) for step in steps]}


def _loss_curve(name: str, seeds: Sequence[Sequence[float]]) -> Record:
    """The mean over seeds and over an eighth of the steps each."""
    size = max(1, len(seeds[0]) // POINTS)
    ends = list(range(size, len(seeds[0]) + 1, size))
    return {
        "name": name,
        "x": ends,
        "y": [sum(sum(curve[end - size : end]) for curve in seeds) / (size * len(seeds)) for end in ends],
    }


def _line(name: str, arm: dict[str, Any]) -> str:
    low, high = arm["accuracy_ci"]
    choice_low, choice_high = arm["choice_ci"]
    return (
        f"{name} exact {arm['accuracy']:.1%} [{low:.1%}, {high:.1%}], choice {arm['choice']:.1%}"
        f" [{choice_low:.1%}, {choice_high:.1%}], logp {arm['logp']:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--hidden", type=int, default=0, help="width of the network; 0: the preset's")
    parser.add_argument("--documents", type=int, default=60, help="to be rephrased; those with enough texts take part")
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--options", type=int, default=4, help="answers to choose from; chance is one of them")
    parser.add_argument("--candidates", type=int, default=3, help="wordings of each chunk")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-chars", type=int, default=240)
    parser.add_argument("--base-steps", type=int, default=300)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--base-lr", type=float, default=4e-3)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/experiments/rephrase.jsonl"))
    args = vars(parser.parse_args())
    torch.set_num_threads(args.pop("threads"))
    out = args.pop("out")
    setup = Setup(**args)
    started = time.monotonic()
    runs = RunGroup.open("rephrasing", Path(), "experiment")
    try:
        summaries = run(setup, runs, out)
    except BaseException:
        runs.end(False)
        raise
    metrics = {f"{name}_{key}": arm[key] for name, arm in summaries.items() for key in ("accuracy", *MEANS)}
    runs.log(metrics)
    runs.end(True, out)
    line = ", ".join(_line(name, arm) for name, arm in summaries.items())
    n = summaries["raw"]["answers"]
    conclude("rephrase")
    print(f"rephrase experiment: {n} answers per arm: {line}; {time.monotonic() - started:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
