"""What a training is asked for, without torch: parameters are checked before any stage starts, and must be fast."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from k2model.config import Recompute
from k2model.errors import ConfigError

Rule = Literal["muon", "adamw"]
ComputeType = Literal["float32", "bfloat16"]
Stage = Literal[0, 1, 2, 3]


@dataclass(frozen=True)
class Rates:
    """How fast each part of the network learns: shares of the step's learning rate, 0 freezes the part.

    A network that was converted from another one keeps what it knows when its attention learns first and the
    feed-forward layers, which hold the facts, learn slowly or not at all.

    attention: with the layers' norms. feed_forward: dense, shared and routed, with routers. embeddings: and head.

    first_layer: what lies below it is frozen, the embedding too; the backward pass ends there.
    """

    attention: float = 1.0
    feed_forward: float = 1.0
    embeddings: float = 1.0
    first_layer: int = 0

    def of(self, name: str) -> float:
        """The share of the parameter with this name in a checkpoint."""
        layer = re.search(r"\.layers\.(\d+)\.", name)
        if self.first_layer and ("embed_tokens." in name or (layer and int(layer[1]) < self.first_layer)):
            return 0.0
        if ".mlp." in name:
            return self.feed_forward
        return self.embeddings if "embed_tokens." in name or "lm_head." in name else self.attention


@dataclass(frozen=True)
class OptimizerOptions:
    """MuonClip's constants; `tau` 0 switches QK-Clip off, `clip_norm` 0 the gradient clip. Frozen layers keep theirs.

    matrices: the rule of the hidden matrices; under `adamw` it has all parameters. Liu et al. 2025, §3.5, found no gain
        from Muon where AdamW pre-trained.
    vocabulary_rows: the only rows of embedding and head that learn; None is all.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip_norm: float = 0.0
    tau: float = 100.0
    matrices: Rule = "muon"
    rates: Rates = field(default_factory=Rates)
    vocabulary_rows: Sequence[int] | None = None


@dataclass(frozen=True)
class Layout:
    """How the engine lays a training out; `k2model.training.layout` has what torch and DeepSpeed need of it.

    compute: type of the working weights' values. zero: DeepSpeed's ZeRO stage.
    expert_parallel: so many neighbouring ranks share every layer's experts.
    recompute: see `K2Model`.
    """

    compute: ComputeType = "float32"
    zero: Stage = 0
    expert_parallel: int = 1
    recompute: Recompute = "none"

    @property
    def spread(self) -> bool:
        """Whether no rank holds all weights."""
        return self.zero == 3 or self.expert_parallel > 1

    def check(self, matrices: Rule, clip_norm: float, ranks: int) -> None:
        """Raises ConfigError, in one line, for what DeepSpeed can't do, or does wrongly without a word."""
        if self.compute == "bfloat16" and self.zero != 3:
            raise ConfigError(
                f"compute: bfloat16 with zero {self.zero}: float32 masters, momenta and sums of gradients need zero 3"
            )
        if clip_norm > 0 and matrices == "muon":
            raise ConfigError(
                f"clip_norm: {clip_norm:g} with matrices muon: what DeepSpeed scales is Muon's update, whose norm is "
                "given; use 0"
            )
        if ranks % self.expert_parallel:
            raise ConfigError(f"expert_parallel: {self.expert_parallel} does not divide the {ranks} ranks")
