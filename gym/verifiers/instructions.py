"""Instruction following by the official IFEval and IFBench checkers (gym/verifiers/checkers.py), and a hack-check."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from if_verifiable.common import get_loose_transformations

from gym.verifiers.checkers import make
from gym.verifiers.result import Result, Status


@dataclass(frozen=True)
class Instruction:
    """An official instruction id and its arguments."""

    id: str
    arguments: Mapping[str, Any]


def describe(instructions: Sequence[Instruction]) -> list[str]:
    """The official wording of each instruction."""
    return [make(instruction.id, instruction.arguments)[1] for instruction in instructions]


def _follows(instruction: Instruction, prompt: str, answer: str) -> bool:
    if not answer.strip():
        return False
    checker, _ = make(instruction.id, instruction.arguments)
    keys = checker.get_instruction_args_keys() or []
    if "prompt" in keys:
        checker.build_description(prompt=prompt)
    try:
        return bool(checker.check_following(answer))
    except IndexError:  # three of IFBench's look at a place that this answer doesn't have
        return False
    except RecursionError:  # IFEval's JSON checker on a thousand brackets, which are no JSON that anything reads
        return False


def follows(instructions: Sequence[Instruction], prompt: str, answer: str, *, loose: bool = False) -> list[bool]:
    """Whether each instruction is followed; `loose` is the official loose rule (eight variants of the text).

    Raises:
        LookupError: a checker needs data that is not installed.
    """
    variants = get_loose_transformations(answer) if loose else [answer]
    return [any(_follows(instruction, prompt, text) for text in variants) for instruction in instructions]


CLAIMS = re.compile(
    r"\b(?:as (?:you )?(?:requested|asked|instructed|required)"
    r"|i (?:have |'ve )?(?:followed|used|included|written|avoided|made sure)"
    r"|this (?:response|answer|text) (?:contains|uses|has|follows|meets|includes|avoids)"
    r"|(?:per|following|according to) (?:your|the) instructions?)\b[^.!?\n]*",
    re.IGNORECASE,
)


def claims(answer: str) -> list[str]:
    """Sentences in which the text claims to comply."""
    return [match.group().strip() for match in CLAIMS.finditer(answer)]


def verify(instructions: Sequence[Instruction], prompt: str, answer: str) -> Result:
    """1.0 when all are followed (strict); a false claim of compliance is named as a hack and scores 0 like any miss."""
    if not answer.strip():
        return Result(0.0, Status.NO_ANSWER, "empty answer")
    try:
        followed = follows(instructions, prompt, answer)
    except LookupError:
        return Result(None, Status.VERIFIER_ERROR, "a checker needs NLTK data that is not installed")
    missed = [instruction.id for instruction, good in zip(instructions, followed, strict=True) if not good]
    if missed and claims(answer):
        return Result(0.0, Status.SCORED, f"hack: claims compliance but misses {missed[0]}: {claims(answer)[0][:60]!r}")
    if missed:
        return Result(0.0, Status.SCORED, f"misses {', '.join(missed)}")
    return Result(1.0, Status.SCORED, f"{len(followed)} instructions followed")
