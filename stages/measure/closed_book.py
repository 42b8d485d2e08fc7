"""Closed-book facts: a few worked questions of the same kind, then the question; the answer must match exactly."""

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

Fact = dict[str, Any]


def normalise(text: str) -> str:
    """SQuAD's rule: lower case, no punctuation, no articles, single spaces."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def is_correct(output: str, fact: Fact) -> bool:
    """True when the first line of `output` equals the answer or one of its aliases after normalisation."""
    said = normalise(output.strip().split("\n", 1)[0])
    return bool(said) and said in {normalise(answer) for answer in (fact["answer"], *fact["aliases"])}


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
