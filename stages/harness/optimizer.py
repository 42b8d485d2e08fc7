"""`optimizer` and the engine's layout of a training stage in params.yaml."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from k2model.training.options import Layout, OptimizerOptions, Rates
from stages.harness.ranks import RanksSection
from stages.harness.section import Section


class RatesParams(Section):
    """Shares of the learning rate by part of the network; 0 freezes the part.

    first_layer: what lies below it is frozen, which saves the backward pass through it.
    """

    attention: float = Field(ge=0)
    feed_forward: float = Field(ge=0)
    embeddings: float = Field(ge=0)
    first_layer: int = Field(ge=0)


class OptimizerParams(Section):
    """MuonClip, or AdamW under the same QK-Clip.

    matrices: the rule of the hidden matrices; what AdamW pre-trained is better tuned with AdamW.
    clip_norm: of the gradient; 0 leaves it. vocabulary_rows: of embedding and head that learn.
    """

    matrices: Literal["muon", "adamw"]
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    clip_norm: float = Field(ge=0)
    tau: float = Field(ge=0)
    rates: RatesParams
    vocabulary_rows: Literal["all", "special"]

    def options(self, special: Iterable[int]) -> OptimizerOptions:
        """What the engine takes; `special` are the ids of K2's special tokens."""
        return OptimizerOptions(
            matrices=self.matrices,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            tau=self.tau,
            rates=Rates(**self.rates.model_dump()),
            vocabulary_rows=sorted(special) if self.vocabulary_rows == "special" else None,
        )


class TrainingSection(RanksSection):
    """What the training engine of a stage takes.

    compute: type of the working weights' values; bfloat16 keeps float32 masters in the optimizer.
    zero: DeepSpeed's ZeRO stage: 1 shards the optimizer's state over the ranks, 2 the gradients, 3 the weights.
    expert_parallel: so many neighbouring ranks share every layer's experts.
    recompute: what the backward pass computes again: nothing, whole layers, or attention and feed-forward parts apart.
    """

    compute: Literal["float32", "bfloat16"]
    zero: Literal[0, 1, 2, 3]
    expert_parallel: int = Field(ge=1)
    recompute: Literal["none", "layer", "parts"]
    optimizer: OptimizerParams

    @property
    def layout(self) -> Layout:
        return Layout(self.compute, self.zero, self.expert_parallel, self.recompute)

    @model_validator(mode="after")
    def _can_be(self) -> "TrainingSection":
        self.layout.check(self.optimizer.matrices, self.optimizer.clip_norm, self.ranks)
        return self
