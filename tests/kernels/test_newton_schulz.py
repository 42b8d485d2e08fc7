"""Every form of Newton–Schulz against the float64 iteration."""

import pytest
import torch

from kernels.newton_schulz import newton_schulz, newton_schulz_reference

SHAPES = [(8, 8), (16, 40), (40, 16), (3, 24, 96), (3, 96, 24), (256, 300), (300, 520), (1, 7)]


@pytest.mark.parametrize("method", ["standard", "symmetric", "gram"])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_forms_equal_the_reference(shape, method):
    torch.manual_seed(0)
    m = torch.randn(shape)
    want = newton_schulz_reference(m)
    got = newton_schulz(m, method=method, dtype=torch.float32).double()
    assert got.shape == m.shape
    assert (got - want).norm() < 2e-3 * want.norm()


@pytest.mark.parametrize("shape", [(128, 160), (2, 96, 400)])
def test_bfloat16_stays_close(shape):
    torch.manual_seed(0)
    m = torch.randn(shape)
    want = newton_schulz_reference(m)
    for method in ("standard", "symmetric", "gram"):
        got = newton_schulz(m, method=method, dtype=torch.bfloat16).double()
        assert (got - want).norm() < 0.05 * want.norm(), method


def test_zero_stays_zero_and_the_input_is_kept():
    m = torch.zeros(2, 8, 12)
    m[1] = torch.randn(8, 12)
    before = m.clone()
    out = newton_schulz(m)
    assert torch.equal(m, before) and not out[0].any() and torch.isfinite(out).all()


def test_singular_values_come_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(newton_schulz(torch.randn(32, 64), dtype=torch.float32))
    assert values.min() > 0.6 and values.max() < 1.3


def test_wrong_axes():
    with pytest.raises(ValueError, match="rows, cols"):
        newton_schulz(torch.zeros(4))
