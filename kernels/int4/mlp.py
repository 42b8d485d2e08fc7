"""One call for all routed experts of a layer: down(silu(gate(x)) · up(x)), weighted and summed over a token's experts.

Axes: T tokens, C hidden width, E experts, K experts per token, I width of an expert, N outputs, R rows of a block.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.fake_quant import dequantize
from kernels.int4.words import deinterleave, unpack


@dataclass(frozen=True)
class Int4Weight:
    """A stack of INT4 matrices in the order of `kernels.int4.words`.

    words: int32 [E, N/16, K/8, 16]. scale: bfloat16 [E, N/16, K/32, 16].
    """

    words: Tensor
    scale: Tensor

    def expert(self, index: int, dtype: torch.dtype) -> Tensor:
        """The matrix [N, K] of one expert, dequantized."""
        codes_NK = unpack(deinterleave(self.words[index]))
        return dequantize(codes_NK, deinterleave(self.scale[index])).to(dtype)


def expert_mlp_reference(
    x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor, gate: Int4Weight, up: Int4Weight, down: Int4Weight
) -> Tensor:
    """The same in plain torch, one dequantized expert at a time; [T, C] in the type of x."""
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
    x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor, gate: Int4Weight, up: Int4Weight, down: Int4Weight
) -> Tensor:
    """Σ_k weight · expert(x), [T, C] in the type of x."""
    return expert_mlp_reference(x_TC, expert_TK, weight_TK, gate, up, down)
