"""`evaluate` in params.yaml."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, field_validator

from agents.chat.spec import is_endpoint
from agents.loop.context import ContextPolicy
from gym.benchmarks.open import NAMES
from stages.harness.inputs import InputPath, ModelSpec
from stages.harness.section import Section


def _names(names: Iterable[str]) -> list[str]:
    """The names as they are; refuses what is no benchmark."""
    listed = list(names)
    unknown = sorted(set(listed) - set(NAMES))
    if unknown:
        raise ValueError(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    return listed


class Asked(Section):
    """A benchmark and how much of it is asked.

    items: 0 is all. max_tokens: of one answer, thinking included. max_steps: turns of an agent. data: the official data
    set, where you have it.
    """

    name: str
    data: InputPath | None = None
    items: int = Field(ge=0)
    repeats: int = Field(default=1, ge=1)
    max_tokens: int = Field(ge=1)
    max_steps: int = Field(default=300, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)


class Battles(Section):
    """Arena battles of checkpoints; `judge` is an endpoint's URL#model, a checkpoint folder or `embedded`.

    judge_pairs: planted pairs that the judge is examined on first. min_agreement: share of them whose better answer it
    must name in both orders; below it nothing is played, and ratings whose orders agree less are not settled.
    """

    players: dict[str, ModelSpec] = Field(min_length=2)
    judge: ModelSpec
    judge_pairs: int = Field(ge=1)
    min_agreement: float = Field(ge=0.0, le=1.0)
    prompts: int = Field(ge=1)
    max_tokens: int = Field(ge=1)


LAST = "models/qat"  # what the stage evaluates


def label(target: str) -> str:
    """What a model is called in metrics: a folder's last part, `embedded`, or the model behind a URL."""
    name = target.rpartition("#")[2] if is_endpoint(target) else Path(target).name
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)


class Comparison(Section):
    """Models that are asked some of the benchmarks too, in the order of the pipeline, with `LAST` behind them.

    benchmarks: of `evaluate.benchmarks`, with their settings; another one is not compared.
    minutes: of all of them; what is not answered by then counts as not run.
    """

    models: list[ModelSpec] = Field(min_length=1)
    benchmarks: list[str] = Field(min_length=1)
    minutes: float = Field(gt=0)

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        return _names(value)

    @field_validator("models")
    @classmethod
    def _named(cls, value: list[ModelSpec]) -> list[ModelSpec]:
        names = [label(str(target)) for target in (*value, LAST)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models called {twice[0]!r}; {LAST} is always the last one")
        return value


class EvaluateParams(Section):
    """What the checkpoint is measured on.

    context_policy: what an agent of a benchmark sees of a history that exceeds its context (`agents/loop/context.py`).
    """

    validation_tokens: int = Field(ge=1)
    sequence_length: int = Field(ge=8)
    facts: int = Field(ge=1)
    shots: int = Field(ge=0)
    answer_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    minutes: float = Field(gt=0)
    context_policy: ContextPolicy
    benchmarks: list[Asked]
    compare: Comparison | None = None
    arena: Battles | None = None

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, value: list[Asked]) -> list[Asked]:
        names = _names(asked.name for asked in value)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]} is asked twice")
        return value
