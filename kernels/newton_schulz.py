"""Newton–Schulz orthogonalisation, batched over matrices of one shape.

The quintic iteration of Muon (Jordan et al. 2024; Liu et al. 2025, "Muon is Scalable for LLM Training", §2.1):

    X₀ = M / ‖M‖_F,   A = X Xᵀ,   X ← a X + (b A + c A²) X,   (a, b, c) = (3.4445, −4.7750, 2.0315), five times

Three forms of the same polynomial, chosen by shape (`choose_method`):

* `standard`   the text above;
* `symmetric`  A and A² are symmetric, so only the blocks on and below the diagonal are computed;
* `gram`       for wide matrices: with R = X Xᵀ every iterate is X_k = Q_k X₀, and both Q and R are small and
               square, so the long side is touched twice instead of ten times. One restart (R recomputed from X
               after two steps) keeps half precision stable.

Axes: N matrices in a batch, m short side, n long side (m ≤ n).
"""

from typing import Literal

import torch
from torch import Tensor

from kernels.processor import fast_dtype

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
EPS = 1e-7
GRAM_RESTART = 2
CPU_CHUNK_ELEMENTS = 2**19  # of the matrices that are iterated together: what a core's own cache holds

Method = Literal["auto", "standard", "symmetric", "gram"]


def newton_schulz_reference(m: Tensor, steps: int = STEPS) -> Tensor:
    """The iteration in float64, one line per equation: what every fast form is tested against.

    Args:
        m: [..., rows, cols].
    """
    a, b, c = COEFFICIENTS
    tall = m.size(-2) > m.size(-1)
    x = m.double().mT if tall else m.double()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + EPS)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def compute_dtype(m: int, device: torch.device) -> torch.dtype:
    """What the device multiplies fast; float32 for short sides up to 64 on a CPU, where it never loses."""
    return torch.float32 if device.type == "cpu" and m <= 64 else fast_dtype(device)


def choose_method(m: int, n: int, device: torch.device) -> Method:
    """The form that was fastest for an [m, n] matrix, m ≤ n (bench/newton_schulz.py)."""
    if n >= 2 * m:
        return "gram"
    if device.type == "cuda":
        return "symmetric" if m >= 256 else "standard"
    return "symmetric" if m >= 512 else "standard"


def newton_schulz(
    m: Tensor, steps: int = STEPS, *, method: Method = "auto", dtype: torch.dtype | None = None
) -> Tensor:
    """Orthogonalises each matrix: M = U S Vᵀ becomes U S' Vᵀ with S' near one.

    A zero matrix stays zero. The input is never written to.

    Args:
        m: [rows, cols] or [N, rows, cols]; every matrix of a batch is normalised by its own Frobenius norm.
        method: one of the three forms, or `auto`.
        dtype: what the products are computed in; by default `compute_dtype`.

    Returns:
        A tensor of m's shape in the compute dtype.

    Raises:
        ValueError: m has fewer than two or more than three axes.
    """
    if m.ndim not in (2, 3):
        raise ValueError(f"newton_schulz wants [rows, cols] or [N, rows, cols], got {tuple(m.shape)}")
    x = m if m.ndim == 3 else m.unsqueeze(0)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    short, long = x.size(-2), x.size(-1)
    dtype = dtype or compute_dtype(short, m.device)
    if method == "auto":
        method = choose_method(short, long, m.device)
    chunks = x.split(max(1, CPU_CHUNK_ELEMENTS // (short * long))) if x.device.type == "cpu" else (x,)
    done = [_iterate(chunk, steps, method, dtype) for chunk in chunks]
    x = done[0] if len(done) == 1 else torch.cat(done)
    if tall:
        x = x.mT
    return x if m.ndim == 3 else x.squeeze(0)


def _iterate(x_Nmn: Tensor, steps: int, method: Method, dtype: torch.dtype) -> Tensor:
    norm_N11 = torch.linalg.vector_norm(x_Nmn, dim=(-2, -1), keepdim=True, dtype=torch.float32)
    # Divided before the cast, in one pass: half precision can't hold every norm.
    unit_Nmn = torch.empty(x_Nmn.shape, dtype=dtype, device=x_Nmn.device)
    torch.div(x_Nmn, norm_N11 + EPS, out=unit_Nmn)
    x_Nmn = unit_Nmn
    return _gram(x_Nmn, steps) if method == "gram" else _standard(x_Nmn, steps, method == "symmetric")


def _standard(x_Nmn: Tensor, steps: int, symmetric: bool) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = _product_t(x_Nmn, symmetric)
        poly = _square_plus(gram, b, c, symmetric)
        x_Nmn = torch.baddbmm(x_Nmn, poly, x_Nmn, beta=a)
    return x_Nmn


def _gram(x_Nmn: Tensor, steps: int) -> Tensor:
    a, b, c = COEFFICIENTS
    symmetric = x_Nmn.size(-2) >= 256
    if symmetric and not x_Nmn.is_cuda:
        done = [_gram_one(x_mn, steps) for x_mn in x_Nmn]
        return done[0].unsqueeze(0) if len(done) == 1 else torch.stack(done)
    q_Nmm: Tensor | None = None
    r_Nmm = _product_t(x_Nmn, symmetric)
    for k in range(steps):
        if k == GRAM_RESTART and q_Nmm is not None:
            x_Nmn = torch.bmm(q_Nmm, x_Nmn)
            r_Nmm = _product_t(x_Nmn, symmetric)
            q_Nmm = None
        z_Nmm = _square_plus(r_Nmm, b, c, symmetric)
        p_Nmm = z_Nmm.clone()
        p_Nmm.diagonal(dim1=-2, dim2=-1).add_(a)  # X_{k+1} = P X_k with P = a I + b R + c R²
        q_Nmm = p_Nmm if q_Nmm is None else _commuting(z_Nmm, q_Nmm, a, symmetric)
        if k < steps - 1 and k + 1 != GRAM_RESTART:
            rz_Nmm = _commuting(z_Nmm, r_Nmm, a, symmetric)
            r_Nmm = _commuting(z_Nmm, rz_Nmm, a, symmetric)
    assert q_Nmm is not None
    return torch.bmm(q_Nmm, x_Nmn)


def _gram_one(x_mn: Tensor, steps: int) -> Tensor:
    """The Gram form of one large matrix on a CPU.

    Its buffers are used again and again: the page faults of fresh ones cost 5 to 8 %. R and Q are multiplied by one
    rounded P, so that they stay polynomials of one matrix: at this size nearer to the exact iteration than a R + Z R.
    """
    a, b, c = COEFFICIENTS
    m = x_mn.size(0)
    spare_mn = torch.empty_like(x_mn)
    r_mm, p_mm, q_mm, spare_mm = (x_mn.new_empty(m, m) for _ in range(4))
    composed = False  # whether Q holds the steps since the last product with X
    _lower_(r_mm, x_mn, x_mn)
    for k in range(steps):
        if k == GRAM_RESTART and composed:
            torch.mm(q_mm, x_mn, out=spare_mn)
            x_mn, spare_mn, composed = spare_mn, x_mn, False
            _lower_(r_mm, x_mn, x_mn)
        _lower_(p_mm, r_mm, r_mm, r_mm, b, c)
        p_mm.diagonal().add_(a)
        if k < steps - 1 and k + 1 != GRAM_RESTART:
            _lower_(spare_mm, p_mm, r_mm)
            _lower_(r_mm, p_mm, spare_mm)
        if composed:
            _lower_(spare_mm, p_mm, q_mm)
            q_mm, spare_mm = spare_mm, q_mm
        else:
            q_mm, p_mm, composed = p_mm, q_mm, True
    return torch.mm(q_mm, x_mn, out=spare_mn)


def _blocks(m: int) -> list[int]:
    """Row boundaries of the block form: four to eight blocks of at least 128 rows."""
    count = max(1, min(8, m // 128))
    return [m * i // count for i in range(count + 1)]


def _product_t(x_Nmn: Tensor, symmetric: bool) -> Tensor:
    """X Xᵀ."""
    if not symmetric:
        return torch.bmm(x_Nmn, x_Nmn.mT)
    if x_Nmn.is_cuda:
        from kernels.newton_schulz_triton import symmetric_product

        return symmetric_product(x_Nmn, x_Nmn)
    return _lower(x_Nmn, x_Nmn, None, 0.0, 1.0)


def _square_plus(s_Nmm: Tensor, beta: float, alpha: float, symmetric: bool) -> Tensor:
    """beta S + alpha S² for symmetric S."""
    if not symmetric:
        return torch.baddbmm(s_Nmm, s_Nmm, s_Nmm, beta=beta, alpha=alpha)
    if s_Nmm.is_cuda:
        from kernels.newton_schulz_triton import symmetric_product

        return symmetric_product(s_Nmm, s_Nmm, s_Nmm, beta, alpha)
    return _lower(s_Nmm, s_Nmm, s_Nmm, beta, alpha)


def _commuting(z_Nmm: Tensor, r_Nmm: Tensor, beta: float, symmetric: bool) -> Tensor:
    """beta R + Z R for symmetric Z and R that commute (polynomials of one matrix), so that Z R is symmetric too."""
    if not symmetric:
        return torch.baddbmm(r_Nmm, z_Nmm, r_Nmm, beta=beta)
    from kernels.newton_schulz_triton import symmetric_product

    return symmetric_product(z_Nmm, r_Nmm, r_Nmm, beta, 1.0)


def _lower(left_Nmk: Tensor, right_Nmk: Tensor, add_Nmm: Tensor | None, beta: float, alpha: float) -> Tensor:
    """beta C + alpha L Rᵀ of each matrix, where the result is symmetric."""
    m = left_Nmk.size(-2)
    out_Nmm = left_Nmk.new_empty(left_Nmk.size(0), m, m)
    for k, out_mm in enumerate(out_Nmm):
        _lower_(out_mm, left_Nmk[k], right_Nmk[k], None if add_Nmm is None else add_Nmm[k], beta, alpha)
    return out_Nmm


def _lower_(
    out_mm: Tensor,
    left_mk: Tensor,
    right_mk: Tensor,
    add_mm: Tensor | None = None,
    beta: float = 0.0,
    alpha: float = 1.0,
) -> None:
    """Writes beta C + alpha L Rᵀ, a symmetric matrix: block rows up to the diagonal, the rest mirrored."""
    edges = _blocks(left_mk.size(0))
    for lo, hi in zip(edges[:-1], edges[1:], strict=True):
        left, right, strip = left_mk[lo:hi], right_mk[:hi].mT, out_mm[lo:hi, :hi]
        if add_mm is None:
            torch.mm(left, right, out=strip)
        else:
            torch.addmm(add_mm[lo:hi, :hi], left, right, beta=beta, alpha=alpha, out=strip)
        out_mm[:lo, lo:hi] = strip[:, :lo].mT
