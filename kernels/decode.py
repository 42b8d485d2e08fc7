"""The small steps between a decoding step's large products, one C++ call each: RMSNorm and the choice of experts.

Axes: T rows, C width, E experts, K experts per row.
"""

import torch
from torch import Tensor

from kernels.int4 import native

FLOATS = frozenset({torch.bfloat16, torch.float32})  # what the C++ forms take
OUTPUTS = 4  # of a tile in lanes.h


def rms_norm_reference(x: Tensor, gain_C: Tensor, eps: float) -> Tensor:
    """x / rms(x) · gain over the last axis; the mean is taken in float32."""
    wide = x.float()
    return gain_C * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def rms_norm(x: Tensor, gain_C: Tensor, eps: float) -> Tensor:
    """`rms_norm_reference` in one call on a CPU; without a gradient there."""
    usable = x.device.type == "cpu" and x.dtype == gain_C.dtype and x.dtype in FLOATS and x.shape[-1] == len(gain_C)
    library, isa = native.library(), native.isa()
    if library is None or isa == "torch" or not usable:
        return rms_norm_reference(x, gain_C, eps)
    x, gain_C = x.contiguous(), gain_C.contiguous()
    y, width = torch.empty_like(x), gain_C.numel()
    rows, is_float = x.numel() // width, x.dtype == torch.float32
    library.k2_rms_norm(x.data_ptr(), gain_C.data_ptr(), y.data_ptr(), rows, width, eps, is_float, native.LEVEL[isa])
    return y


def choose_experts_reference(
    logits_TE: Tensor, bias_E: Tensor, top_k: int, normalise: bool, factor: float
) -> tuple[Tensor, Tensor]:
    """`choose_experts` in plain torch."""
    score_TE = logits_TE.sigmoid()
    expert_TK = (score_TE + bias_E).topk(top_k, dim=-1).indices
    weight_TK = score_TE.gather(1, expert_TK)
    if normalise:
        weight_TK = weight_TK / (weight_TK.sum(-1, keepdim=True) + 1e-20)
    return expert_TK, weight_TK * factor


def choose_experts(
    logits_TE: Tensor, bias_E: Tensor, top_k: int, normalise: bool, factor: float
) -> tuple[Tensor, Tensor]:
    """(expert_TK int64, weight_TK float32): the largest sigmoids plus bias, best first; the bias only chooses.

    No gradient. `factor` multiplies the weights, which `normalise` first makes sum to one.
    """
    library = native.library()
    if library is None or native.isa() == "torch" or logits_TE.device.type != "cpu":
        return choose_experts_reference(logits_TE, bias_E, top_k, normalise, factor)
    logits_TE, bias_E = logits_TE.float().contiguous(), bias_E.float().contiguous()
    rows, experts = logits_TE.shape
    expert_TK = torch.empty(rows, top_k, dtype=torch.int64)
    weight_TK = torch.empty(rows, top_k)
    library.k2_choose(
        logits_TE.data_ptr(),
        bias_E.data_ptr(),
        expert_TK.data_ptr(),
        weight_TK.data_ptr(),
        rows,
        experts,
        top_k,
        normalise,
        factor,
    )
    return expert_TK, weight_TK
