"""The routed experts on a GPU: W4A16 grouped products in Triton, reading the same words as the CPU kernels.

One program makes a tile of rows of one expert times a block of outputs. Per group of 32 inputs the codes (exact in
bfloat16 and float16) go through one `tl.dot` with float32 sums, and the group's scale is applied to that sum, so the
weight is never rounded. The first kernel makes silu(gate · x) · (up · x) in one pass over x, the second the down
projection; a token's experts are summed in a fixed order afterwards.

Imported only where Triton is; `kernels.int4.mlp` chooses. Axes as there, S rows sorted by expert.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.fake_quant import GROUP
from kernels.int4.words import ROWS

BLOCK_N = 64
WARPS = {16: 4, 32: 4, 64: 8}  # of each tile height: the most rows whose sums fit the registers


@triton.jit
def _codes(words, first, n, k, words_per_row, ROWS: tl.constexpr, DTYPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Codes [K, N] of inputs first .. first + 31; `words` [N/16, K/8, 16] of one expert."""
    column = first // 8 + k // 8
    offset = (n // ROWS)[None, :] * (words_per_row * ROWS) + column[:, None] * ROWS + (n % ROWS)[None, :]
    word = tl.load(words + offset)
    return ((word >> ((k % 8) * 4)[:, None]) & 15).to(DTYPE) - 8


@triton.jit
def _scale(scale, group, n, groups, ROWS: tl.constexpr):  # type: ignore[no-untyped-def]
    return tl.load(scale + (n // ROWS) * (groups * ROWS) + group * ROWS + n % ROWS).to(tl.float32)


@triton.jit
def gate_up_kernel(  # type: ignore[no-untyped-def]
    x,
    token,
    gate_words,
    gate_scale,
    up_words,
    up_scale,
    tile_expert,
    tile_first,
    tile_last,
    h,
    width,
    inner,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """h [S, inner] = silu(gate · x) · (up · x) for one tile of rows and `BLOCK_N` inner rows."""
    tile = tl.program_id(0)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    rows = tl.load(tile_first + tile) + tl.arange(0, BLOCK_M)
    inside = rows < tl.load(tile_last + tile)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    n = tl.where(n < inner, n, 0)
    k = tl.arange(0, GROUP)
    source = tl.load(token + rows, mask=inside, other=0).to(tl.int64)
    words = width // 8
    groups = width // GROUP
    gate = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    up = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for group in range(groups):
        first = group * GROUP
        a = tl.load(x + source[:, None] * width + first + k[None, :], mask=inside[:, None], other=0.0)
        g = _codes(gate_words + expert * inner * words, first, n, k, words, ROWS, DTYPE)
        gate += tl.dot(a, g) * _scale(gate_scale + expert * inner * groups, group, n, groups, ROWS)[None, :]
        u = _codes(up_words + expert * inner * words, first, n, k, words, ROWS, DTYPE)
        up += tl.dot(a, u) * _scale(up_scale + expert * inner * groups, group, n, groups, ROWS)[None, :]
    out = gate / (1.0 + tl.exp(-gate)) * up
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    tl.store(h + rows[:, None] * inner + n[None, :], out.to(DTYPE), mask=inside[:, None] & (n < inner)[None, :])


@triton.jit
def down_kernel(  # type: ignore[no-untyped-def]
    h,
    choice,
    down_words,
    down_scale,
    tile_expert,
    tile_first,
    tile_last,
    y,
    width,
    inner,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """y [T·K, width] float32, at the place of each row's choice: h · down for one tile and `BLOCK_N` outputs."""
    tile = tl.program_id(0)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    rows = tl.load(tile_first + tile) + tl.arange(0, BLOCK_M)
    inside = rows < tl.load(tile_last + tile)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    n = tl.where(n < width, n, 0)
    k = tl.arange(0, GROUP)
    words = inner // 8
    groups = inner // GROUP
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for group in range(groups):
        first = group * GROUP
        a = tl.load(h + rows[:, None] * inner + first + k[None, :], mask=inside[:, None], other=0.0)
        d = _codes(down_words + expert * width * words, first, n, k, words, ROWS, DTYPE)
        acc += tl.dot(a, d) * _scale(down_scale + expert * width * groups, group, n, groups, ROWS)[None, :]
    target = tl.load(choice + rows, mask=inside, other=0).to(tl.int64)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    tl.store(y + target[:, None] * width + n[None, :], acc, mask=inside[:, None] & (n < width)[None, :])


def tiles(load_E: Tensor, block: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """(expert, first row, last row) of each tile, int32, without a look at the numbers on the host.

    There are as many tiles as any routing of `rows` rows can need; those left over have expert −1.
    """
    experts = load_E.numel()
    count = min(rows, rows // block + experts)
    ends_E = load_E.cumsum(0)
    tile_ends_E = ((load_E + block - 1) // block).cumsum(0)
    number = torch.arange(count, device=load_E.device)
    expert = torch.searchsorted(tile_ends_E, number, right=True)
    known = expert.clamp_max(experts - 1)
    before = tile_ends_E[known] - (load_E[known] + block - 1) // block
    first = ends_E[known] - load_E[known] + (number - before) * block
    last = ends_E[known]
    return torch.where(expert < experts, known, -1).int(), first.int(), last.int()


def experts_forward(
    x_TC: Tensor,
    expert_TK: Tensor,
    weight_TK: Tensor,
    gate: tuple[Tensor, Tensor],
    up: tuple[Tensor, Tensor],
    down: tuple[Tensor, Tensor],
) -> Tensor:
    """Σ_k weight · expert(x), [T, C] float32; each weight is (words, scale) in the order of `kernels.int4.words`.

    Args:
        x_TC: bfloat16, or float16 or float32, which is also the type of the products' inputs.
    """
    (tokens, width), top_k = x_TC.shape, expert_TK.shape[1]
    experts, inner = gate[0].shape[0], gate[0].shape[1] * ROWS
    flat_S = expert_TK.flatten()
    choice_S = flat_S.argsort(stable=True)
    load_E = torch.bincount(flat_S, minlength=experts)
    mean = max(1, tokens * top_k // experts)
    block = next((size for size in WARPS if mean <= size), max(WARPS))
    tile = tiles(load_E, block, tokens * top_k)
    dtype = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}[x_TC.dtype]
    options = {
        "BLOCK_M": block,
        "BLOCK_N": BLOCK_N,
        "GROUP": GROUP,
        "ROWS": ROWS,
        "DTYPE": dtype,
        "num_warps": WARPS[block],
    }
    h_SI = torch.empty(tokens * top_k, inner, dtype=x_TC.dtype, device=x_TC.device)
    y_SC = torch.empty(tokens * top_k, width, dtype=torch.float32, device=x_TC.device)
    token_S = choice_S // top_k
    grid = (tile[0].numel(), triton.cdiv(inner, BLOCK_N))
    gate_up_kernel[grid](x_TC.contiguous(), token_S, *gate, *up, *tile, h_SI, width, inner, **options)
    grid = (tile[0].numel(), triton.cdiv(width, BLOCK_N))
    down_kernel[grid](h_SI, choice_S, *down, *tile, y_SC, width, inner, **options)
    return (y_SC.view(tokens, top_k, width) * weight_TK[..., None].float()).sum(1)
