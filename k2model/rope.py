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

    low, high = pair(yarn.beta_fast), pair(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    width = high - low if high != low else 0.001
    ramp_R = (torch.arange(dim // 2, dtype=torch.float32) - low) / width
    keep_R = 1.0 - ramp_R.clamp(0, 1)
    return inv_freq_R / yarn.factor * (1 - keep_R) + inv_freq_R * keep_R


def inverse_frequencies(theta: float, dim: int, yarn: YarnConfig | None) -> Tensor:
    """Radians that each of the dim / 2 pairs turns per position, float32."""
    inv_freq_R = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    return inv_freq_R if yarn is None else _yarn_inv_freq(inv_freq_R, theta, dim, yarn)


def rope_table(config: K2Config, length: int) -> tuple[Tensor, Tensor]:
    """(cos_LR, sin_LR), float32, for positions 0..length−1 and R = qk_rope_head_dim / 2 pairs.

    With YaRN both are scaled by its `rotary_scale`, which is 1 for K2.
    """
    yarn = config.rope_scaling
    inv_freq_R = inverse_frequencies(config.rope_theta, config.qk_rope_head_dim, yarn)
    scale = 1.0 if yarn is None else yarn.rotary_scale
    angle_LR = torch.arange(length, dtype=torch.float32)[:, None] * inv_freq_R
    return angle_LR.cos() * scale, angle_LR.sin() * scale
