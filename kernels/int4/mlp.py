"""Linears and routed experts on INT4 (or bfloat16) weights: one C++ call each, with the plain torch form beside it.

Precisions: `w4a16` multiplies the codes with bfloat16 activations and sums in float32, so nothing but the inputs'
own rounding is lost; `w4a8` rounds activations to 8 bits, per token and group of 32.

Axes: T tokens, C hidden width, E experts, K experts per token (inputs of a linear), I width of an expert, N outputs.
"""

import functools
import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.fake_quant import GROUP, dequantize
from kernels.int4 import native
from kernels.int4.words import ROWS, deinterleave, interleave, unpack

Precision = Literal["w4a16", "w4a8"]
BF16, W4A16, W4A8 = 0, 1, 2


@dataclass(frozen=True)
class Int4Weight:
    """A stack of INT4 matrices [N, K] in the order of `kernels.int4.words`.

    words: int32 [E, N/16, K/8, 16]. scale: bfloat16 [E, N/16, K/32, 16].
    """

    words: Tensor
    scale: Tensor

    @classmethod
    def from_rows(cls, words_ENW: Tensor, scale_ENG: Tensor) -> "Int4Weight":
        """From a checkpoint's packed words and scales."""
        return cls(interleave(words_ENW), interleave(scale_ENG))

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """(E, N, K)."""
        return self.words.shape[0], self.words.shape[1] * ROWS, self.words.shape[2] * 8

    def expert(self, index: int, dtype: torch.dtype) -> Tensor:
        """The matrix [N, K] of one expert, dequantized."""
        return dequantize(unpack(deinterleave(self.words[index])), deinterleave(self.scale[index])).to(dtype)


@dataclass(frozen=True)
class Bf16Weight:
    """A stack of bfloat16 matrices for the same kernels.

    words: int32 [E, N/16, K/2, 16], each the pair of inputs (8b+j, 8b+j+4), j < 4.
    """

    words: Tensor
    scale: None = None

    @classmethod
    def from_rows(cls, w_ENK: Tensor) -> "Bf16Weight":
        """From matrices [E, N, K]; N a multiple of 16, K of 32."""
        e, n, k = w_ENK.shape
        pairs = w_ENK.to(torch.bfloat16).view(e, n // ROWS, ROWS, k // 8, 2, 4).permute(0, 1, 3, 5, 2, 4).contiguous()
        return cls(pairs.view(torch.int32).view(e, n // ROWS, k // 2, ROWS))

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        return self.words.shape[0], self.words.shape[1] * ROWS, self.words.shape[2] * 2

    def expert(self, index: int, dtype: torch.dtype) -> Tensor:
        blocks, k = self.words.shape[1], self.words.shape[2] * 2
        pairs = self.words[index].view(torch.bfloat16).view(blocks, k // 8, 4, ROWS, 2)
        return pairs.permute(0, 3, 1, 4, 2).reshape(blocks * ROWS, k).to(dtype)


Weight = Int4Weight | Bf16Weight


def _format(weight: Weight, precision: Precision) -> int:
    if isinstance(weight, Bf16Weight):
        return BF16
    return W4A8 if precision == "w4a8" else W4A16


def _pointer(tensor: Tensor | None, expert: int = 0) -> int | None:
    """Where the matrix of an expert begins."""
    if tensor is None:
        return None
    return tensor.data_ptr() + expert * tensor.stride(0) * tensor.itemsize if expert else tensor.data_ptr()


def _usable(x: Tensor, weight: Weight) -> str:
    """The instruction set to use; `torch` for tensors that aren't on the CPU."""
    return native.isa() if x.device.type == "cpu" and weight.words.is_contiguous() else "torch"


def _on_gpu(*weights: Weight) -> bool:
    """Whether the Triton kernel can take these: INT4 weights, and Triton is installed."""
    return all(isinstance(weight, Int4Weight) for weight in weights) and importlib.util.find_spec("triton") is not None


def linear(x_TK: Tensor, weight: Weight, precision: Precision = "w4a16", expert: int = 0) -> Tensor:
    """x · Wᵀ with one matrix of a stack: [T, N] float32; x is rounded to bfloat16.

    Raises:
        ValueError: widths that don't fit.
    """
    _, n, k = weight.shape
    if x_TK.ndim != 2 or x_TK.shape[1] != k or k % GROUP:
        raise ValueError(f"linear: x is {tuple(x_TK.shape)}, the weight [{n}, {k}]")
    if x_TK.dtype != torch.bfloat16 or not x_TK.is_contiguous():
        x_TK = x_TK.to(torch.bfloat16).contiguous()
    isa = _usable(x_TK, weight)
    library = native.library()
    if isa == "torch" or library is None:
        return F.linear(x_TK.float(), weight.expert(expert, torch.float32))
    y_TN = torch.empty(x_TK.shape[0], n, dtype=torch.float32)
    library.k2_linear(
        x_TK.data_ptr(),
        _pointer(weight.words, expert),
        _pointer(weight.scale, expert),
        y_TN.data_ptr(),
        x_TK.shape[0],
        n,
        k // GROUP,
        _format(weight, precision),
        native.LEVEL[isa],
        native.threads(y_TN.numel() * k),
    )
    return y_TN


def expert_mlp_reference(
    x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor, gate: Weight, up: Weight, down: Weight
) -> Tensor:
    """`expert_mlp` in plain torch, one dequantized expert at a time; [T, C] in the type of x."""
    out_TC = torch.zeros_like(x_TC, dtype=torch.float32)
    for index in expert_TK.unique().tolist():
        token_S, slot_S = (expert_TK == index).nonzero(as_tuple=True)
        x_SC = x_TC[token_S]
        inner_SI = F.silu(F.linear(x_SC, gate.expert(index, x_TC.dtype)))
        inner_SI = inner_SI * F.linear(x_SC, up.expert(index, x_TC.dtype))
        out_SC = F.linear(inner_SI, down.expert(index, x_TC.dtype)).float()
        out_TC.index_add_(0, token_S, out_SC * weight_TK[token_S, slot_S, None].float())
    return out_TC.to(x_TC.dtype)


def expert_mlp(
    x_TC: Tensor,
    expert_TK: Tensor,
    weight_TK: Tensor,
    gate: Weight,
    up: Weight,
    down: Weight,
    precision: Precision = "w4a16",
) -> Tensor:
    """Σ_k weight · down(silu(gate(x)) · up(x)) over a token's experts: [T, C] in the type of x.

    In C++ (CPU) and Triton (GPU, `w4a16` only) x and the product inside are rounded to bfloat16, all sums are float32.

    Raises:
        ValueError: widths that don't fit.
    """
    (e, inner, width), top_k = gate.shape, expert_TK.shape[1]
    if x_TC.shape[1] != width or up.shape != gate.shape or down.shape != (e, width, inner):
        raise ValueError(f"expert_mlp: x {tuple(x_TC.shape)}, gate {gate.shape}, up {up.shape}, down {down.shape}")
    if x_TC.device.type == "cuda" and _on_gpu(gate, up, down):
        from kernels.int4.triton_experts import experts_forward  # only where Triton is

        pairs = [(weight.words, weight.scale) for weight in (gate, up, down) if isinstance(weight, Int4Weight)]
        return experts_forward(x_TC, expert_TK, weight_TK, *pairs).to(x_TC.dtype)
    isa = _usable(x_TC, gate)
    library = native.library()
    if isa == "torch" or library is None:
        return expert_mlp_reference(x_TC, expert_TK, weight_TK, gate, up, down)
    x16_TC = x_TC.to(torch.bfloat16).contiguous()
    expert_TK = expert_TK.long().contiguous()
    weight_TK = weight_TK.float().contiguous()
    y_TC = torch.empty(x_TC.shape, dtype=torch.float32)
    library.k2_experts(
        x16_TC.data_ptr(),
        expert_TK.data_ptr(),
        weight_TK.data_ptr(),
        gate.words.data_ptr(),
        _pointer(gate.scale),
        up.words.data_ptr(),
        _pointer(up.scale),
        down.words.data_ptr(),
        _pointer(down.scale),
        y_TC.data_ptr(),
        x_TC.shape[0],
        top_k,
        width,
        inner,
        e,
        _format(gate, precision),
        native.LEVEL[isa],
        native.threads(3 * expert_TK.numel() * inner * width),
    )
    return y_TC.to(x_TC.dtype)
