"""Does rephrasing teach more per token? Kimi K2 §2.2, Table 1, at a size for two cores.

    python -m experiments.rephrase --documents 60 --versions 10 --seeds 3

From one base, under one token budget, the model trains on some documents' (a) raw text, `versions` epochs, (b) one
rephrasing each, `versions` epochs, (c) `versions` distinct rephrasings each, one epoch. Only documents with that many
accepted rephrasings take part. Half the rows of every batch, the same in all arms, are other documents and questions
about them. Then the model is asked, closed book, for the fact that each document states: by its greedy answer, by the
log-probability of the right one, and by choosing among the answers that belong to the other documents.
Run it where the stages corpus and tokenizer have run; results go to `docs/experiments/rephrase.json` and to MLflow.
"""

import argparse
import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.chat.open import open_client
from agents.rephrase.rewrite import Job, Options, Rephrasing, rephrase, verdict
from agents.rephrase.styles import PERSPECTIVES, STYLES, assemble
from gym.intervals import bootstrap_mean, wilson
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer
from k2model.config import K2Config
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model, Output
from k2model.training.engine import OptimizerOptions, TrainEngine
from stages.harness.errors import InputError
from stages.harness.files import write_json
from stages.harness.seeds import rng, sub_seed
from stages.harness.tables import CORPUS, FACTS, read_table
from stages.measure.closed_book import Fact, is_correct, prompt
from stages.tracking.groups import RunGroup

REPORT = {"raw": 23.76, "one": 27.39, "many": 28.94}  # K2's SimpleQA, same arms: 0 × 10, 1 × 10, 10 × 1
NAMES = {"raw": "raw × 10 epochs", "one": "1 rephrasing × 10", "many": "10 rephrasings × 1"}
PAIRS = (("raw", "many"), ("raw", "one"), ("one", "many"))  # (worse, better) by K2's report
MEANS = ("choice", "logp")
RELATION = "description"
SHOTS = 2
# what the teacher words → the forms in which its wordings are told
FORMS = {
    "faq": (("faq", "encyclopedist"), ("dialogue", "teacher"), ("dialogue", "journalist"), ("dialogue", "traveller")),
    "tutorial": (("tutorial", "teacher"), ("table", "encyclopedist"), ("learning_note", "teacher")),
    "paraphrase": (("paraphrase", "encyclopedist"),),
}
POINTS = 8  # of each curve


@dataclass(frozen=True)
class Setup:
    """The size of the experiment; tokens per step are rows × length, half of them of an arm.

    `hidden` is the network's width where it is not the preset's (0). A
    question with given answers has `options` of them. The teacher gives `candidates` wordings of each chunk and kind.
    """

    preset: str
    hidden: int
    documents: int
    versions: int
    options: int
    candidates: int
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
    answers: set[str] = set()  # two documents with one answer would make a choice between them meaningless
    chosen: list[dict[str, Any]] = []
    for row in fit:
        answer = about[row["doc_id"]]["answer"]
        if answer not in answers and len(chosen) < s.documents:
            answers.add(answer)
            chosen.append(row)
    taken = {row["doc_id"] for row in chosen}
    others = [row for row in corpus if row["split"] == "train" and row["doc_id"] not in taken]
    kept = [fact for fact in facts if fact["doc_id"] not in taken and fact["split"] == "train"]
    return chosen, [about[row["doc_id"]] for row in chosen], others, kept


def rephrasings(rows: Sequence[dict[str, Any]], s: Setup) -> tuple[dict[str, list[str]], list[Rephrasing]]:
    """Up to `versions` distinct accepted texts of each document, in an order drawn for it.

    The teacher words questions, headings and paraphrases of each chunk, `candidates` of each. Its n-th passing wordings
    of all chunks, in each of `FORMS`, are a text, which is scored as the stage scores its own.
    """
    client = open_client("embedded", store=Path("work/answers.sqlite"), workers=torch.get_num_threads())
    options = Options(excerpt_tokens=96, chunk_tokens=40, candidates=s.candidates)
    jobs = [
        Job(row["doc_id"], row["title"], row["text"], style, forms[0][1], 0, sub_seed(s.seed, style, row["doc_id"]))
        for style, forms in FORMS.items()
        for row in rows
    ]
    done = rephrase(jobs, client, options)
    texts: dict[str, list[str]] = {row["doc_id"]: [] for row in rows}
    for one in done:
        found = texts[one.job.doc_id]
        found += [text for text in alternatives(one, options) if text not in found]
    for doc_id, found in texts.items():
        order = rng(s.seed, "experiment", "versions", doc_id).permutation(len(found))
        texts[doc_id] = [found[k] for k in order[: s.versions]]
    return texts, done


def alternatives(one: Rephrasing, options: Options) -> Iterator[str]:
    """Accepted texts out of one job's candidates."""
    n = options.candidates
    chunks = [one.candidates[at : at + n] for at in range(0, len(one.candidates), n)]
    passed = [list(dict.fromkeys(c.wording for c in chunk if not c.reason)) for chunk in chunks]
    for style, perspective in FORMS[one.job.style]:
        job = replace(one.job, style=style, perspective=perspective)
        for k in range(max(map(len, passed))):
            wordings = [wording[k % len(wording)] if wording else "" for wording in passed]
            parts = [(wording, chunk[0].chunk) for wording, chunk in zip(wordings, chunks, strict=True)]
            text = assemble(STYLES[style], PERSPECTIVES[perspective], job.title, parts)
            _, reason = verdict(job, text, sum(map(bool, wordings)) / len(wordings), options)
            if not reason:
                yield text


def arms(
    rows: Sequence[dict[str, Any]], texts: dict[str, list[str]], versions: int, seed: int
) -> dict[str, list[list[str]]]:
    """The epochs of each arm; every document has `versions` texts, of which the seed picks the single one."""
    raw = [row["text"] for row in rows]
    many = [[texts[row["doc_id"]][k] for row in rows] for k in range(versions)]
    return {"raw": [raw] * versions, "one": [many[seed % versions]] * versions, "many": many}


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


def question(fact: Fact) -> str:
    """The question without worked examples, as the base learned its form."""
    return f"Question: {fact['question']}\nAnswer:"


def log_probabilities(
    model: K2Model, tokenizer: K2Tokenizer, pairs: Sequence[tuple[str, str]], batch: int = 32
) -> list[float]:
    """Mean log-probability per token of each answer after its question, in nats; both are texts."""
    model.eval()
    found: list[float] = []
    for at in range(0, len(pairs), batch):
        asked = [([tokenizer.bos, *tokenizer.encode(q)], tokenizer.encode(f" {a}")) for q, a in pairs[at : at + batch]]
        longest = max(len(q) + len(a) for q, a in asked)
        ids_BL = torch.full((len(asked), longest), tokenizer.eos)
        for k, (q, a) in enumerate(asked):
            ids_BL[k, : len(q) + len(a)] = torch.tensor([*q, *a])
        with torch.no_grad():
            logp_BL = model(ids_BL[:, :-1], ids_BL[:, 1:]).logp_BL
        assert logp_BL is not None
        found += [float(logp_BL[k, len(q) - 1 : len(q) + len(a) - 1].mean()) for k, (q, a) in enumerate(asked)]
    model.train()
    return found


def choices(score_QA: np.ndarray, options: int) -> list[float]:
    """How often each question's own answer wins against `options` − 1 of the others, over all draws of those.

    Args:
        score_QA: log-probability of answer A after question Q; own answers are on the diagonal. An answer's mean over
            the questions is taken off first, so that no answer wins because it is likely anywhere.
    """
    calibrated_QA = score_QA - score_QA.mean(axis=0, keepdims=True)
    others = len(score_QA) - 1
    draws = math.comb(others, options - 1)
    below = [int((row < row[k]).sum()) for k, row in enumerate(calibrated_QA)]
    return [math.comb(n, options - 1) / draws for n in below]


def ask(
    model: K2Model, tokenizer: K2Tokenizer, facts: Sequence[Fact], pool: Sequence[Fact], options: int
) -> list[dict[str, Any]]:
    """Of each fact: the greedy answer, the right one's log-probability per token, and the share of choices it wins."""
    model.eval()
    prompts = [[tokenizer.bos, *tokenizer.encode(prompt(fact, pool, SHOTS))] for fact in facts]
    newline = frozenset({*tokenizer.encode("\n"), tokenizer.eos})
    requests = [Request(ids, 24, temperature=0.0, stop_ids=newline, stop_strings=("\n",)) for ids in prompts]
    engine = Engine(model, tokenizer, max_batch=32, max_length=max(map(len, prompts)) + 24)
    pairs = [(question(fact), str(other["answer"])) for fact in facts for other in facts]
    score_QA = np.array(log_probabilities(model, tokenizer, pairs)).reshape(len(facts), len(facts))
    chosen = choices(score_QA, options)
    found = []
    for k, (fact, result) in enumerate(zip(facts, engine.generate(requests), strict=True)):
        output = tokenizer.decode(result.ids, skip_special=True)
        found.append(
            {
                "fact_id": fact["fact_id"],
                "expected": fact["answer"],
                "output": output.strip(),
                "correct": is_correct(output, fact),
                "logp": float(score_QA[k, k]),
                "choice": chosen[k],
            }
        )
    model.train()
    return found


def base_texts(s: Setup, others: Sequence[dict[str, Any]], facts: Sequence[Fact]) -> list[str]:
    """What the base learns from, and what every arm goes on to see: other documents, and questions about them."""
    about = {fact["doc_id"]: f"{question(fact)} {fact['answer']}" for fact in facts}
    return [text for row in others for text in (row["text"][: s.max_chars], about.get(row["doc_id"], "")) if text]


def summary(samples: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Exact match with a Wilson interval over all answers; the means of `MEANS` with a bootstrap over facts."""
    correct = sum(one["correct"] for one in samples)
    means = {key: by_fact(samples, key) for key in MEANS}
    return {
        "answers": len(samples),
        "correct": correct,
        "accuracy": correct / len(samples),
        "accuracy_ci": list(wilson(correct, len(samples))),
        **{key: sum(values) / len(values) for key, values in means.items()},
        **{f"{key}_ci": list(bootstrap_mean(values, seed)) for key, values in means.items()},
    }


def by_fact(samples: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Each fact's mean over the seeds."""
    values: dict[str, list[float]] = {}
    for one in samples:
        values.setdefault(one["fact_id"], []).append(one[key])
    return [sum(found) / len(found) for found in values.values()]


def paired(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], key: str, seed: int) -> dict[str, Any]:
    """The mean difference b − a per fact, averaged over seeds, with a bootstrap over facts."""
    means = [two - one for one, two in zip(by_fact(a, key), by_fact(b, key), strict=True)]
    return {"mean": sum(means) / len(means), "ci": list(bootstrap_mean(means, seed))}


def claims(result: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table of claims: the differences in choosing the right answer, in points of per cent."""
    found = []
    for worse, better in PAIRS:
        one = result["differences"]["choice"][f"{better} - {worse}"]
        low, high = one["ci"]
        verdict = "reproduces" if low > 0 else "does not reproduce" if high < 0 else "not settled at this size"
        a, b = (100 * result["arms"][name]["choice"] for name in (better, worse))
        found.append(
            {
                "claim": f"{NAMES[better]} teach more facts than {NAMES[worse]}",
                "k2": f"SimpleQA {REPORT[better]} against {REPORT[worse]}",
                "ours": f"{a:.1f} % against {b:.1f} % of choices among {result['setup']['options']} answers",
                "interval": f"{100 * low:+.1f} to {100 * high:+.1f} points",
                "verdict": verdict,
            }
        )
    return found


def run(s: Setup, runs: RunGroup) -> dict[str, Any]:
    """Every arm over every seed, each a child of `runs`."""
    tokenizer = load_tokenizer(Path("data/tokenizer"))
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
    steps = math.ceil(max(max(found) for found in tokens.values()) / (s.rows // 2 * s.length))
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
            logp = {0: sum(one["logp"] for one in answers["base"]) / len(facts)}

            def watch(
                step: int, loss: float, model: K2Model = model, seen: list[float] = seen, logp: dict[int, float] = logp
            ) -> None:
                seen.append(loss)
                if step * POINTS // steps > (step - 1) * POINTS // steps:
                    found = log_probabilities(model, tokenizer, right)
                    logp[step] = sum(found) / len(found)

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
    result: dict[str, Any] = {
        "setup": vars(s) | {"steps": steps, "arm_tokens": steps * (s.rows // 2) * s.length, "one_pass_tokens": tokens},
        "documents": len(rows),
        "documents_tried": len(distinct),
        "distinct_rephrasings": distinct,
        "texts_accepted": sum(one.accepted for one in done) / len(done),
        "base_loss": base_loss,
        "arms": {name: summary(found, s.seed) for name, found in answers.items()},
        "differences": {
            key: {name: paired(*both, key, s.seed) for name, both in pairs.items()} for key in ("correct", *MEANS)
        },
        "report_simpleqa": REPORT,
        "charts": [
            {
                "title": "Rephrasing: log-probability per token of the right answer",
                "x": "step",
                "y": "nats",
                "series": [_mean_curve(NAMES[name], found) for name, found in curves.items()],
            },
            {
                "title": "Rephrasing: training loss",
                "x": "step",
                "y": "nats",
                "series": [_loss_curve(NAMES[name], found) for name, found in losses.items()],
            },
        ],
        "samples": {name: found[:5] for name, found in answers.items()},
    }
    return result | {"claims": claims(result)}


def _tokens(epochs: Sequence[Sequence[str]], tokenizer: K2Tokenizer) -> int:
    return sum(len(tokenizer.encode(text)) + 2 for epoch in epochs for text in epoch)


def _mean_curve(name: str, found: Sequence[dict[int, float]]) -> dict[str, Any]:
    steps = list(found[0])
    return {"name": name, "x": steps, "y": [sum(one[step] for one in found) / len(found) for step in steps]}


def _loss_curve(name: str, found: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The mean over seeds and over an eighth of the steps each."""
    size = max(1, len(found[0]) // POINTS)
    ends = list(range(size, len(found[0]) + 1, size))
    return {
        "name": name,
        "x": ends,
        "y": [sum(sum(one[end - size : end]) for one in found) / (size * len(found)) for end in ends],
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
    parser.add_argument("--out", type=Path, default=Path("docs/experiments/rephrase.json"))
    args = vars(parser.parse_args())
    torch.set_num_threads(args.pop("threads"))
    out = args.pop("out")
    setup = Setup(**args)
    started = time.monotonic()
    runs = RunGroup.open("rephrasing", Path(), "experiment")
    try:
        result = run(setup, runs)
    except BaseException:
        runs.end(False)
        raise
    write_json(out, result)
    metrics = {f"{name}_{key}": arm[key] for name, arm in result["arms"].items() for key in ("accuracy", *MEANS)}
    runs.log(metrics)
    runs.end(True, out)
    line = ", ".join(_line(name, arm) for name, arm in result["arms"].items())
    n = result["arms"]["raw"]["answers"]
    print(f"rephrase experiment: {n} answers per arm: {line}; {time.monotonic() - started:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
