"""Attention with the largest logit of each head against the definition in float64, forward and backward."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, flex_attention

from kernels.attention import attention_max_logit, attention_reference, flex_block_mask

torch.set_num_threads(1)
kernel = importlib.import_module("kernels.attention")
SHAPES = [(1, 1, 1, 8, 4), (2, 3, 37, 24, 16), (1, 2, 256, 48, 32), (2, 2, 300, 24, 16), (1, 2, 530, 24, 40)]


def _inputs(shape: tuple[int, int, int, int, int], dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    b, h, length, d, v = shape
    g = torch.Generator().manual_seed(seed)
    return [(2 * torch.randn(b, h, length, width, generator=g)).to(dtype).requires_grad_() for width in (d, d, v)]


def _segments(shape: tuple[int, int, int, int, int]) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return (torch.rand(shape[0], shape[2], generator=g) < 0.05).cumsum(-1)


def _both(inputs: list[Tensor], segments: Tensor | None) -> tuple[Any, Any]:
    """(output, maximum, gradients) of ours and, in float64, of the definition."""
    scale = inputs[0].shape[-1] ** -0.5
    wide = [x.detach().double().requires_grad_() for x in inputs]
    grad = torch.randn(inputs[2].shape, generator=torch.Generator().manual_seed(2))
    found = []
    for function, given in ((attention_max_logit, inputs), (attention_reference, wide)):
        out_BHLV, max_H = function(*given, scale, segments)
        found.append((out_BHLV, max_H, torch.autograd.grad(out_BHLV, given, grad.to(out_BHLV.dtype))))
    return found[0], found[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [False, True], ids=["causal", "segments"])
def test_float32_equals_the_definition(shape: tuple[int, int, int, int, int], packed: bool) -> None:
    (out, top, grads), (out64, top64, grads64) = _both(
        _inputs(shape, torch.float32), _segments(shape) if packed else None
    )
    torch.testing.assert_close(out.double(), out64, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(top.double(), top64, rtol=1e-6, atol=1e-5)
    for ours, exact in zip(grads, grads64, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=2e-5)


def test_a_segment_in_several_pieces_is_one() -> None:
    shape = (2, 2, 530, 24, 16)
    segments = torch.randint(0, 3, (2, 530), generator=torch.Generator().manual_seed(3))
    segments[1] = segments[1].sort().values  # of one row alone
    (out, top, grads), (out64, top64, grads64) = _both(_inputs(shape, torch.float32), segments)
    torch.testing.assert_close(out.double(), out64, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(top.double(), top64, rtol=1e-6, atol=1e-5)
    for ours, exact in zip(grads, grads64, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=2e-5)


def test_branches_see_their_shared_prefix_and_not_each_other() -> None:
    q, k, v = _inputs((1, 2, 300, 24, 16), torch.float32)
    trunk, branch = 260, 20  # the second branch begins in another chunk
    own = torch.tensor([0] * trunk + [1] * branch + [2] * branch)
    segments = torch.stack((own, torch.zeros_like(own)), -1)[None]
    (out, top, grads), (out64, top64, grads64) = _both([q, k, v], segments)
    torch.testing.assert_close(out.double(), out64, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(top.double(), top64, rtol=1e-6, atol=1e-5)
    for ours, exact in zip(grads, grads64, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=2e-5)
    for first in (trunk, trunk + branch):
        alone = [torch.cat((x[:, :, :trunk], x[:, :, first : first + branch]), 2) for x in (q, k, v)]
        wanted, _ = attention_max_logit(*alone, 24**-0.5)
        torch.testing.assert_close(out[:, :, first : first + branch], wanted[:, :, trunk:], rtol=1e-5, atol=1e-5)
    mask = flex_block_mask(1, 300, torch.device("cpu"), segments)
    dense = mask.mask_mod(torch.tensor(0), torch.tensor(0), torch.arange(300)[:, None], torch.arange(300))
    assert dense[270, 259] and not dense[290, 270] and not dense[100, 270] and not dense[270, 290]


def test_bfloat16_is_as_close_as_its_rounding() -> None:
    shape = (1, 2, 300, 48, 32)
    (out, top, grads), (out64, top64, grads64) = _both(_inputs(shape, torch.bfloat16), None)
    assert (out.double() - out64).norm() < 0.02 * out64.norm()
    assert ((top.double() - top64).abs() < 1e-2 * top64.abs()).all()
    for ours, exact in zip(grads, grads64, strict=True):
        assert (ours.double() - exact).norm() < 0.02 * exact.norm()


def test_tiles_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (3, 4, 90, 16, 8)
    for segments in (None, _segments(shape)):
        whole = _both(_inputs(shape, torch.float64), segments)
        monkeypatch.setattr(kernel, "CHUNK", 32)
        monkeypatch.setattr(kernel, "TILE", 32 * 64 * 5)  # groups that cut across the batch
        (out, _, grads), (out64, _, grads64) = _both(_inputs(shape, torch.float64), segments)
        torch.testing.assert_close(out, whole[0][0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(out, out64, rtol=1e-6, atol=1e-6)
        for ours, exact in zip(grads, grads64, strict=True):
            torch.testing.assert_close(ours, exact, rtol=1e-5, atol=1e-5)
        monkeypatch.undo()


def test_the_maximum_is_of_what_a_query_sees() -> None:
    """The largest product of all lies above the diagonal and must not count."""
    q, k, v = (torch.full((1, 1, 4, 2), 1.0) for _ in range(3))
    q[0, 0, 0] = 100.0
    k[0, 0, 3] = 100.0
    _, max_H = attention_max_logit(q, k, v, 0.5)
    assert max_H.tolist() == [100.0]
    _, max_H = attention_max_logit(-q, k, v, 0.5)
    assert max_H.tolist() == [-1.0]
    segments = torch.tensor([[0, 1, 1, 1]])
    q[0, 0, 3] = 1.0
    _, max_H = attention_max_logit(q, k, v, 0.5, segments)
    assert max_H.tolist() == [100.0]


def test_strided_inputs_and_no_gradient_to_the_maximum() -> None:
    q, k, v = (
        x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
        for x in _inputs(SHAPES[1], torch.float32)
    )
    out, max_H = attention_max_logit(q, k, v, 0.3)
    assert not max_H.requires_grad
    out64, _ = attention_reference(q.double(), k.double(), v.double(), 0.3)
    torch.testing.assert_close(out.double(), out64, rtol=1e-5, atol=1e-5)


def test_flop_counts_and_checkpointing_see_an_ordinary_function() -> None:
    inputs = _inputs(SHAPES[1], torch.float32)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attention_max_logit(q, k, v, 0.3)[0]

    plain = torch.autograd.grad(run(*inputs).sum(), inputs)
    again = torch.autograd.grad(torch.utils.checkpoint.checkpoint(run, *inputs, use_reentrant=False).sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


@pytest.mark.parametrize("packed", [False, True], ids=["causal", "segments"])
def test_the_mask_of_the_gpu_path_is_the_same_mask(packed: bool) -> None:
    """FlexAttention in eager mode on the CPU, where it has no maximum and no backward: mask and scale only."""
    shape = (2, 2, 200, 16, 8)
    q, k, v = (x.detach() for x in _inputs(shape, torch.float32))
    segments = _segments(shape) if packed else None
    mask = flex_block_mask(2, 200, q.device, segments)
    out = flex_attention(q, k, v, block_mask=mask, scale=0.3)
    out64, _ = attention_reference(q.double(), k.double(), v.double(), 0.3, segments)
    torch.testing.assert_close(out.double(), out64, rtol=1e-4, atol=1e-5)
    with pytest.raises(NotImplementedError):
        flex_attention(q, k, v, block_mask=mask, return_aux=AuxRequest(max_scores=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("packed", [False, True], ids=["causal", "segments"])
def test_gpu_equals_the_definition(packed: bool) -> None:
    shape = (2, 4, 300, 192, 128)
    inputs = [x.detach().cuda().requires_grad_() for x in _inputs(shape, torch.float32)]
    segments = _segments(shape).cuda() if packed else None
    wide = [x.detach().double().requires_grad_() for x in inputs]
    out, top = attention_max_logit(*inputs, 0.07, segments)
    out64, top64 = attention_reference(*wide, 0.07, segments)
    torch.testing.assert_close(out.double(), out64, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(top.double(), top64, rtol=1e-2, atol=1e-2)
    grads = zip(torch.autograd.grad(out.sum(), inputs), torch.autograd.grad(out64.sum(), wide), strict=True)
    for ours, exact in grads:
        assert (ours.double() - exact).norm() < 0.02 * exact.norm()
