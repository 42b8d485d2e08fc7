"""Linears of 8 bits for generation: attention, shared experts, dense layers and head, beside INT4 routed experts.

This is not K2's rule, which keeps them in bfloat16: where routed experts are a small share of what a token reads, it is
what lets a network decode in half the time. Codes are symmetric, one absmax / 127 scale for each output.

Axes: N outputs, K inputs.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2model.linear import Linear
from k2model.model import K2Model
from kernels import few_rows
from kernels.decode import OUTPUTS
from kernels.int4 import native
from kernels.processor import fast_dtype

TOP = 127


class EightBitLinear(nn.Module):
    """x · Wᵀ; `codes` is int8 [N, K], `scale` float32 [N]. Many rows take torch's product, in which codes are exact."""

    codes: Tensor
    scale: Tensor

    def __init__(self, weight_NK: Tensor) -> None:
        super().__init__()
        weight_NK = weight_NK.detach().float()
        scale_N = (weight_NK.abs().amax(-1) / TOP).clamp_min(torch.finfo(torch.float32).tiny)
        codes = native.huge_pages(tuple(weight_NK.shape), torch.int8)
        self.register_buffer("codes", codes.copy_((weight_NK / scale_N[:, None]).round()))
        self.register_buffer("scale", scale_N)

    def forward(self, x: Tensor) -> Tensor:
        on_cpu = self.codes.device.type == "cpu" and native.isa() != "torch"
        if on_cpu and x.numel() <= few_rows.MOST_ROWS * x.shape[-1]:
            return few_rows.linear(x, self.codes, self.scale)
        dtype = fast_dtype(x.device)
        return (F.linear(x.to(dtype), self.codes.to(dtype)).float() * self.scale).to(x.dtype)


def in_eight_bits(model: K2Model) -> Iterator[tuple[nn.Module, str, Linear]]:
    """The linears that 8 bits are for, as (where it stands, under which name, itself).

    Embedding, norms, routers and routed experts are none, nor is `kv_b_proj`, which the cache's absorbed form reads as
    a matrix.
    """
    for module in list(model.modules()):
        for short, child in list(module.named_children()):
            if isinstance(child, Linear) and short != "kv_b_proj" and len(child.weight) >= OUTPUTS:
                yield module, short, child


def linear_bytes(n: int, k: int) -> int:
    """Of one [n, k] linear: codes and scales."""
    return n * k + 4 * n


@torch.no_grad()
def eight_bit_dense(model: K2Model) -> K2Model:
    """Puts them into the model and returns it; it can generate, but neither train nor be saved."""
    model.requires_grad_(False)
    for module, short, linear in in_eight_bits(model):
        setattr(module, short, EightBitLinear(linear.weight))
    return model
