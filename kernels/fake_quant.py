"""Symmetric INT4 fake quantization of weights, groups of 32 along the input: the rule, and one fast pass.

    b = bf16(w),   s = bf16(max|b| / 7),   q = clamp(round(b / s), −7, 7),   w̃ = bf16(q · s)

The scale is rounded to bfloat16 before the codes are computed, because that is what a checkpoint stores. Division,
rounding (half to even) and product are in float32. Code 8 of 16 values (−8) is never used.

Quantizing w̃ again gives the same codes, scales and values, in float32 as in bfloat16. That hangs on b: of the 128
mantissas that a scale can have, 14 would change when 7s passes through bfloat16, and the maximum of bfloat16 weights
never gives one of these (tests/kernels/test_fake_quant.py goes through all).

Axes of a weight [..., N, K]: N outputs, K inputs; G = K / 32 groups.
"""

from typing import Any

import torch
from torch import Tensor

from kernels.int4 import native
from kernels.int4.words import pack

GROUP = 32
MAX_CODE = 7
SCALE_MIN = 2.0**-100  # keeps a group of zeros (or of denormals) away from 0 / 0; a power of two, so exact in bf16


def _check(w_NK: Tensor) -> None:
    if w_NK.shape[-1] % GROUP:
        raise ValueError(f"a width of {w_NK.shape[-1]} is not divisible into groups of {GROUP}")


def quantize(w_NK: Tensor) -> tuple[Tensor, Tensor]:
    """(codes int8 [..., N, K], scales bfloat16 [..., N, G]): the rule in plain torch.

    Raises:
        ValueError: K is no multiple of 32.
    """
    codes_NGX, scale_NG = _codes(w_NK)
    return codes_NGX.flatten(-2).to(torch.int8), scale_NG


def _codes(w_NK: Tensor) -> tuple[Tensor, Tensor]:
    _check(w_NK)
    groups_NGX = w_NK.to(torch.bfloat16).float().unflatten(-1, (-1, GROUP))
    scale_NG = (groups_NGX.abs().amax(-1) / MAX_CODE).clamp_min(SCALE_MIN).to(torch.bfloat16)
    return (groups_NGX / scale_NG[..., None].float()).round().clamp(-MAX_CODE, MAX_CODE), scale_NG


def dequantize(codes_NK: Tensor, scale_NG: Tensor) -> Tensor:
    """q · s in float32, rounded to bfloat16."""
    groups_NGX = codes_NK.unflatten(-1, (-1, GROUP)).float()
    return (groups_NGX * scale_NG[..., None].float()).flatten(-2).to(torch.bfloat16)


def fake_quant_reference(w_NK: Tensor) -> Tensor:
    """w̃ in the type of w, in plain torch. A group with a NaN or an infinity becomes NaN.

    Raises:
        ValueError: K is no multiple of 32.
    """
    codes_NGX, scale_NG = _codes(w_NK)
    return (codes_NGX * scale_NG[..., None].float()).flatten(-2).to(torch.bfloat16).to(w_NK.dtype)


def pack_quantize(w_NK: Tensor) -> tuple[Tensor, Tensor]:
    """(words int32 [..., N, K/8] as a checkpoint packs them, scales bfloat16 [..., N, G]).

    In one pass over the weight where `fake_quant` is.

    Raises:
        ValueError: K is no multiple of 32.
    """
    _check(w_NK)
    library = native.library()
    if library is None or not _fast(w_NK):
        codes_NK, scale_NG = quantize(w_NK.detach())
        return pack(codes_NK), scale_NG
    w_NK = w_NK.detach().contiguous()
    words_NW = torch.empty(*w_NK.shape[:-1], w_NK.shape[-1] // 8, dtype=torch.int32)
    scale_NG = torch.empty(*w_NK.shape[:-1], w_NK.shape[-1] // GROUP, dtype=torch.bfloat16)
    _run(library, w_NK, None, words_NW, scale_NG)
    return words_NW, scale_NG


def _fast(w_NK: Tensor) -> bool:
    return w_NK.device.type == "cpu" and w_NK.dtype in (torch.float32, torch.bfloat16) and native.isa() != "torch"


def _run(library: Any, w_NK: Tensor, out_NK: Tensor | None, words_NW: Tensor | None, scale_NG: Tensor | None) -> None:
    pointers = [None if t is None else t.data_ptr() for t in (w_NK, out_NK, words_NW, scale_NG)]
    is_float, level = int(w_NK.dtype == torch.float32), native.LEVEL[native.isa()]
    library.k2_fake_quant(*pointers, w_NK.numel() // GROUP, is_float, level, native.threads(w_NK.numel()))


def fake_quant_into(w_NK: Tensor, out_NK: Tensor) -> Tensor:
    """Writes w̃ to `out_NK`, a contiguous tensor like w, and returns it; there is no gradient.

    Raises:
        ValueError: K is no multiple of 32, or the two tensors differ in shape or type.
    """
    _check(w_NK)
    if out_NK.shape != w_NK.shape or out_NK.dtype != w_NK.dtype or not out_NK.is_contiguous():
        raise ValueError(f"the output must be contiguous, {w_NK.dtype} and {tuple(w_NK.shape)}")
    library = native.library()
    if library is None or not _fast(w_NK):
        return out_NK.copy_(fake_quant_reference(w_NK.detach()))
    _run(library, w_NK.detach().contiguous(), out_NK, None, None)
    return out_NK


class _StraightThrough(torch.autograd.Function):
    """Forward w̃, backward the identity."""

    @staticmethod
    def forward(ctx: Any, w_NK: Tensor) -> Tensor:
        return fake_quant_into(w_NK, torch.empty_like(w_NK, memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, grad_NK: Tensor) -> Tensor:
        return grad_NK


def fake_quant(w_NK: Tensor) -> Tensor:
    """w̃ of [..., N, K] with the straight-through gradient; one pass in C++ where that is possible.

    Raises:
        ValueError: K is no multiple of 32.
    """
    _check(w_NK)
    return _StraightThrough.apply(w_NK)
