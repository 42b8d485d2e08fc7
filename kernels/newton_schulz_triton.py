"""The symmetric product of Newton–Schulz on a GPU: only tiles on and below the diagonal are computed.

Needs Triton, which comes with PyTorch's CUDA builds; only `kernels.newton_schulz` imports this file, and only for
CUDA tensors.

Axes: N matrices in a batch, m side of the result, k contracted axis.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 128, 8
# Contracted elements of a step. Rows that don't begin at multiples of 16 bytes can't be copied asynchronously: their
# addresses stay in registers, and more than 32 of them spill.
DEPTH_ALIGNED, DEPTH_RAGGED = 64, 32


@triton.jit
def symmetric_kernel(  # type: ignore[no-untyped-def]
    left, right, add, out, m, k, stride_ln, stride_lm, stride_rn, stride_rm, stride_on, stride_om, beta, alpha,
    HAS_ADD: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    row, col, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    if col > row:
        return
    left += batch * stride_ln
    right += batch * stride_rn
    add += batch * stride_on
    out += batch * stride_on
    rows, cols, depth = row * BLOCK + tl.arange(0, BLOCK), col * BLOCK + tl.arange(0, BLOCK), tl.arange(0, DEPTH)
    # Within a matrix 32 bits reach every element, and take half the registers.
    left_at = rows[:, None] * stride_lm + depth[None, :]
    right_at = cols[None, :] * stride_rm + depth[:, None]
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, k, DEPTH):
        inside = start + depth < k
        a = tl.load(left + left_at + start, mask=(rows < m)[:, None] & inside[None, :], other=0.0)
        b = tl.load(right + right_at + start, mask=(cols < m)[None, :] & inside[:, None], other=0.0)
        total = tl.dot(a, b, total)
    total *= alpha
    mask = (rows < m)[:, None] & (cols < m)[None, :]
    here = rows[:, None] * stride_om + cols[None, :]
    if HAS_ADD:
        total += beta * tl.load(add + here, mask=mask, other=0.0).to(tl.float32)
    value = total.to(out.dtype.element_ty)
    tl.store(out + here, value, mask=mask)
    if col < row:
        mirrored = cols[:, None] * stride_om + rows[None, :]
        tl.store(out + mirrored, value.T, mask=(cols < m)[:, None] & (rows < m)[None, :])


def depth_for(*tensors: Tensor) -> int:
    """Contracted elements of a step: many where all rows begin at multiples of 16 bytes."""
    aligned = all(t.data_ptr() % 16 == 0 and t.shape[-1] % 16 == 0 and t.stride(-2) % 16 == 0 for t in tensors)
    return DEPTH_ALIGNED if aligned else DEPTH_RAGGED


def symmetric_product(
    left_Nmk: Tensor, right_Nmk: Tensor, add_Nmm: Tensor | None = None, beta: float = 0.0, alpha: float = 1.0
) -> Tensor:
    """beta C + alpha L Rᵀ, [N, m, m], for a result that is symmetric up to rounding.

    Raises:
        ValueError: shapes that differ, a last axis that isn't contiguous, or a matrix that 32 bits can't address.
    """
    if left_Nmk.shape != right_Nmk.shape or left_Nmk.stride(-1) != 1 or right_Nmk.stride(-1) != 1:
        raise ValueError(f"two equal shapes with contiguous rows wanted, got {left_Nmk.shape} and {right_Nmk.shape}")
    batch, m, k = left_Nmk.shape
    tiles = triton.cdiv(m, BLOCK)
    widest = max(left_Nmk.stride(1), right_Nmk.stride(1), m)
    if tiles * BLOCK * widest >= 2**31:
        raise ValueError(f"a matrix of 2^31 elements or more: {m} rows of {widest}")
    out = torch.empty(batch, m, m, dtype=left_Nmk.dtype, device=left_Nmk.device)
    add = out if add_Nmm is None else add_Nmm.contiguous()
    symmetric_kernel[(tiles, tiles, batch)](
        left_Nmk, right_Nmk, add, out, m, k,
        left_Nmk.stride(0), left_Nmk.stride(1), right_Nmk.stride(0), right_Nmk.stride(1),
        out.stride(0), out.stride(1), beta, alpha,
        HAS_ADD=add_Nmm is not None, BLOCK=BLOCK, DEPTH=depth_for(left_Nmk, right_Nmk), num_warps=WARPS,
    )  # fmt: skip
    return out
