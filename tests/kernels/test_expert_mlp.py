"""The experts' training pass against its definition in float64, gradients included."""

import pytest
import torch

from k2model.config import K2Config
from k2model.moe import Experts
from kernels.expert_mlp import LEAST_ROWS, expert_mlp, expert_mlp_reference

E, C, I, T, K = 5, 24, 16, 40, 3


def _inputs(dtype: torch.dtype, idle: int | None) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Float inputs, token_S, load_E; nobody chose the expert `idle`."""
    generator = torch.Generator().manual_seed(0)
    score_TE = torch.rand(T, E, generator=generator)
    if idle is not None:
        score_TE[:, idle] = -1
    expert_S = score_TE.topk(K).indices.flatten()
    order_S = expert_S.argsort(stable=True)
    shapes = ((T, C), (T * K,), (E, I, C), (E, I, C), (E, C, I))
    floats = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]
    return floats, order_S // K, torch.bincount(expert_S, minlength=E)


@pytest.mark.parametrize("idle", [None, 0, 2, E - 1])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_output_and_every_gradient(dtype: torch.dtype, limit: float, idle: int | None) -> None:
    floats, token_S, load_E = _inputs(dtype, idle)
    ours = [one.clone().requires_grad_() for one in floats]
    exact = [one.double().requires_grad_() for one in floats]
    got_TC, want_TC = expert_mlp(*ours, token_S, load_E), expert_mlp_reference(*exact, token_S, load_E)
    upstream_TC = torch.randn(T, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    got_TC.backward(upstream_TC)
    want_TC.backward(upstream_TC.double())
    pairs = [(got_TC, want_TC), *((a.grad, b.grad) for a, b in zip(ours, exact, strict=True))]
    for got, want in pairs:
        assert got is not None and want is not None and got.dtype == dtype
        assert float((got.detach().double() - want.detach()).norm()) <= limit * float(want.detach().norm())
    if idle is not None:
        assert not any(w.grad[idle].any() for w in ours[2:] if w.grad is not None)


def test_frozen_weights_get_no_gradient_and_the_input_the_same() -> None:
    floats, token_S, load_E = _inputs(torch.float64, None)
    grads = []
    for frozen in (False, True):
        ours = [one.clone().requires_grad_(not frozen or k < 2) for k, one in enumerate(floats)]
        expert_mlp(*ours, token_S, load_E).sum().backward()
        grads.append([one.grad for one in ours])
    for got, want in zip(grads[1][:2], grads[0][:2], strict=True):
        assert got is not None and want is not None and torch.equal(got, want)
    assert grads[1][2:] == [None, None, None]


def test_the_upstream_gradient_is_kept() -> None:
    floats, token_S, load_E = _inputs(torch.float32, None)
    upstream_TC = torch.ones(T, C)
    expert_mlp(*(one.requires_grad_() for one in floats), token_S, load_E).backward(upstream_TC)
    assert torch.equal(upstream_TC, torch.ones(T, C))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_without_gradients_weights_are_converted_as_they_are_used(stored: torch.dtype) -> None:
    floats, token_S, load_E = _inputs(torch.float32, 2)
    floats[2:] = [weight.to(stored) for weight in floats[2:]]
    with torch.no_grad():
        got_TC = expert_mlp(*floats, token_S, load_E)
    want_TC = expert_mlp_reference(*(one.double() for one in floats), token_S, load_E)
    assert got_TC.dtype == torch.float32
    assert float((got_TC.double() - want_TC).norm()) <= 1e-5 * float(want_TC.norm())
    if stored == torch.float32:
        assert torch.equal(got_TC, expert_mlp(*(one.requires_grad_() for one in floats), token_S, load_E))


def test_a_layer_of_bfloat16_weights_reads_many_rows_in_float32() -> None:
    config = K2Config.preset("smoke", n_routed_experts=4, num_experts_per_tok=2)
    experts = Experts(config).requires_grad_(False)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.05)
        weight.data = weight.bfloat16()
    tokens = LEAST_ROWS * config.n_routed_experts // config.num_experts_per_tok
    generator = torch.Generator().manual_seed(0)
    x_TC = torch.randn(tokens, config.hidden_size, generator=generator)
    expert_TK = torch.rand(tokens, 4, generator=generator).topk(2).indices
    weight_TK = torch.rand(tokens, 2, generator=generator)
    got_TC = experts(x_TC, expert_TK, weight_TK)
    want_TC = experts.double()(x_TC.double(), expert_TK, weight_TK)
    assert got_TC.dtype == torch.float32
    assert float((got_TC.double() - want_TC).norm()) <= 1e-5 * float(want_TC.norm())


def test_a_layer_gives_the_same_with_many_rows_as_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    config = K2Config.preset("smoke", n_routed_experts=4, num_experts_per_tok=2)
    experts = Experts(config)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.05)
    tokens = LEAST_ROWS * config.n_routed_experts // config.num_experts_per_tok
    x_TC = torch.randn(tokens, config.hidden_size, requires_grad=True)
    expert_TK = torch.rand(tokens, 4).topk(2).indices
    weight_TK = torch.rand(tokens, 2, requires_grad=True)
    found = []
    for least in (LEAST_ROWS, LEAST_ROWS + 1):  # the second takes the grouped products
        monkeypatch.setattr("k2model.moe.LEAST_ROWS", least)
        leaves = [x_TC, weight_TK, *experts.parameters()]
        out_TC = experts(x_TC, expert_TK, weight_TK)
        found.append([out_TC.detach(), *torch.autograd.grad(out_TC.square().sum(), leaves)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
