"""Faithfulness per sentence: does the context support what each sentence claims?

The checkable part: a sentence is unsupported when it has a number, a date or a name that the context doesn't have,
or when too few of its content words stand in any one sentence window of the context. K2 uses a judge model for the
rest (report §3.2.1); this is the part that can't be argued with.
"""

import re
from dataclasses import dataclass

from gym.verifiers.result import Result, Status

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'])")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]+\b")
WORD = re.compile(r"[a-z]{4,}")
STOP = frozenset("that this with from have were been their there which about into also they when where would".split())
COVERAGE = 0.5


@dataclass(frozen=True)
class Finding:
    """A sentence that the context does not support, and why."""

    sentence: str
    reason: str


def _stem(word: str) -> str:
    return re.sub(r"(ing|ed|es|s|ly)$", "", word)


def _words(text: str) -> set[str]:
    return {_stem(word) for word in WORD.findall(text.lower()) if word not in STOP}


def unsupported(answer: str, context: str) -> list[Finding]:
    """Findings in order of the sentences."""
    numbers = {number.replace(",", "") for number in NUMBER.findall(context)}
    lower = context.lower()
    words = _words(context)
    found = []
    for sentence in SENTENCE.split(answer.strip()):
        new = [n for n in NUMBER.findall(sentence) if n.replace(",", "").rstrip(".") not in numbers]
        if new:
            found.append(Finding(sentence, f"number {new[0]} isn't in the context"))
            continue
        names = [name for name in NAME.findall(sentence) if name.lower() not in lower]
        if names:
            found.append(Finding(sentence, f"name {names[0]} isn't in the context"))
            continue
        own = _words(sentence)
        if len(own) >= 3 and len(own & words) / len(own) < COVERAGE:
            found.append(Finding(sentence, "most of its words aren't in the context"))
    return found


def faithful(answer: str, context: str) -> Result:
    """Share of supported sentences."""
    if not answer.strip():
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    sentences = SENTENCE.split(answer.strip())
    bad = unsupported(answer, context)
    reason = f"{bad[0].reason}: {bad[0].sentence[:80]}" if bad else "every sentence is supported"
    return Result(1 - len(bad) / len(sentences), Status.SCORED, reason)
