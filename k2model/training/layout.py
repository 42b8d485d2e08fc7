"""A `Layout` for torch and DeepSpeed: types of the weights, and DeepSpeed's settings."""

from typing import Any

import torch

from k2model.training.options import Layout
from kernels.processor import fast_dtype

BUCKET = 100_000_000  # values that are reduced, and under stage 3 handed to Muon, at a time
LIVE = 200_000_000  # values that stage 3 keeps whole at a time, beyond the layer that runs


def value_dtype(layout: Layout) -> torch.dtype:
    """Of the working weights' values, and so of a checkpoint that keeps all of them."""
    return torch.bfloat16 if layout.compute == "bfloat16" else torch.float32


def stored_dtype(layout: Layout, device: torch.device) -> torch.dtype:
    """The type that the working weights are kept and multiplied in.

    bfloat16 values are stored as float32 where the processor has no instructions for them: emulated they are four
    times as slow.
    """
    return torch.float32 if layout.compute == "float32" else fast_dtype(device)


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
