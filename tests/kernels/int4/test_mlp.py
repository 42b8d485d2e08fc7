"""The C++ kernels against dequantize-and-multiply in float64, on every instruction set this machine has."""

import pytest
import torch
import torch.nn.functional as F
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from torch import Tensor

from kernels.fake_quant import dequantize, quantize
from kernels.int4 import native
from kernels.int4.mlp import Bf16Weight, Int4Weight, Precision, expert_mlp, expert_mlp_reference, linear
from kernels.int4.words import deinterleave, interleave, pack, unpack, uses_lowest_code
from tests.kernels.levels import LEVELS, force, form

torch.set_num_threads(2)  # more than one, so that the split between threads is part of the test


@pytest.fixture(params=LEVELS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    force(request.param, monkeypatch)
    assert native.isa() == form(request.param)
    return native.isa()


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _int4(e: int, n: int, k: int, seed: int = 0) -> tuple[Int4Weight, Tensor]:
    """(weight, its exact values q·s in float64); all sixteen codes occur."""
    codes, scale = quantize(_randn(e, n, k, seed=seed))
    codes[:, ::3, ::5] = -8
    exact = codes.unflatten(-1, (-1, 32)).double() * scale[..., None].double()
    return Int4Weight.from_rows(pack_to_int32(codes, 4), scale), exact.flatten(-2)


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def test_words_are_unpacked_like_compressed_tensors_packs_them() -> None:
    codes = torch.arange(-8, 8, dtype=torch.int8).repeat(4, 6)
    words = pack_to_int32(codes, 4)
    assert torch.equal(unpack(words), codes)
    assert torch.equal(pack(codes), words)
    assert uses_lowest_code(words)
    assert not uses_lowest_code(pack_to_int32(codes.clamp_min(-7), 4))


def test_the_order_in_memory_is_a_permutation() -> None:
    rows_NX = torch.arange(48 * 5).view(48, 5)
    blocks = interleave(rows_NX)
    assert blocks.shape == (3, 5, 16)
    assert int(blocks[1, 2, 3]) == int(rows_NX[16 + 3, 2])
    assert torch.equal(deinterleave(blocks), rows_NX)
    assert blocks.numel() == rows_NX.numel()


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 15, 64, 67, 130])
@pytest.mark.parametrize(("n", "k"), [(16, 32), (48, 96), (80, 256)])
def test_w4a16_is_exact(isa: str, tokens: int, n: int, k: int) -> None:
    weight, exact_ENK = _int4(1, n, k)
    x_TK = _randn(tokens, k, seed=1).bfloat16()
    y_TN = linear(x_TK, weight)
    assert y_TN.dtype == torch.float32
    # What float32 sums lose; dequantizing to bfloat16 first, as the torch form does, loses 2⁻⁹ of each weight.
    limit = 3e-3 if isa == "torch" else 5e-7
    assert _error(y_TN, x_TK.double() @ exact_ENK[0].T) < limit


@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 70])
def test_w4a8_is_what_8_bit_activations_give(isa: str, tokens: int) -> None:
    if isa == "torch":
        pytest.skip("the torch form keeps 16-bit activations")
    weight, exact_ENK = _int4(1, 80, 256)
    x_TK = _randn(tokens, 256, seed=1).bfloat16()
    groups = x_TK.float().unflatten(-1, (-1, 32))
    largest = groups.abs().amax(-1, keepdim=True)
    rounded_TK = ((groups * (torch.tensor(127.0) / largest)).round() * (largest / 127)).flatten(-2)
    y_TN = linear(x_TK, weight, "w4a8")
    assert _error(y_TN, rounded_TK.double() @ exact_ENK[0].T) < 5e-7
    assert 1e-3 < _error(y_TN, x_TK.double() @ exact_ENK[0].T) < 1e-2


@pytest.mark.parametrize("tokens", [1, 6, 65])
def test_bf16_weights_take_the_same_path(isa: str, tokens: int) -> None:
    w_ENK = _randn(2, 48, 96).bfloat16()
    weight = Bf16Weight.from_rows(w_ENK)
    assert weight.shape == (2, 48, 96)
    assert torch.equal(weight.expert(1, torch.bfloat16), w_ENK[1])
    x_TK = _randn(tokens, 96, seed=1).bfloat16()
    assert _error(linear(x_TK, weight, expert=1), x_TK.double() @ w_ENK[1].double().T) < 5e-7


def _exact_mlp(x: Tensor, expert: Tensor, weight: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    out = torch.zeros(x.shape, dtype=torch.float64)
    for t in range(x.shape[0]):
        for k in range(expert.shape[1]):
            e = int(expert[t, k])
            row = x[t].double()
            inner = F.silu(gate[e] @ row) * (up[e] @ row)
            out[t] += weight[t, k].double() * (down[e] @ inner)
    return out


def _routing(tokens: int, experts: int, top_k: int, seed: int) -> tuple[Tensor, Tensor]:
    expert_TK = _randn(tokens, experts, seed=seed).topk(top_k, dim=-1).indices
    return expert_TK, _randn(tokens, top_k, seed=seed + 1).sigmoid()


@pytest.mark.parametrize("tokens", [1, 3, 40, 300])
@pytest.mark.parametrize(("precision", "limit"), [("w4a16", 4e-3), ("w4a8", 3e-2)])
def test_the_experts_of_a_layer(isa: str, tokens: int, precision: Precision, limit: float) -> None:
    width, inner, experts, top_k = 96, 64, 9, 3
    (gate, gate_x), (up, up_x) = _int4(experts, inner, width, 1), _int4(experts, inner, width, 2)
    down, down_x = _int4(experts, width, inner, 3)
    x_TC = (_randn(tokens, width, seed=4) * 0.2).bfloat16()
    expert_TK, weight_TK = _routing(tokens, experts, top_k, 5)
    found_TC = expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down, precision)
    assert found_TC.dtype == torch.bfloat16
    exact_TC = _exact_mlp(x_TC, expert_TK, weight_TK, gate_x, up_x, down_x)
    assert _error(found_TC, exact_TC) < (1e-2 if isa == "torch" else limit)


def test_the_result_does_not_depend_on_threads_or_neighbours(isa: str) -> None:
    """A token's output is the same bits alone, in a batch, with one thread and with two."""
    gate, up, down = _int4(8, 64, 128, 1)[0], _int4(8, 64, 128, 2)[0], _int4(8, 128, 64, 3)[0]
    x_TC = _randn(70, 128, seed=4).bfloat16()
    expert_TK, weight_TK = _routing(70, 8, 2, 5)
    both = expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down)
    torch.set_num_threads(1)
    one = expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down)
    torch.set_num_threads(2)
    assert torch.equal(both, one)


def test_all_tokens_may_choose_one_expert_and_none_another(isa: str) -> None:
    gate, up, down = _int4(4, 32, 32, 1)[0], _int4(4, 32, 32, 2)[0], _int4(4, 32, 32, 3)[0]
    x_TC = _randn(9, 32, seed=4).bfloat16()
    expert_TK, weight_TK = torch.full((9, 1), 2), torch.ones(9, 1)
    found = expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down)
    expected = expert_mlp_reference(x_TC, expert_TK, weight_TK, gate, up, down)
    assert _error(found, expected.double()) < 1e-2
    assert expert_mlp(x_TC[:0], expert_TK[:0], weight_TK[:0], gate, up, down).shape == (0, 32)


def test_widths_that_do_not_fit_are_refused() -> None:
    weight = _int4(1, 32, 64)[0]
    with pytest.raises(ValueError, match=r"linear: x is \(1, 32\), the weight \[32, 64\]"):
        linear(torch.zeros(1, 32), weight)
    with pytest.raises(ValueError, match="expert_mlp: x"):
        expert_mlp(torch.zeros(1, 64), torch.zeros(1, 1), torch.ones(1, 1), weight, weight, weight)


def test_dequantized_experts_are_the_fake_quantized_ones() -> None:
    w_ENK = _randn(2, 32, 64).bfloat16()
    codes, scale = quantize(w_ENK)
    weight = Int4Weight.from_rows(pack_to_int32(codes, 4), scale)
    assert torch.equal(weight.expert(1, torch.bfloat16), dequantize(codes, scale)[1])
