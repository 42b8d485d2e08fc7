"""`evaluate` in params.yaml."""

from pydantic import Field, field_validator

from agents.loop.context import ContextPolicy
from gym.benchmarks.open import NAMES
from stages.harness.inputs import InputPath, ModelSpec
from stages.harness.section import Section


class Asked(Section):
    """A benchmark and how much of it is asked.

    items: 0 is all. max_tokens: of one answer, thinking included. data: the official data set, where you have it.
    """

    name: str
    data: InputPath | None = None
    items: int = Field(ge=0)
    repeats: int = Field(default=1, ge=1)
    max_tokens: int = Field(ge=1)
    temperature: float = Field(default=0.0, ge=0.0)


class Battles(Section):
    """Arena battles of checkpoints; `judge` is an endpoint's URL#model, a checkpoint folder or `embedded`."""

    players: dict[str, ModelSpec] = Field(min_length=2)
    judge: ModelSpec
    prompts: int = Field(ge=1)
    max_tokens: int = Field(ge=1)


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
    arena: Battles | None = None

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, value: list[Asked]) -> list[Asked]:
        unknown = sorted({asked.name for asked in value} - set(NAMES))
        if unknown:
            raise ValueError(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
        return value
