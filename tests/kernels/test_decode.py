"""The small steps and the attention of decoding against their definition in float64, on every instruction set."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.decode import choose_experts, choose_experts_reference, rms_norm, rms_norm_reference
from kernels.decode_attention import LatentWeights, decode_attention, decode_attention_reference
from kernels.int4 import native
from tests.kernels.levels import LEVELS, force, form

torch.set_num_threads(2)  # more than one, so that the split between threads is part of the test
FLOATS = pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.bfloat16, 7e-3)])


@pytest.fixture(autouse=True, params=LEVELS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    force(request.param, monkeypatch)
    assert native.isa() == form(request.param)
    return native.isa()


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


@FLOATS
@pytest.mark.parametrize("width", [1, 33, 128, 1000])
def test_rms_norm(dtype: torch.dtype, limit: float, width: int) -> None:
    x, gain_C = _randn(3, 2, width).to(dtype), _randn(width, seed=1).to(dtype)
    wide = x.double()
    exact = gain_C.double() * wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    assert _error(rms_norm(x, gain_C, 1e-6), exact) < limit
    assert _error(rms_norm(x.transpose(0, 1), gain_C, 1e-6), exact.transpose(0, 1)) < limit
    assert _error(rms_norm_reference(x, gain_C, 1e-6), exact) < limit


def test_rms_norm_of_another_width() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"):
        rms_norm(_randn(2, 8), _randn(16), 1e-6)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_choice_of_experts(normalise: bool) -> None:
    logits_TE, bias_E = _randn(50, 64), 0.3 * _randn(64, seed=1)
    expert_TK, weight_TK = choose_experts(logits_TE, bias_E, 6, normalise, 2.5)
    score_TE = logits_TE.double().sigmoid()
    assert torch.equal(expert_TK, (score_TE + bias_E).argsort(-1, descending=True)[:, :6])
    exact_TK = score_TE.gather(1, expert_TK)
    if normalise:
        exact_TK = exact_TK / exact_TK.sum(-1, keepdim=True)
    assert _error(weight_TK, 2.5 * exact_TK) < 1e-6
    again_TK, _ = choose_experts_reference(logits_TE, bias_E, 6, normalise, 2.5)
    assert torch.equal(expert_TK, again_TK)


# Laptop's and Moonlight's shapes (with fewer heads), and widths that divide by nothing.
SHAPES = pytest.mark.parametrize(
    ("heads", "nope", "rope", "latent", "value"), [(4, 32, 16, 64, 32), (2, 128, 64, 512, 128), (3, 5, 2, 7, 3)]
)


def _step(dtype: torch.dtype, heads: int, nope: int, rope: int, latent: int, value: int) -> list[Any]:
    """Arguments of five rows at different positions in a cache of seven slots of 40 positions."""
    kv_b_HYK = 0.1 * _randn(heads, nope + value, latent, seed=1)
    norm_K = 1 + 0.1 * _randn(latent, seed=2)
    weights = LatentWeights(norm_K.to(dtype), 1e-6, kv_b_HYK.to(dtype), nope, (nope + rope) ** -0.5)
    angle_BP = _randn(5, rope // 2, seed=3)
    q_BHD, kv_BX = _randn(5, heads, nope + rope, seed=4), _randn(5, latent + rope, seed=5)
    cache_STX = _randn(7, 40, latent + rope, seed=6).to(dtype)
    slots, positions = torch.tensor([6, 0, 2, 5, 1]), torch.tensor([0, 39, 3, 17, 8])
    return [q_BHD.to(dtype), kv_BX.to(dtype), weights, angle_BP.cos(), angle_BP.sin(), cache_STX, slots, positions]


def _double(arguments: list[Any]) -> list[Any]:
    w = arguments[2]
    exact = [x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in arguments]
    exact[2] = LatentWeights(w.norm_K.double(), w.eps, w.kv_b_HYK.double(), w.nope, w.scale)
    return exact


@FLOATS
@SHAPES
def test_attention(dtype: torch.dtype, limit: float, heads: int, nope: int, rope: int, latent: int, value: int) -> None:
    arguments = _step(dtype, heads, nope, rope, latent, value)
    exact = _double(arguments)
    before_STX = arguments[5].clone()
    found_BHV, exact_BHV = decode_attention(*arguments), decode_attention_reference(*exact)
    assert _error(found_BHV, exact_BHV) < limit
    slot_B, position_B = arguments[6:]
    assert _error(arguments[5][slot_B, position_B], exact[5][slot_B, position_B]) < limit
    arguments[5][slot_B, position_B] = before_STX[slot_B, position_B]
    assert torch.equal(arguments[5], before_STX)  # nothing else was written


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_does_not_depend_on_its_neighbours(isa: str, dtype: torch.dtype) -> None:
    if isa == "torch":
        pytest.skip("torch's batched products add up in an order that depends on the batch")
    arguments = _step(dtype, 4, 32, 16, 64, 32)
    together_BHV = decode_attention(*arguments)
    for row in range(5):
        q, kv, weights, cos, sin, cache, slot, position = arguments
        one = slice(row, row + 1)
        alone_1HV = decode_attention(q[one], kv[one], weights, cos[one], sin[one], cache, slot[one], position[one])
        assert torch.equal(alone_1HV[0], together_BHV[row])


def test_large_scores_do_not_overflow() -> None:
    arguments = _step(torch.float32, 4, 32, 16, 64, 32)
    arguments[0] *= 1e4
    assert _error(decode_attention(*arguments), decode_attention_reference(*_double(arguments))) < 1e-4


def test_widths_that_do_not_fit() -> None:
    arguments = _step(torch.float32, 4, 32, 16, 64, 32)
    arguments[1] = arguments[1][:, :-1]
    with pytest.raises(ValueError, match=r"queries \(5, 4, 48\), keys \(5, 79\), kv_b \(4, 64, 64\) and cache"):
        decode_attention(*arguments)


@pytest.mark.parametrize(("place", "number"), [(6, 7), (6, -1), (7, 40), (7, -1)])
def test_a_row_outside_the_cache(isa: str, place: int, number: int) -> None:
    if isa == "torch":
        pytest.skip("torch's own indexing answers there")
    arguments = _step(torch.float32, 4, 32, 16, 64, 32)
    arguments[place][2] = number
    before_STX = arguments[5].clone()
    with pytest.raises(ValueError, match=r"outside the cache \(7, 40, 80\)"):
        decode_attention(*arguments)
    assert torch.equal(arguments[5], before_STX)
