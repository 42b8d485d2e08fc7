"""Products of few rows against float64, on every instruction set."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels import few_rows
from kernels.int4 import native
from kernels.processor import PROCESSOR, VARIABLE
from tests.kernels.levels import FORMS, force

torch.set_num_threads(2)  # more than one, so that the split between threads is part of the test
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@pytest.fixture(autouse=True, params=FORMS)
def _level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if native.library() is None:
        pytest.skip("no kernels for this machine")
    force(request.param, monkeypatch)


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def _layer(tokens: int, top_k: int, width: int, inner: int, count: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """(x, expert, weight, gate, up, down)."""
    expert_TK = torch.stack([torch.randperm(count, generator=torch.Generator().manual_seed(t)) for t in range(tokens)])
    gate, up = (0.2 * _randn(count, inner, width, seed=seed) for seed in (1, 2))
    down = 0.2 * _randn(count, width, inner, seed=3)
    weights = [w.to(dtype) for w in (gate, up, down)]
    return _randn(tokens, width), expert_TK[:, :top_k], _randn(tokens, top_k, seed=4).abs(), *weights


def _experts_exact(x: Tensor, expert: Tensor, weight: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    x, weight, gate, up, down = (t.double() for t in (x, weight, gate, up, down))
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for k, e in enumerate(expert[t].tolist()):
            out[t] += weight[t, k] * (down[e] @ (F.silu(gate[e] @ x[t]) * (up[e] @ x[t])))
    return out


@DTYPES
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 13, 64])
@pytest.mark.parametrize(("outputs", "width"), [(4, 1), (5, 8), (14, 37), (64, 576), (129, 200)])
def test_linear(dtype: torch.dtype, rows: int, outputs: int, width: int) -> None:
    x, weight = _randn(rows, width), _randn(outputs, width, seed=1).to(dtype)
    assert few_rows.usable(x, weight)
    assert _error(few_rows.linear(x, weight), x.double() @ weight.double().T) < 1e-6


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 13, 64])
@pytest.mark.parametrize(("outputs", "width"), [(4, 1), (5, 8), (14, 37), (64, 576), (129, 200)])
def test_linear_of_8_bits(rows: int, outputs: int, width: int) -> None:
    codes = torch.randint(-127, 128, (outputs, width), generator=torch.Generator().manual_seed(2), dtype=torch.int8)
    x, scale = _randn(rows, width), _randn(outputs, seed=1).abs()
    exact = x.double() @ (codes.double() * scale.double()[:, None]).T
    assert _error(few_rows.linear(x, codes, scale), exact) < 1e-6
    with pytest.raises(ValueError, match="the weight torch.int8"):
        few_rows.linear(x, codes)


@DTYPES
@pytest.mark.parametrize(("tokens", "top_k", "width", "inner", "count"), [(1, 3, 64, 32, 5), (9, 2, 36, 20, 4)])
def test_experts(dtype: torch.dtype, tokens: int, top_k: int, width: int, inner: int, count: int) -> None:
    layer = _layer(tokens, top_k, width, inner, count, dtype)
    assert _error(few_rows.experts(*layer), _experts_exact(*layer)) < 1e-6


@DTYPES
def test_a_row_does_not_depend_on_its_neighbours(dtype: torch.dtype) -> None:
    x, weight = _randn(11, 100), _randn(30, 100, seed=1).to(dtype)
    together = few_rows.linear(x, weight)
    layer = _layer(11, 2, 36, 20, 4, dtype)
    mixed = few_rows.experts(*layer)
    for row in range(11):
        one = slice(row, row + 1)
        assert torch.equal(few_rows.linear(x[one], weight)[0], together[row])
        assert torch.equal(few_rows.experts(*(t[one] for t in layer[:3]), *layer[3:])[0], mixed[row])


def test_large_and_infinite_numbers() -> None:
    layer = _layer(3, 2, 36, 20, 4, torch.float32)
    far = few_rows.experts(1e4 * layer[0], *layer[1:])
    assert _error(far, _experts_exact(1e4 * layer[0], *layer[1:])) < 1e-6
    layer[0][1, 0] = float("nan")
    assert few_rows.experts(*layer).isnan().all(-1).tolist() == [False, True, False]


def test_types_and_shapes_of_any_rank() -> None:
    x, weight = _randn(2, 3, 40), _randn(8, 40, seed=1)
    assert few_rows.linear(x, weight).shape == (2, 3, 8)
    rounded = few_rows.linear(x.bfloat16(), weight.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert _error(rounded, x.bfloat16().double() @ weight.bfloat16().double().T) < 3e-3
    turned = x.transpose(0, 1)
    assert torch.equal(few_rows.linear(turned, weight), few_rows.linear(x, weight).transpose(0, 1))


def test_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = _randn(2, 40), _randn(8, 40, seed=1)
    many = _randn(few_rows.MOST_ROWS + 1, 40)
    assert not few_rows.usable(many, weight)
    assert not few_rows.usable(x.double(), weight.double())
    assert not few_rows.usable(x.bfloat16(), weight)  # torch says that these don't go together
    assert not few_rows.usable(x, weight.T[:8])
    assert not few_rows.usable(x, weight[:3])
    assert few_rows.usable(x, _randn(9, 40))
    assert not few_rows.usable(x, _randn(9, 40), _randn(9, 40), _randn(40, 9))  # of a layer, in tiles of four outputs
    assert not few_rows.usable(x, weight.requires_grad_())
    with torch.no_grad():
        assert few_rows.usable(x, weight)
    monkeypatch.setenv(VARIABLE, "float32")
    assert few_rows.usable(many, weight.detach().bfloat16())
    monkeypatch.setenv(VARIABLE, "bfloat16")
    assert not few_rows.usable(many.bfloat16(), weight.detach().bfloat16())
    monkeypatch.setenv(PROCESSOR, "generic")
    assert not few_rows.usable(x, weight.detach())


def test_a_bfloat16_weight_under_many_rows_is_widened() -> None:
    x, weight = _randn(few_rows.WIDENED_ROWS + 3, 40), _randn(9, 40, seed=1).bfloat16()
    together = few_rows.linear(x, weight)
    assert together.dtype == torch.float32
    assert _error(together, x.double() @ weight.double().T) < 1e-6
    torch.testing.assert_close(together[:5], few_rows.linear(x[:5], weight), rtol=1e-5, atol=1e-5)
    assert few_rows.linear(x.bfloat16(), weight).dtype == torch.bfloat16


def test_widths_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"linear: x is \(2, 39\), the weight torch.float32 \[8, 40\]"):
        few_rows.linear(_randn(2, 39), _randn(8, 40))
    x, expert, weight, gate, up, down = _layer(2, 2, 36, 20, 4, torch.float32)
    with pytest.raises(ValueError, match=r"down \(4, 20, 36\)"):
        few_rows.experts(x, expert, weight, gate, up, down.transpose(1, 2))
    with pytest.raises(ValueError, match=r"gate \(4, 18, 36\)"):
        few_rows.experts(x, expert, weight, gate[:, :18], up[:, :18], down[..., :18])
    expert[1, 0] = 4
    with pytest.raises(ValueError, match="none of the 4"):
        few_rows.experts(x, expert, weight, gate, up, down)
