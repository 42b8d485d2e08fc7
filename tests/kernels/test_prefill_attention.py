"""Attention of a chunk of new positions against its definition in float64."""

import pytest
import torch
from torch import Tensor

from kernels import prefill_attention as module
from kernels.prefill_attention import prefill_attention, prefill_attention_reference

torch.set_num_threads(1)


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _exact(q_BQHD: Tensor, k_BTHD: Tensor, v_BTHV: Tensor, scale: float, starts: list[int]) -> Tensor:
    """One query after the other."""
    out = torch.zeros(*q_BQHD.shape[:3], v_BTHV.shape[-1], dtype=torch.float64)
    for b, start in enumerate(starts):
        for i in range(q_BQHD.shape[1]):
            seen = slice(0, start + i + 1)
            for h in range(q_BQHD.shape[2]):
                p = (k_BTHD[b, seen, h].double() @ q_BQHD[b, i, h].double() * scale).softmax(0)
                out[b, i, h] = p @ v_BTHV[b, seen, h].double()
    return out


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(("chunk", "tile"), [(module.CHUNK, module.TILE), (4, 60)])  # the second in many tiles
def test_rows_that_begin_at_different_places(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, limit: float, chunk: int, tile: int
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "TILE", tile)
    q, k, v = (_randn(3, n, 5, w, seed=w).to(dtype) for n, w in ((11, 12), (31, 12), (31, 8)))
    starts = [20, 0, 7]
    exact = _exact(q, k, v, 0.3, starts)
    for form in (prefill_attention, prefill_attention_reference):
        found = form(q, k, v, 0.3, torch.tensor(starts))
        assert float((found.double() - exact).norm() / exact.norm()) < limit


def test_what_stands_beyond_a_row_is_not_read() -> None:
    q, k, v = _randn(2, 6, 3, 8), _randn(2, 20, 3, 8, seed=1), _randn(2, 20, 3, 4, seed=2)
    before = prefill_attention(q, k, v, 0.3, torch.tensor([14, 2]))
    k[1, 8:], v[1, 8:] = float("nan"), float("nan")
    assert torch.equal(prefill_attention(q, k, v, 0.3, torch.tensor([14, 2])), before)


def test_a_short_row_filled_up_beyond_the_cache() -> None:
    q, k, v = _randn(1, 6, 3, 8), _randn(1, 10, 3, 8, seed=1), _randn(1, 10, 3, 4, seed=2)
    found = prefill_attention(q, k, v, 0.3, torch.tensor([8]))
    torch.testing.assert_close(found[:, :2], prefill_attention(q[:, :2], k, v, 0.3, torch.tensor([8])))
