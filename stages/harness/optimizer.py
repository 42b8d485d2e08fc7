"""`optimizer` of a training stage in params.yaml."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from k2model.training.engine import OptimizerOptions
from k2model.training.rates import Rates
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
