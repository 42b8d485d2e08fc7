"""`sft` in params.yaml."""

import math
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from gym.tasksets.elementary import FAMILIES
from gym.tasksets.shown import SHOWN
from stages.harness.optimizer import TrainingSection
from stages.harness.section import Section


class Shares(Section):
    """Of the rows, 1 together; what has no examples is left out, and the others keep their proportions.

    trajectories: conversations at desks and with real servers. coding: sessions in repositories. requests: whole
    conversations on declared tools. singles: single turns on such. instructions: with constraints that are checked.
    demonstrations: other tasks, answered questions, comparisons. text: plain text, so that the language is kept.
    """

    trajectories: float = Field(ge=0)
    coding: float = Field(ge=0)
    requests: float = Field(ge=0)
    singles: float = Field(ge=0)
    instructions: float = Field(ge=0)
    demonstrations: float = Field(ge=0)
    text: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _whole(self) -> "Shares":
        total = sum(self.model_dump().values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"{total:g} together, not 1")
        return self


class SftParams(TrainingSection):
    """Supervised tuning on kept trajectories, on demonstrations of the RL tasksets, and on plain text.

    demonstrations: tasks of each family; those of `instructions` have a share of their own.
    facts: questions about training documents with their answers, among the demonstrations.
    choices: questions about training documents with choices, answered by a letter, among the demonstrations too.
    comparisons: of a good answer to an open prompt with a damaged one, for the critic, among the demonstrations.
    eval_every: steps after which held calls, tasks and text are measured; 0: at the end alone.
    cut_long: a trajectory longer than a row is learned up to the last whole turn that fits, else it is left out.
    """

    steps: int = Field(ge=1)
    sequence_length: int = Field(ge=32)
    cut_long: bool
    rows_per_step: int = Field(ge=1)
    micro_rows: int = Field(ge=1)
    lr: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    fake_quant: bool
    shares: Shares
    demonstrations: dict[str, Annotated[int, Field(ge=0)]]
    facts: int = Field(ge=0)
    choices: int = Field(ge=0)
    comparisons: int = Field(ge=0)
    held_fraction: float = Field(gt=0, lt=1)
    eval_calls: int = Field(ge=0)
    eval_tasks: int = Field(ge=0)
    eval_every: int = Field(ge=0)
    checkpoint_every: int = Field(ge=1)

    @field_validator("demonstrations")
    @classmethod
    def _can_be_shown(cls, demonstrations: dict[str, int]) -> dict[str, int]:
        for family in demonstrations:
            if family not in FAMILIES and family not in SHOWN:
                raise ValueError(f"the answers of {family!r} can't be shown")
        return demonstrations

    @model_validator(mode="after")
    def _fits(self) -> "SftParams":
        if self.rows_per_step % (self.micro_rows * self.ranks):
            raise ValueError(
                f"rows_per_step {self.rows_per_step} is no multiple of micro_rows × ranks "
                f"({self.micro_rows} × {self.ranks})"
            )
        return self
