"""Does rephrasing teach more per token? Kimi K2 §2.2, Table 1, at a size for two cores.

    python -m flows.experiments.rephrase --documents 24 --versions 10 --seeds 3

From one base, under one token budget, the model trains on some documents' (a) raw text, `versions` epochs, (b) one
rephrasing each, `versions` epochs, (c) `versions` rephrasings each, one epoch. Then it is asked, closed book, for the
fact that each document states. Run it where the stages corpus and tokenizer have run; results go to
`docs/experiments/rephrase.json` and to MLflow.
"""

import argparse
import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.chat.open import open_client
from agents.rephrase.rewrite import Job, Options, Rephrasing, rephrase
from agents.rephrase.styles import PERSPECTIVES
from flows.runs import Runs
from gym.intervals import bootstrap_mean, wilson
from k2model.config import K2Config
from k2model.engine import OptimizerOptions, TrainEngine
from k2model.generate import Engine, Request
from k2model.model import K2Model, Output
from k2model.tokenizer import K2Tokenizer, load_tokenizer
from stages.evaluate.facts import Fact, is_correct, prompt
from stages.files import write_json
from stages.schemas import CORPUS, FACTS, read_table
from stages.seeds import rng, sub_seed

REPORT = {"raw": 23.76, "one": 27.39, "many": 28.94}  # K2's SimpleQA, same arms: 0 × 10, 1 × 10, 10 × 1
RELATION = "description"
SHOTS = 2
GRID = ("faq", "table", "dialogue", "tutorial", "paraphrase")  # what the embedded teacher does best comes first


@dataclass(frozen=True)
class Setup:
    """The size of the experiment; tokens per step are rows × length."""

    preset: str
    documents: int
    versions: int
    cells: int
    seeds: int
    max_chars: int
    base_steps: int
    rows: int
    length: int
    base_lr: float
    lr: float
    seed: int


def choose(s: Setup) -> tuple[list[dict[str, Any]], list[Fact], list[dict[str, Any]], list[Fact]]:
    """(documents, one fact about each, the other documents, facts about those): the base learns from the others."""
    corpus = read_table(Path("data/corpus.parquet"), CORPUS).to_pylist()
    facts = [f for f in read_table(Path("data/facts.parquet"), FACTS).to_pylist() if f["relation"] == RELATION]
    about = {fact["doc_id"]: fact for fact in facts}
    fit = [
        row for row in corpus if row["split"] == "train" and row["doc_id"] in about and len(row["text"]) <= s.max_chars
    ]
    fit.sort(key=lambda row: sub_seed(s.seed, "experiment", row["doc_id"]))
    chosen = fit[: s.documents]
    taken = {row["doc_id"] for row in chosen}
    others = [row for row in corpus if row["split"] == "train" and row["doc_id"] not in taken]
    kept = [fact for fact in facts if fact["doc_id"] not in taken and fact["split"] == "train"]
    return chosen, [about[row["doc_id"]] for row in chosen], others, kept


def rephrasings(rows: Sequence[dict[str, Any]], s: Setup) -> tuple[dict[str, list[str]], list[Rephrasing]]:
    """Accepted texts of each document: cell after cell of the grid, until there are enough or `cells` are used."""
    client = open_client("embedded", store=Path("work/answers.sqlite"), workers=torch.get_num_threads())
    cells = [(style, voice) for voice in PERSPECTIVES for style in GRID][: s.cells]
    options = Options(excerpt_tokens=96, chunk_tokens=40, candidates=2)
    texts: dict[str, list[str]] = {row["doc_id"]: [] for row in rows}
    done: list[Rephrasing] = []
    for version, (style, voice) in enumerate(cells):
        want = [row for row in rows if len(texts[row["doc_id"]]) < s.versions]
        if not want:
            break
        jobs = [
            Job(row["doc_id"], row["title"], row["text"], style, voice, version, sub_seed(s.seed, style, voice))
            for row in want
        ]
        results = rephrase(jobs, client, options)
        done += results
        for one in results:
            if one.accepted and one.text not in texts[one.job.doc_id]:
                texts[one.job.doc_id].append(one.text)
        print(f"rephrase: {style}, {voice}: {sum(one.accepted for one in results)} of {len(results)}", flush=True)
    return texts, done


def arms(rows: Sequence[dict[str, Any]], texts: dict[str, list[str]], versions: int) -> dict[str, list[list[str]]]:
    """The epochs of each arm. A document with fewer than `versions` accepted texts repeats those it has."""
    raw = [row["text"] for row in rows]
    one = [texts[row["doc_id"]][0] for row in rows]
    many = [[texts[row["doc_id"]][k % len(texts[row["doc_id"]])] for row in rows] for k in range(versions)]
    return {"raw": [raw] * versions, "one": [one] * versions, "many": many}


def stream(epochs: Sequence[Sequence[str]], tokenizer: K2Tokenizer, order: np.random.Generator) -> Iterator[int]:
    """Token ids of the epochs, each in a new order, without end."""
    while True:
        for epoch in epochs:
            for index in order.permutation(len(epoch)):
                yield from (tokenizer.bos, *tokenizer.encode(epoch[index]), tokenizer.eos)


def batches(ids: Iterator[int], s: Setup, steps: int) -> Iterator[Tensor]:
    """[rows, length + 1] for each step: inputs and the next token."""
    for _ in range(steps):
        yield torch.tensor([[next(ids) for _ in range(s.length + 1)] for _ in range(s.rows)])


def train(model: K2Model, ids: Iterator[int], s: Setup, steps: int, lr: float) -> float:
    """Trains in place, learning rate falling to a tenth along a cosine; returns the mean loss of the last steps."""
    engine = TrainEngine(model, OptimizerOptions(), micro_batches=1)

    def loss_fn(network: Any, micro: Tensor) -> tuple[Tensor, Output]:
        out = network(micro[:, :-1], micro[:, 1:])
        assert out.loss is not None
        return out.loss, out

    losses = []
    for step, tokens in enumerate(batches(ids, s, steps)):
        loss = engine.accumulate(loss_fn, [tokens])
        rate = lr * min(1.0, (step + 1) / 5) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        engine.apply(loss, lr=rate, bias_rate=0.001)
        losses.append(loss)
    return sum(losses[-5:]) / len(losses[-5:])


def ask(model: K2Model, tokenizer: K2Tokenizer, facts: Sequence[Fact], pool: Sequence[Fact]) -> list[dict[str, Any]]:
    """Greedy answers, and the log-probability per token of the right one, which moves before accuracy does."""
    model.eval()
    prompts = [[tokenizer.bos, *tokenizer.encode(prompt(fact, pool, SHOTS))] for fact in facts]
    newline = frozenset({*tokenizer.encode("\n"), tokenizer.eos})
    requests = [Request(ids, 24, temperature=0.0, stop_ids=newline, stop_strings=("\n",)) for ids in prompts]
    engine = Engine(model, tokenizer, max_batch=32, max_length=max(map(len, prompts)) + 24)
    found = []
    for fact, ids, result in zip(facts, prompts, engine.generate(requests), strict=True):
        answer = tokenizer.encode(f" {fact['answer']}\n")
        whole = torch.tensor([[*ids, *answer]])
        with torch.no_grad():
            logp = model(whole[:, :-1], whole[:, 1:]).logp_BL
        assert logp is not None
        output = tokenizer.decode(result.ids, skip_special=True)
        found.append(
            {
                "fact_id": fact["fact_id"],
                "expected": fact["answer"],
                "output": output.strip(),
                "correct": is_correct(output, fact),
                "logp": float(logp[0, -len(answer) :].mean()),
            }
        )
    return found


def base_model(
    s: Setup, tokenizer: K2Tokenizer, others: Sequence[dict[str, Any]], facts: Sequence[Fact]
) -> tuple[K2Model, float]:
    """The common start: trained on other documents, and on questions about them, so that it knows the form."""
    solved = [f"Question: {fact['question']}\nAnswer: {fact['answer']}" for fact in facts]
    about = {fact["doc_id"]: text for fact, text in zip(facts, solved, strict=True)}
    mixed = [text for row in others for text in (row["text"][: s.max_chars], about.get(row["doc_id"], "")) if text]
    config = K2Config.preset(s.preset, vocab_size=tokenizer.vocab_size)
    model = K2Model(config, seed=sub_seed(s.seed, "experiment", "model"))
    order = rng(s.seed, "experiment", "base")
    return model, train(model, stream([mixed], tokenizer, order), s, s.base_steps, s.base_lr)


def summary(samples: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Accuracy with a Wilson interval over all answers, and the mean log-probability with a bootstrap over facts."""
    correct = sum(one["correct"] for one in samples)
    low, high = wilson(correct, len(samples))
    by_fact: dict[str, list[float]] = {}
    for one in samples:
        by_fact.setdefault(one["fact_id"], []).append(one["logp"])
    means = [sum(values) / len(values) for values in by_fact.values()]
    logp_low, logp_high = bootstrap_mean(means, seed)
    return {
        "answers": len(samples),
        "correct": correct,
        "accuracy": correct / len(samples),
        "accuracy_ci": [low, high],
        "logp": sum(means) / len(means),
        "logp_ci": [logp_low, logp_high],
    }


def paired(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The mean difference of log-probability per fact, b − a, averaged over seeds, with a bootstrap over facts."""
    difference: dict[str, list[float]] = {}
    for one, two in zip(a, b, strict=True):
        difference.setdefault(one["fact_id"], []).append(two["logp"] - one["logp"])
    means = [sum(values) / len(values) for values in difference.values()]
    low, high = bootstrap_mean(means, seed)
    return {"mean": sum(means) / len(means), "ci": [low, high]}


def run(s: Setup, runs: Runs) -> dict[str, Any]:
    """Every arm over every seed, each a child of `runs`."""
    tokenizer = load_tokenizer(Path("data/tokenizer"))
    rows, facts, others, pool = choose(s)
    texts, done = rephrasings(rows, s)
    kept = [k for k, row in enumerate(rows) if texts[row["doc_id"]]]
    rows, facts = [rows[k] for k in kept], [facts[k] for k in kept]
    raw_tokens = sum(len(tokenizer.encode(row["text"])) + 2 for row in rows)
    steps = math.ceil(raw_tokens * s.versions / (s.rows * s.length))
    base, base_loss = base_model(s, tokenizer, others, pool)
    state = copy.deepcopy(base.state_dict())
    answers: dict[str, list[dict[str, Any]]] = {"base": ask(base, tokenizer, facts, pool)}
    losses: dict[str, list[float]] = {}
    for seed in range(s.seeds):
        for name, epochs in arms(rows, texts, s.versions).items():
            model = K2Model(base.config, seed=0)
            model.load_state_dict(state)
            order = rng(s.seed, "experiment", "arm", seed)
            child = runs.start(
                f"{name}, seed {seed}", {"seed": seed, "steps": steps, "lr": s.lr}, stage="arm", arm=name
            )
            loss = train(model, stream(epochs, tokenizer, order), s, steps, s.lr)
            losses.setdefault(name, []).append(loss)
            asked = ask(model, tokenizer, facts, pool)
            answers.setdefault(name, []).extend(asked)
            mine = summary(asked, s.seed)
            runs.finish(child, {"train_loss": loss, "accuracy": mine["accuracy"], "logp": mine["logp"]})
            print(f"seed {seed}, {name}: loss {loss:.3f}, {summary(answers[name], s.seed)['accuracy']:.1%}", flush=True)
    distinct = [min(len(texts[row["doc_id"]]), s.versions) for row in rows]
    return {
        "setup": vars(s) | {"tokens_per_arm": steps * s.rows * s.length, "raw_tokens": raw_tokens, "steps": steps},
        "documents": len(rows),
        "distinct_rephrasings_mean": sum(distinct) / len(distinct),
        "texts_accepted": sum(one.accepted for one in done) / len(done),
        "base_loss": base_loss,
        "losses": losses,
        "arms": {name: summary(found, s.seed) for name, found in answers.items()},
        "logp_difference": {
            "one - raw": paired(answers["raw"], answers["one"], s.seed),
            "many - raw": paired(answers["raw"], answers["many"], s.seed),
            "many - one": paired(answers["one"], answers["many"], s.seed),
        },
        "report_simpleqa": REPORT,
        "samples": {name: found[:5] for name, found in answers.items()},
    }


def _line(name: str, arm: dict[str, Any]) -> str:
    low, high = arm["accuracy_ci"]
    return f"{name} {arm['accuracy']:.1%} [{low:.1%}, {high:.1%}] logp {arm['logp']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--cells", type=int, default=20, help="of the style × perspective grid, at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-chars", type=int, default=400)
    parser.add_argument("--base-steps", type=int, default=200)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--base-lr", type=float, default=4e-3)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/experiments/rephrase.json"))
    args = vars(parser.parse_args())
    torch.set_num_threads(args.pop("threads"))
    out = args.pop("out")
    setup = Setup(**args)
    started = time.monotonic()
    runs = Runs.open("rephrasing", Path(), "experiment")
    try:
        result = run(setup, runs)
    except BaseException:
        runs.end(False)
        raise
    write_json(out, result)
    metrics = {f"{name}_{key}": arm[key] for name, arm in result["arms"].items() for key in ("accuracy", "logp")}
    for key, value in metrics.items():
        runs.client.log_metric(runs.parent, key, value)
    runs.end(True, out)
    line = ", ".join(_line(name, arm) for name, arm in result["arms"].items())
    n = result["arms"]["raw"]["answers"]
    print(f"rephrase experiment: {n} answers per arm: {line}; {time.monotonic() - started:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
