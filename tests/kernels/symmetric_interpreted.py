"""Run by test_newton_schulz_triton.py with TRITON_INTERPRET=1: the kernel, program by program, against float64."""

import torch

from kernels import newton_schulz as forms
from kernels.newton_schulz_triton import symmetric_product

# Batch, side, contracted axis: one tile, several with ragged edges, a side below a tile, a depth below a block.
SHAPES = ((1, 128, 64), (2, 130, 70), (1, 300, 300), (3, 5, 129), (2, 257, 33))


def check(got: torch.Tensor, want: torch.Tensor, limit: float) -> None:
    assert got.shape == want.shape
    error = float((got.double() - want).norm() / want.norm())
    assert error < limit, (got.dtype, tuple(got.shape), error)


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    # The interpreter's bfloat16 dot is wrong; on a GPU the kernel runs in bfloat16.
    for dtype, limit in ((torch.float32, 1e-5), (torch.float16, 3e-3)):
        for batch, m, k in SHAPES:
            x = (torch.randn(batch, m, k, dtype=torch.float64, generator=generator) / k**0.5).to(dtype).double()
            low = x.to(dtype)
            product = symmetric_product(low, low)
            assert torch.equal(product, product.mT), "the halves differ"
            check(product, x @ x.mT, limit)
            # Rows with gaps between them, as a slice of a wider tensor has.
            wide = torch.cat([low, torch.full_like(low, 7.0)], dim=-1)[..., :k]
            assert torch.equal(symmetric_product(wide, wide), symmetric_product(low, low))
            s = (x @ x.mT / m).to(dtype).double()
            s = (s + s.mT) / 2
            low = s.to(dtype)
            check(symmetric_product(low, low, low, -4.775, 2.0315), -4.775 * s + 2.0315 * s @ s, limit)
            # beta R + Z R with R and Z of one matrix, as the Gram form multiplies them.
            z = (0.5 * s + s @ s).to(dtype)
            check(symmetric_product(z, low, low, 3.4445, 1.0), 3.4445 * s + z.double() @ s, limit)
    # The forms that a GPU runs, the kernel in the place of the CPU's block rows.
    forms._lower = lambda left, right, add, beta, alpha: symmetric_product(left, right, add, beta, alpha)
    for shape in ((2, 257, 300), (300, 620)):
        x = torch.randn(shape, generator=generator)
        want = forms.newton_schulz_reference(x)
        for method in ("symmetric", "gram"):
            got = forms.newton_schulz(x, method=method, dtype=torch.float32).double()
            assert float((got - want).norm() / want.norm()) < 2e-3, (shape, method)
    for wrong in ((torch.zeros(1, 4, 8), torch.zeros(1, 4, 9)), (torch.zeros(1, 4, 8).mT.contiguous().mT,) * 2):
        try:
            symmetric_product(*wrong)
        except ValueError as error:
            assert "contiguous rows" in str(error)
        else:
            raise AssertionError("a wrong layout was taken")
    print("ok")


if __name__ == "__main__":
    main()
