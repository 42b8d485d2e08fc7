"""Questions with choices, answered by a letter: what a training document says beside what is true of others.

Forms differ in marks, in how the letter is asked for and in how many solved questions stand before: what is learned is
to choose and say so, whatever the form.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np

from stages.measure.closed_book import Fact, choose, normalise
from stages.posttraining.conversations import Conversation

MARKS = ("{}. ", "{}) ", "({}) ", "{}: ")
ASKS = {  # how the letter is asked for: how it is said
    "Answer:": "{}",
    "Which one is right? Say its letter.": "{}",
    "Answer with one letter.": "{}",
    "The right answer is": "{}",
    "Think if you like, and end with a line 'Answer: X', where X is a letter.": "Answer: {}",
}
MOST_SHOTS = 2
CHOICES = (3, 4, 4, 4, 5)


def questions_with_choices(facts: Sequence[Fact], n: int, rng: np.random.Generator) -> list[Conversation]:
    """At most `n` of them; facts of a relation with too few different answers can't be asked so."""
    by_relation: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_relation[fact["relation"]].append(fact)
    fit = {relation for relation, same in by_relation.items() if len(_different(same)) >= max(CHOICES)}
    asked = choose([fact for fact in facts if fact["relation"] in fit], n, rng)
    return [_conversation(fact, by_relation[fact["relation"]], rng) for fact in asked]


def _different(facts: Sequence[Fact]) -> set[str]:
    return {normalise(fact["answer"]) for fact in facts}


def _conversation(fact: Fact, same: Sequence[Fact], rng: np.random.Generator) -> Conversation:
    mark, (ask, said) = str(rng.choice(MARKS)), list(ASKS.items())[int(rng.integers(len(ASKS)))]
    shots = [same[int(k)] for k in rng.integers(len(same), size=int(rng.integers(MOST_SHOTS + 1)))]
    solved = []
    for shot in shots:
        if shot["question"] != fact["question"]:
            text, letter = _question(shot, same, mark, rng)
            solved.append(f"{text}\n{ask} {said.format(letter)}")
    text, letter = _question(fact, same, mark, rng)
    prompt = "\n\n".join([*solved, f"{text}\n{ask}"])
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": said.format(letter)}], None


def _question(fact: Mapping[str, Any], same: Sequence[Fact], mark: str, rng: np.random.Generator) -> tuple[str, str]:
    """(the question with its choices, the letter of the right one)."""
    count = int(rng.choice(CHOICES))
    taken, wrong = {normalise(answer) for answer in (fact["answer"], *fact["aliases"])}, list[str]()
    while len(wrong) < count - 1:
        other = same[int(rng.integers(len(same)))]["answer"]
        if normalise(other) not in taken:
            taken.add(normalise(other))
            wrong.append(other)
    place = int(rng.integers(count))
    choices = [*wrong[:place], fact["answer"], *wrong[place:]]
    lines = [mark.format(letter) + choice for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return "\n".join([fact["question"], *lines]), ascii_uppercase[place]
