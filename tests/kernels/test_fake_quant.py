"""The quantization rule against a second one written from its definition, one number at a time."""

import numpy as np
import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.fake_quant import dequantize, fake_quant, fake_quant_reference, pack_quantize, quantize
from kernels.int4.words import unpack
from tests.kernels.levels import LEVELS, force

torch.set_num_threads(1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    force(request.param, monkeypatch)
    return str(request.param)


def _weights(dtype: torch.dtype, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.exp2(torch.randint(-20, 20, shape[:-1], generator=generator).float())
    return (torch.randn(*shape, generator=generator) * spread[..., None]).to(dtype)


def _bf16(x: float) -> float:
    bits = int(np.float32(x).view(np.uint32))
    bits += 0x7FFF + (bits >> 16 & 1)
    return float(np.uint32(bits & 0xFFFF0000).view(np.float32))


def _one_group(values: list[float]) -> tuple[list[int], float]:
    rounded = [_bf16(v) for v in values]
    scale = _bf16(float(max(np.float32(abs(v)) for v in rounded) / np.float32(7)))
    scale = max(scale, 2.0**-100)
    codes = [int(np.clip(np.rint(np.float32(v) / np.float32(scale)), -7, 7)) for v in rounded]
    return codes, scale


@DTYPES
def test_the_rule_one_number_at_a_time(dtype: torch.dtype) -> None:
    w_NK = _weights(dtype, 40, 64)
    codes_NK, scale_NG = quantize(w_NK)
    for n in range(40):
        for g in range(2):
            codes, scale = _one_group(w_NK[n, 32 * g : 32 * g + 32].tolist())
            assert codes_NK[n, 32 * g : 32 * g + 32].tolist() == codes
            assert float(scale_NG[n, g]) == scale


@DTYPES
def test_twice_is_once(dtype: torch.dtype) -> None:
    w_NK = _weights(dtype, 4096, 256)
    codes, scale = quantize(w_NK)
    assert codes.min() == -7
    assert codes.max() == 7
    again = quantize(dequantize(codes, scale).to(dtype))
    assert torch.equal(again[0], codes)
    assert torch.equal(again[1], scale)


def test_twice_is_once_for_every_largest_value_of_bfloat16() -> None:
    largest_M = torch.cat([torch.arange(128, 256) * 2.0**e for e in (-40, -1, 0, 1, 2, 30)])
    w_MK = largest_M[:, None] * torch.linspace(-1, 1, 32)
    once_MK = fake_quant(w_MK)
    assert torch.equal(fake_quant(once_MK), once_MK)
    # Without rounding the weights first, some scales would not survive the bfloat16 of a checkpoint.
    s_M = torch.arange(128, 256).float()
    assert int(((7 * s_M).bfloat16().float() / 7 != s_M).sum()) > 0
    assert int((((7 * s_M).bfloat16().float() / 7).bfloat16().float() != s_M).sum()) == 14


@DTYPES
def test_the_training_forward_is_what_a_checkpoint_holds(dtype: torch.dtype) -> None:
    w_ENK = _weights(dtype, 3, 48, 96)
    codes, scale = quantize(w_ENK)
    assert torch.equal(fake_quant(w_ENK), dequantize(codes, scale).to(dtype))
    assert torch.equal(fake_quant_reference(w_ENK), dequantize(codes, scale).to(dtype))


@DTYPES
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_one_pass_gives_the_same_bits(level: str, dtype: torch.dtype, offset: int) -> None:
    """Also when the memory isn't aligned, and for ties of the rounding."""
    w_NK = _weights(dtype, 4096 + offset, 256).flatten()[32 * offset :].view(-1, 32)
    ties_NK = torch.arange(1, 257)[:, None] * torch.arange(-15.5, 16.5)[None] / 2
    w_NK = torch.cat([w_NK, ties_NK.to(dtype), torch.zeros(3, 32, dtype=dtype)])
    shifted_NK = torch.empty(w_NK.numel() + offset, dtype=dtype)[offset:].view_as(w_NK).copy_(w_NK)
    assert torch.equal(fake_quant(shifted_NK), fake_quant_reference(w_NK))
    words, scale = pack_quantize(shifted_NK)
    codes, expected = quantize(w_NK)
    assert torch.equal(scale, expected)
    assert torch.equal(words, pack_to_int32(codes, 4))
    assert torch.equal(dequantize(unpack(words), scale).to(dtype), fake_quant(shifted_NK))


def test_every_bfloat16_against_every_scale_mantissa(level: str) -> None:
    """Each quotient of a weight and a scale that 8-bit mantissas can form, so each tie of the rounding."""
    largest_M = torch.arange(128, 256).float()
    w_V = torch.arange(0, 256).float()
    w_MVX = torch.zeros(128, 3, 9, 32)
    for shift in range(3):
        for part in range(9):
            chunk = w_V[part * 31 : part * 31 + 31] / 2**shift
            w_MVX[:, shift, part, : len(chunk)] = chunk
            w_MVX[:, shift, part, 31] = largest_M
    w_NK = w_MVX.view(-1, 32).bfloat16()
    assert torch.equal(fake_quant(w_NK), fake_quant_reference(w_NK))
    assert torch.equal(fake_quant(w_NK.float()), fake_quant_reference(w_NK.float()))


def test_the_gradient_passes_straight_through() -> None:
    w_NK = _weights(torch.bfloat16, 4, 64).requires_grad_()
    up_NK = torch.randn(4, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    fake_quant(w_NK).backward(up_NK)
    assert w_NK.grad is not None
    assert torch.equal(w_NK.grad, up_NK)


def test_extremes() -> None:
    w_NK = torch.zeros(5, 32)
    w_NK[1, 3] = 1e-42  # a denormal
    w_NK[2, 5] = 3.3e38
    w_NK[3, 7] = float("nan")
    w_NK[4, 9] = float("inf")
    out_NK = fake_quant(w_NK)
    assert torch.equal(out_NK[:2], torch.zeros(2, 32))
    assert float(out_NK[2, 5]) == pytest.approx(3.3e38, rel=4e-3)
    assert bool(out_NK[3].isnan().all())
    assert bool(out_NK[4].isnan().all())


@pytest.mark.parametrize("width", [1, 33, 48])
def test_a_width_that_groups_do_not_divide(width: int) -> None:
    for function in (fake_quant, quantize):
        with pytest.raises(ValueError, match=f"width of {width} is not divisible into groups of 32"):
            function(torch.zeros(2, width))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=32, max_size=32))
def test_the_error_is_at_most_half_a_step(values: list[float]) -> None:
    w_K = torch.tensor([values])
    _, scale = quantize(w_K)
    error = float((fake_quant(w_K).double() - w_K.double()).abs().max())
    # w, s and q·s are rounded to bfloat16, each by up to 2⁻⁹ of at most 7 steps.
    assert error <= float(scale.double()) * (0.5 + 3 * 7 * 2**-9) * (1 + 2**-8)
