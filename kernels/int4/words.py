"""The words of a `pack-quantized` checkpoint, and their order in memory for the kernels.

A checkpoint's int32 word holds eight codes of one output row: input 8b + j at bits 4j, stored as q + 8. The kernels
read sixteen rows at once, so `interleave` turns [N, K/8] into [N/16, K/8, 16]: the same words, transposed within
blocks of sixteen rows; scales [N, G] likewise become [N/16, G, 16].

Axes: N outputs, K inputs, W = K/8 words, G = K/32 groups, R = 16 rows of a block.
"""

import torch
from torch import Tensor

ROWS = 16


def pack(codes_NK: Tensor) -> Tensor:
    """Words int32 [..., N, W] of codes [..., N, K]: the inverse of `unpack`."""
    shifts_8 = torch.arange(0, 32, 4, dtype=torch.int32, device=codes_NK.device)
    places_NW8 = (codes_NK.to(torch.int32) + 8).unflatten(-1, (-1, 8)) << shifts_8
    return places_NW8.sum(-1).to(torch.int32)  # summed in 64 bits; the cast wraps the sign bit into place


def unpack(words_NW: Tensor) -> Tensor:
    """Codes int8 [..., N, K] of words int32 [..., N, W]."""
    pairs_NP = _bytes(words_NW)
    return torch.stack((pairs_NP & 15, pairs_NP >> 4), dim=-1).flatten(-2).to(torch.int8) - 8


def uses_lowest_code(words_NW: Tensor) -> bool:
    """Whether any code is −8, which the absmax/7 rule never gives and the absmax/7.5 rule does."""
    pairs_NP = _bytes(words_NW)
    return bool((pairs_NP & 15).min() == 0) or bool(pairs_NP.min() < 16)


def _bytes(words_NW: Tensor) -> Tensor:
    """Two codes each, the first in the low half, uint8 [..., N, 4W]: words are stored with their low byte first."""
    return words_NW.contiguous().view(torch.uint8)


def interleave(rows_NX: Tensor) -> Tensor:
    """[..., N, X] → [..., N/16, X, 16], a copy; N a multiple of 16."""
    return rows_NX.unflatten(-2, (-1, ROWS)).transpose(-1, -2).contiguous()


def deinterleave(blocks_BXR: Tensor) -> Tensor:
    """The inverse of `interleave`."""
    return blocks_BXR.transpose(-1, -2).flatten(-3, -2)
