"""The table of rotary positions, with YaRN as DeepSeek-V3 defines it."""

import math

import torch
from torch import Tensor

from k2model.config import K2Config, YarnConfig


def _yarn_inv_freq(inv_freq_R: Tensor, theta: float, dim: int, yarn: YarnConfig) -> Tensor:
    """Frequencies of DeepSeek-V3 `inference/model.py: precompute_freqs_cis`: slow pairs are stretched by `factor`."""

    def pair(rotations: float) -> float:
        length = yarn.original_max_position_embeddings
        return dim * math.log(length / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair(yarn.beta_fast)), 0)
    high = min(math.ceil(pair(yarn.beta_slow)), dim - 1)
    ramp_R = (torch.arange(dim // 2, dtype=torch.float32) - low) / max(high - low, 0.001)
    keep_R = 1.0 - ramp_R.clamp(0, 1)
    return inv_freq_R / yarn.factor * (1 - keep_R) + inv_freq_R * keep_R


def rope_table(config: K2Config, length: int) -> tuple[Tensor, Tensor]:
    """(cos_LR, sin_LR), float32, for positions 0..length−1 and R = qk_rope_head_dim / 2 pairs.

    With YaRN both are scaled by mscale(factor, mscale) / mscale(factor, mscale_all_dim), which is 1 for K2.
    """
    dim, yarn = config.qk_rope_head_dim, config.rope_scaling
    inv_freq_R = 1.0 / config.rope_theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    attention_factor = 1.0
    if yarn is not None:
        inv_freq_R = _yarn_inv_freq(inv_freq_R, config.rope_theta, dim, yarn)
        attention_factor = _mscale(yarn.factor, yarn.mscale) / _mscale(yarn.factor, yarn.mscale_all_dim)
    angle_LR = torch.arange(length, dtype=torch.float32)[:, None] * inv_freq_R
    return angle_LR.cos() * attention_factor, angle_LR.sin() * attention_factor


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 and mscale else 1.0
