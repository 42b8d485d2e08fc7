"""What a network is measured by before and after quantization: held-out documents, closed-book facts, RL's tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gym.intervals import bootstrap_mean, wilson
from k2model.chat.tokenizer import K2Tokenizer
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model
from stages.measure.closed_book import Fact, choose, is_correct, prompt


def held_out(
    texts: Sequence[str], tokenizer: K2Tokenizer, n: int, length: int, rng: np.random.Generator
) -> list[list[int]]:
    """`n` documents of a seeded shuffle, each [BOS] and up to `length` tokens."""
    chosen: list[list[int]] = []
    for index in rng.permutation(len(texts)):
        ids = tokenizer.encode(texts[index])[:length]
        if ids and len(chosen) < n:
            chosen.append([tokenizer.bos, *ids])
    return chosen


@torch.no_grad()
def losses(model: K2Model, documents: Sequence[Sequence[int]], rows: int, pad: int) -> list[float]:
    """Nats per token of each document, in order."""
    found = [0.0] * len(documents)
    order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        length = max(len(documents[i]) for i in part) - 1
        tokens_BL = torch.full((len(part), length), pad)
        targets_BL = torch.full((len(part), length), -100)
        for row, i in enumerate(part):
            ids = torch.tensor(documents[i])
            tokens_BL[row, : len(ids) - 1] = ids[:-1]
            targets_BL[row, : len(ids) - 1] = ids[1:]
        logprob_BL, _ = model.log_probs(tokens_BL, targets_BL)
        for row, i in enumerate(part):
            found[i] = -float(logprob_BL[row].sum()) / (len(documents[i]) - 1)
    return found


def facts_correct(
    model: K2Model,
    tokenizer: K2Tokenizer,
    asked: Sequence[Fact],
    pool: Sequence[Fact],
    *,
    shots: int,
    answer_tokens: int,
    batch_size: int,
) -> list[bool]:
    """Whether each fact is answered, greedily, after `shots` solved ones."""
    newline = tokenizer.encode("\n")
    requests = [
        Request(
            [tokenizer.bos, *tokenizer.encode(prompt(fact, pool, shots))],
            answer_tokens,
            temperature=0.0,
            stop_ids=frozenset({*newline, tokenizer.eos}),
            stop_strings=("\n",),
        )
        for fact in asked
    ]
    longest = max(len(request.prompt) for request in requests) + answer_tokens
    engine = Engine(model, tokenizer, max_batch=batch_size, max_length=longest)
    results = engine.generate(requests)
    pairs = zip(asked, results, strict=True)
    return [is_correct(tokenizer.decode(result.ids, skip_special=True), fact) for fact, result in pairs]


def train_facts(facts: list[Fact], n: int, rng: np.random.Generator) -> tuple[list[Fact], list[Fact]]:
    """(asked, pool of solved ones), both about documents of the training split."""
    known = [fact for fact in facts if fact["split"] == "train"]
    return choose(known, n, rng), known


@dataclass(frozen=True)
class Found:
    """What one network reached: nats per token of each document, each fact, and tasks solved of `tasks`."""

    losses: list[float]
    facts: list[bool]
    solved: int
    tasks: int


def summary(name: str, found: Found, seed: int) -> dict[str, float]:
    """Loss, fact accuracy and task success of one network with 95 % intervals."""
    metrics = _interval(f"loss_{name}", float(np.mean(found.losses)), bootstrap_mean(found.losses, seed))
    right, n = sum(found.facts), len(found.facts)
    metrics |= _interval(f"facts_{name}", right / n, wilson(right, n))
    return metrics | _interval(f"tasks_{name}", found.solved / found.tasks, wilson(found.solved, found.tasks))


def _interval(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    return {name: value, f"{name}_ci_low": ends[0], f"{name}_ci_high": ends[1]}


def difference(name: str, one: Sequence[float], other: Sequence[float], seed: int) -> dict[str, float]:
    """Mean loss of `one` minus that of `other` on the same documents, with the interval of paired differences."""
    paired = [a - b for a, b in zip(one, other, strict=True)]
    return _interval(name, float(np.mean(paired)), bootstrap_mean(paired, seed))
