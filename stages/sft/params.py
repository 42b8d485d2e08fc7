"""`sft` in params.yaml."""

from pydantic import Field, field_validator, model_validator

from gym.tasksets.elementary import FAMILIES
from gym.tasksets.shown import SHOWN
from stages.harness.optimizer import TrainingSection


class SftParams(TrainingSection):
    """Supervised tuning on kept trajectories, on demonstrations of the RL tasksets, and on plain text.

    trajectory_share, request_share, single_share, text_share: of the rows: conversations in worlds and coding sessions,
    whole conversations on declared tools, single turns on such, plain text; the others hold demonstrations.
    facts: questions about training documents with their answers, among the demonstrations.
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
    trajectory_share: float = Field(ge=0, le=1)
    request_share: float = Field(ge=0, le=1)
    single_share: float = Field(ge=0, le=1)
    text_share: float = Field(ge=0, lt=1)
    demonstrations: dict[str, int]
    facts: int = Field(ge=0)
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
        if self.demonstration_share < 0:
            raise ValueError("trajectory_share, request_share, single_share and text_share are more than 1 together")
        return self

    @property
    def demonstration_share(self) -> float:
        """Of the rows."""
        shares = self.trajectory_share, self.request_share, self.single_share, self.text_share
        return round(1 - sum(shares), 9)
