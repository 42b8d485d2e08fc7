"""`sft` in params.yaml."""

from pydantic import Field

from stages.harness.section import Section


class SftParams(Section):
    """Supervised tuning on kept trajectories and on demonstrations of the RL tasksets.

    cut_long: a trajectory longer than a row is learned up to the last whole turn that fits, else it is left out.
    """

    steps: int = Field(ge=1)
    sequence_length: int = Field(ge=32)
    cut_long: bool
    rows_per_step: int = Field(ge=1)
    micro_rows: int = Field(ge=1)
    lr: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    fake_quant: bool
    trajectory_share: float = Field(ge=0, le=1)
    demonstrations: dict[str, int]
    held_fraction: float = Field(gt=0, lt=1)
    eval_calls: int = Field(ge=0)
    eval_tasks: int = Field(ge=0)
    checkpoint_every: int = Field(ge=1)
