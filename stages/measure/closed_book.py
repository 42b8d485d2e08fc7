"""Closed-book facts: a few worked questions of the same kind, then the question; the answer must match exactly."""

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from k2model.chat.tokenizer import K2Tokenizer
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model

Fact = dict[str, Any]


@dataclass(frozen=True)
class FactAnswer:
    """What a model wrote after a question; `tokens` counts its ids."""

    prompt: str
    output: str
    correct: bool
    tokens: int
    finish_reason: str


def normalise(text: str) -> str:
    """SQuAD's rule: lower case, no punctuation, no articles, single spaces."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def is_correct(output: str, fact: Fact) -> bool:
    """True when the first line of `output` equals the answer or one of its aliases after normalisation."""
    answered = normalise(output.strip().split("\n", 1)[0])
    return bool(answered) and answered in {normalise(answer) for answer in (fact["answer"], *fact["aliases"])}


def choose(facts: Sequence[Fact], n: int, rng: np.random.Generator) -> list[Fact]:
    """`n` facts (or all), spread evenly over relations, in a fixed order."""
    by_relation: dict[str, list[Fact]] = defaultdict(list)
    for index in rng.permutation(len(facts)):
        by_relation[facts[index]["relation"]].append(facts[index])
    chosen: list[Fact] = []
    while len(chosen) < min(n, len(facts)):
        for relation in sorted(by_relation):
            if by_relation[relation] and len(chosen) < n:
                chosen.append(by_relation[relation].pop())
    return sorted(chosen, key=lambda fact: fact["fact_id"])


def prompt(fact: Fact, pool: Sequence[Fact], shots: int) -> str:
    """`shots` solved questions of the same relation about other documents, then the question."""
    same = [other for other in pool if other["relation"] == fact["relation"] and other["doc_id"] != fact["doc_id"]]
    solved = [f"Question: {other['question']}\nAnswer: {other['answer']}\n" for other in same[:shots]]
    return "\n".join([*solved, f"Question: {fact['question']}\nAnswer:"])


def ends_of_answer(tokenizer: K2Tokenizer) -> frozenset[int]:
    """A line's end, and every special token: a model tuned on chats ends plain text in their way too."""
    return frozenset(tokenizer.special.values()) | frozenset(tokenizer.encode("\n"))


def ask(
    model: K2Model,
    tokenizer: K2Tokenizer,
    facts: Sequence[Fact],
    pool: Sequence[Fact],
    *,
    shots: int,
    answer_tokens: int,
    batch_size: int,
) -> list[FactAnswer]:
    """The greedy answer to each fact's question, up to its end, after `shots` solved ones of `pool`."""
    if not facts:
        return []
    texts = [prompt(fact, pool, shots) for fact in facts]
    special, ends = frozenset(tokenizer.special.values()), ends_of_answer(tokenizer)
    requests = [
        Request(
            [tokenizer.bos, *tokenizer.encode(text)],
            answer_tokens,
            temperature=0.0,
            stop_ids=ends,
            stop_strings=("\n",),
        )
        for text in texts
    ]
    longest = max(len(request.prompt) for request in requests) + answer_tokens
    engine = Engine(model, tokenizer, max_batch=batch_size, max_length=longest)
    answers = []
    for fact, text, result in zip(facts, texts, engine.generate(requests), strict=True):
        output = tokenizer.decode([token for token in result.ids if token not in special])
        correct = is_correct(output, fact)
        answers.append(FactAnswer(text, output, correct, len(result.ids), result.finish_reason))
    return answers
