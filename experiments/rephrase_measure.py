"""What the experiment on rephrasing measures: closed-book answers and intervals."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gym.intervals import bootstrap_mean, wilson
from k2model.chat.tokenizer import K2Tokenizer
from k2model.model import K2Model
from stages.measure import closed_book
from stages.measure.closed_book import Fact
from stages.measure.loss import losses
from stages.posttraining.packing import Example

REPORT = {"raw": 23.76, "one": 27.39, "many": 28.94}  # K2's SimpleQA, same arms: 0 × 10, 1 × 10, 10 × 1
NAMES = {"raw": "raw × 10 epochs", "one": "1 rephrasing × 10", "many": "10 rephrasings × 1"}
PAIRS = (("raw", "many"), ("raw", "one"), ("one", "many"))  # (worse, better) by K2's report
MEANS = ("choice", "logp")
SHOTS, ANSWER_TOKENS, ROWS = 2, 24, 32


def question(fact: Fact) -> str:
    """The question without worked examples, as the base learned its form."""
    return f"Question: {fact['question']}\nAnswer:"


def log_probabilities(model: K2Model, tokenizer: K2Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Mean log-probability per token of each answer after its question, in nats; both are texts."""
    examples = []
    for asked, answer in pairs:
        before, after = [tokenizer.bos, *tokenizer.encode(asked)], tokenizer.encode(f" {answer}")
        examples.append(Example([*before, *after], [False] * len(before) + [True] * len(after)))
    model.eval()
    nats = losses(model, examples, rows=ROWS, pad=tokenizer.eos)
    model.train()
    return [-loss for loss in nats]


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
    pairs = [(question(fact), str(other["answer"])) for fact in facts for other in facts]
    score_QA = np.array(log_probabilities(model, tokenizer, pairs)).reshape(len(facts), len(facts))
    won = choices(score_QA, options)
    model.eval()
    answers = closed_book.ask(model, tokenizer, facts, pool, shots=SHOTS, answer_tokens=ANSWER_TOKENS, batch_size=ROWS)
    model.train()
    return [
        {
            "fact_id": fact["fact_id"],
            "expected": fact["answer"],
            "output": answer.output.strip(),
            "correct": answer.correct,
            "logp": float(score_QA[k, k]),
            "choice": won[k],
        }
        for k, (fact, answer) in enumerate(zip(facts, answers, strict=True))
    ]


def summary(samples: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Exact match with a Wilson interval over all answers; the means of `MEANS` with a bootstrap over facts."""
    correct = sum(sample["correct"] for sample in samples)
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
    for sample in samples:
        values.setdefault(sample["fact_id"], []).append(sample[key])
    return [sum(seeds) / len(seeds) for seeds in values.values()]


def paired(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], key: str, seed: int) -> dict[str, Any]:
    """The mean difference b − a per fact, averaged over seeds, with a bootstrap over facts."""
    means = [y - x for x, y in zip(by_fact(a, key), by_fact(b, key), strict=True)]
    return {"mean": sum(means) / len(means), "ci": list(bootstrap_mean(means, seed))}
