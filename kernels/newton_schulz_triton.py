"""The symmetric product of Newton–Schulz on a GPU: only tiles on and below the diagonal are computed.

Needs Triton, which comes with PyTorch's CUDA builds; only `kernels.newton_schulz` imports this file, and only for
CUDA tensors.

Axes: N matrices in a batch, m side of the result, k contracted axis.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_M, BLOCK_K = 128, 64


@triton.jit
def _kernel(
    left, right, add, out, m, k, stride_ln, stride_lm, stride_rn, stride_rm, stride_on, stride_om, beta, alpha,
    HAS_ADD: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    row, col, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    if col > row:
        return
    rows, cols, depth = row * BLOCK + tl.arange(0, BLOCK), col * BLOCK + tl.arange(0, BLOCK), tl.arange(0, DEPTH)
    left_at = left + batch * stride_ln + rows[:, None].to(tl.int64) * stride_lm
    right_at = right + batch * stride_rn + cols[:, None].to(tl.int64) * stride_rm
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, k, DEPTH):
        inside = (start + depth)[None, :] < k
        a = tl.load(left_at + (start + depth)[None, :], mask=(rows[:, None] < m) & inside, other=0.0)
        b = tl.load(right_at + (start + depth)[None, :], mask=(cols[:, None] < m) & inside, other=0.0)
        total = tl.dot(a, b.T, total)
    total *= alpha
    mask = (rows[:, None] < m) & (cols[None, :] < m)
    here = batch * stride_on + rows[:, None].to(tl.int64) * stride_om + cols[None, :]
    if HAS_ADD:
        total += beta * tl.load(add + here, mask=mask, other=0.0).to(tl.float32)
    value = total.to(out.dtype.element_ty)
    tl.store(out + here, value, mask=mask)
    if col < row:
        mirrored = batch * stride_on + cols[:, None].to(tl.int64) * stride_om + rows[None, :]
        tl.store(out + mirrored, value.T, mask=(cols[:, None] < m) & (rows[None, :] < m))


def symmetric_product(
    left_Nmk: Tensor, right_Nmk: Tensor, add_Nmm: Tensor | None = None, beta: float = 0.0, alpha: float = 1.0
) -> Tensor:
    """beta C + alpha L Rᵀ, [N, m, m], for a result that is symmetric.

    Raises:
        ValueError: shapes that differ, or a last axis that isn't contiguous.
    """
    if left_Nmk.shape != right_Nmk.shape or left_Nmk.stride(-1) != 1 or right_Nmk.stride(-1) != 1:
        raise ValueError(f"two equal shapes with contiguous rows wanted, got {left_Nmk.shape} and {right_Nmk.shape}")
    batch, m, k = left_Nmk.shape
    out = torch.empty(batch, m, m, dtype=left_Nmk.dtype, device=left_Nmk.device)
    add = out if add_Nmm is None else add_Nmm.contiguous()
    tiles = triton.cdiv(m, BLOCK_M)
    _kernel[(tiles, tiles, batch)](
        left_Nmk, right_Nmk, add, out, m, k,
        left_Nmk.stride(0), left_Nmk.stride(1), right_Nmk.stride(0), right_Nmk.stride(1),
        out.stride(0), out.stride(1), beta, alpha,
        HAS_ADD=add_Nmm is not None, BLOCK=BLOCK_M, DEPTH=BLOCK_K, num_warps=8,
    )  # fmt: skip
    return out
