"""`pretrain` in params.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from stages.harness.optimizer import OptimizerParams, TrainingSection
from stages.harness.section import Section


class PretrainOptimizer(OptimizerParams):
    """bias_rate: of the routers' correction biases."""

    lr: float = Field(gt=0)
    bias_rate: float = Field(ge=0)


class WsdParams(Section):
    """Warm-up, constant, cosine down to `final_lr`."""

    warmup_steps: int = Field(ge=0)
    decay_steps: int = Field(ge=0)
    final_lr: float = Field(ge=0)


class AnnealingParams(Section):
    """After the cosine: from its `final_lr` down to this one, correction biases frozen."""

    steps: int = Field(ge=0)
    final_lr: float = Field(ge=0)


class LongContextParams(Section):
    """Long-context activation: a longer sequence with YaRN, at the annealing's last rate."""

    steps: int = Field(ge=0)
    sequence_length: int = Field(ge=8)
    yarn_factor: float = Field(ge=1)


class CheckpointParams(Section):
    every_steps: int = Field(ge=1)
    keep: int = Field(ge=1)


class GuardParams(Section):
    """What happens at a NaN or at a loss `z` robust deviations above the last `window` ones."""

    policy: Literal["stop", "rollback", "log"]
    window: int = Field(ge=8)
    z: float = Field(gt=0)
    max_rollbacks: int = Field(ge=0)


class PretrainParams(TrainingSection):
    """MuonClip pre-training in a DeepSpeed engine."""

    steps: int = Field(ge=1)
    sequence_length: int = Field(ge=8)
    global_batch_tokens: int = Field(ge=8)
    micro_batch_tokens: int = Field(ge=8)
    optimizer: PretrainOptimizer
    wsd: WsdParams
    annealing: AnnealingParams
    long_context: LongContextParams
    checkpoint: CheckpointParams
    guard: GuardParams

    @model_validator(mode="after")
    def _fits(self) -> "PretrainParams":
        if self.global_batch_tokens % (self.micro_batch_tokens * self.ranks):
            raise ValueError(
                f"global_batch_tokens {self.global_batch_tokens} is no multiple of micro_batch_tokens × ranks "
                f"({self.micro_batch_tokens} × {self.ranks})"
            )
        for length in {self.sequence_length, *([self.long_context.sequence_length] if self.long_context.steps else [])}:
            if self.micro_batch_tokens % length:
                raise ValueError(f"micro_batch_tokens {self.micro_batch_tokens} is no multiple of sequence {length}")
        if self.wsd.warmup_steps + self.wsd.decay_steps > self.steps:
            raise ValueError(f"wsd.warmup_steps + wsd.decay_steps exceed the {self.steps} steps")
        return self
