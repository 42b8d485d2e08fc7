"""How the engine lays a training out: type, ZeRO stage, expert parallel size, recomputation; what can't be together."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from k2model.errors import ConfigError
from k2model.model import Recompute
from k2model.training.muon import Rule
from kernels.processor import fast_dtype

BUCKET = 100_000_000  # values that are reduced, and under stage 3 handed to Muon, at a time
LIVE = 200_000_000  # values that stage 3 keeps whole at a time, beyond the layer that runs
ComputeType = Literal["float32", "bfloat16"]
Stage = Literal[0, 1, 2, 3]


@dataclass(frozen=True)
class Layout:
    """compute: type of the working weights' values. zero: DeepSpeed's ZeRO stage.

    expert_parallel: so many neighbouring ranks share every layer's experts.
    recompute: see `K2Model`.
    """

    compute: ComputeType = "float32"
    zero: Stage = 0
    expert_parallel: int = 1
    recompute: Recompute = "none"

    @property
    def dtype(self) -> torch.dtype:
        """Of the working weights' values, and so of a checkpoint that keeps all of them."""
        return torch.bfloat16 if self.compute == "bfloat16" else torch.float32

    @property
    def spread(self) -> bool:
        """Whether no rank holds all weights."""
        return self.zero == 3 or self.expert_parallel > 1

    def stored(self, device: torch.device) -> torch.dtype:
        """The type that the working weights are kept and multiplied in.

        bfloat16 values are stored as float32 where the processor has no instructions for them: emulated they are four
        times as slow.
        """
        return torch.float32 if self.compute == "float32" else fast_dtype(device)

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


def deepspeed_config(layout: Layout, stored: torch.dtype, micro_batches: int, clip_norm: float) -> dict[str, Any]:
    """DeepSpeed's settings for a rank's micro-batches of a step."""
    zero: dict[str, Any] = {"stage": layout.zero, "reduce_bucket_size": BUCKET}
    if layout.zero:
        # Muon needs whole gradients, which stage 3 gives by all-reduce alone.
        zero["reduce_scatter"] = layout.zero != 3
    if layout.zero == 3:
        # Whole parameters are fetched ahead and dropped after use; by default a billion values stay.
        zero |= {"stage3_param_persistence_threshold": 0, "stage3_max_live_parameters": LIVE}
        zero |= {"stage3_max_reuse_distance": LIVE}
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": micro_batches,
        "gradient_clipping": clip_norm,  # unset means 1.0
        "zero_optimization": zero,
        "communication_data_type": "fp32",
        "steps_per_print": 10**9,
        "zero_allow_untested_optimizer": True,
    }
    if stored == torch.bfloat16:
        config |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
    return config
