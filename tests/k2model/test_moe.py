"""Router and experts against loops in float64, the traps of `grouped_mm`, and the load balance by bias."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.config import K2Config
from k2model.moe import Experts, Gate, MoE, update_expert_bias
from kernels.expert_mlp import LEAST_ROWS

torch.set_num_threads(1)


def _config(**changes: int) -> K2Config:
    return K2Config.preset("smoke", **changes)


def _filled(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0, 0.3, generator=g)
    return module


def _loop(experts: Experts, x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
    gate, up, down = experts.gate_proj, experts.up_proj, experts.down_proj
    rows = []
    for t in range(len(x_TC)):
        row = torch.zeros_like(x_TC[t])
        for e, w in zip(expert_TK[t].tolist(), weight_TK[t], strict=True):
            row = row + w * (down[e] @ (F.silu(gate[e] @ x_TC[t]) * (up[e] @ x_TC[t])))
        rows.append(row)
    return torch.stack(rows)


# 64 and 48 are aligned to 16 bytes; 50 and 27 are the widths that grouped_mm refuses.
@pytest.mark.parametrize(("width", "inner"), [(64, 48), (50, 48), (64, 27), (50, 27)])
@pytest.mark.parametrize("tokens", [1, 3, 40])
def test_experts_equal_a_loop_with_gradients(width: int, inner: int, tokens: int) -> None:
    config = _config(hidden_size=width, moe_intermediate_size=inner)
    experts = _filled(Experts(config))
    assert isinstance(experts, Experts)
    g = torch.Generator().manual_seed(1)
    x_TC = torch.randn(tokens, width, generator=g, requires_grad=True)
    # Experts 5 to 7 stay empty.
    expert_TK = torch.stack([torch.randperm(5, generator=g)[:2] for _ in range(tokens)])
    weight_TK = torch.rand(tokens, 2, generator=g).requires_grad_()
    inputs = [x_TC, weight_TK, *experts.parameters()]
    ours, loop = (f(x_TC, expert_TK, weight_TK) for f in (experts, lambda *a: _loop(experts, *a)))
    torch.testing.assert_close(ours, loop, rtol=1e-4, atol=1e-5)
    grads = zip(torch.autograd.grad(ours.sum(), inputs), torch.autograd.grad(loop.sum(), inputs), strict=True)
    for a, b in grads:
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_bfloat16_of_odd_widths_has_no_garbage() -> None:
    config = _config(hidden_size=52, moe_intermediate_size=36)
    experts = _filled(Experts(config)).to(torch.bfloat16)
    x_TC = torch.randn(9, 52).bfloat16()
    expert_TK = torch.zeros(9, 2, dtype=torch.long)
    expert_TK[:, 1] = 7
    out_TC = experts(x_TC, expert_TK, torch.full((9, 2), 0.5))
    wide = _filled(Experts(config)).to(torch.bfloat16).double()
    assert isinstance(wide, Experts)
    torch.testing.assert_close(
        out_TC.double(), _loop(wide, x_TC.double(), expert_TK, torch.full((9, 2), 0.5).double()), rtol=0.05, atol=0.1
    )


def test_the_bias_chooses_and_never_weighs() -> None:
    config = _config()
    gate = _filled(Gate(config))
    assert isinstance(gate, Gate)
    x_TC = torch.randn(30, config.hidden_size)
    score_TE = (x_TC.double() @ gate.weight.double().T).sigmoid()
    gate.e_score_correction_bias[3] = 10.0
    expert_TK, weight_TK = gate(x_TC)
    assert (expert_TK == 3).any(-1).all()
    chosen_TK = score_TE.gather(1, expert_TK)
    expected_TK = chosen_TK / chosen_TK.sum(-1, keepdim=True) * config.routed_scaling_factor
    torch.testing.assert_close(weight_TK.double(), expected_TK, rtol=1e-5, atol=1e-6)


def test_the_router_is_float32_in_a_bfloat16_model() -> None:
    gate = _filled(Gate(_config())).to(torch.bfloat16)
    assert isinstance(gate, Gate)
    x_TC = torch.randn(20, _config().hidden_size).bfloat16()
    _, weight_TK = gate(x_TC)
    assert weight_TK.dtype == torch.float32
    scores = (x_TC.float() @ gate.weight.float().T).sigmoid()
    assert len(scores.unique()) > len(scores.bfloat16().unique())


def test_groups_hide_the_experts_of_the_others() -> None:
    config = _config(n_group=4, topk_group=1)
    gate = _filled(Gate(config))
    expert_TK, _ = gate(torch.randn(50, config.hidden_size))
    assert (expert_TK // 2 == expert_TK[:, :1] // 2).all()


def test_bias_updates_by_hand() -> None:
    load_E = torch.tensor([10.0, 2.0, 4.0, 4.0])  # mean 5
    plain_E, centred_E = torch.zeros(4), torch.zeros(4)
    update_expert_bias(plain_E, load_E, 0.001, centred=False)
    assert plain_E.tolist() == pytest.approx([-0.001, 0.001, 0.001, 0.001])
    update_expert_bias(centred_E, load_E, 0.001, centred=True)
    assert centred_E.tolist() == pytest.approx([-0.0015, 0.0005, 0.0005, 0.0005])
    # Moonlight's form makes the same choice and does not drift.
    assert float(centred_E.sum()) == pytest.approx(0.0, abs=1e-9)
    assert (plain_E - centred_E).tolist() == pytest.approx([0.0005] * 4)
    update_expert_bias(plain_E, torch.full((4,), 3.0), 0.001, centred=False)
    assert plain_E.tolist() == pytest.approx([-0.001, 0.001, 0.001, 0.001])


@pytest.mark.parametrize("centred", [False, True])
def test_the_update_evens_out_a_skewed_load(centred: bool) -> None:
    config = _config()
    gate = _filled(Gate(config))
    assert isinstance(gate, Gate)
    x_TC = torch.randn(400, config.hidden_size) + 1.0

    def spread() -> float:
        load_E = torch.bincount(gate(x_TC)[0].flatten(), minlength=config.n_routed_experts).float()
        update_expert_bias(gate.e_score_correction_bias, load_E, 0.01, centred=centred)
        return float(load_E.max() / load_E.mean())

    spreads = [spread() for _ in range(150)]
    assert spreads[0] > 2.0
    assert sum(spreads[-10:]) / 10 < 1.6


def test_the_shared_expert_is_not_scaled_and_the_load_is_counted() -> None:
    config = _config()
    moe = _filled(MoE(config))
    assert isinstance(moe, MoE)
    x_BLC = torch.randn(2, 7, config.hidden_size)
    out_BLC, load_E = moe(x_BLC)
    assert float(load_E.sum()) == 2 * 7 * config.num_experts_per_tok
    expert_TK, weight_TK = moe.gate(x_BLC.flatten(0, 1))
    routed_TC = _loop(moe.experts, x_BLC.flatten(0, 1), expert_TK, weight_TK)
    assert moe.shared_experts is not None
    torch.testing.assert_close(
        out_BLC.flatten(0, 1), routed_TC + moe.shared_experts(x_BLC.flatten(0, 1)), rtol=1e-4, atol=1e-4
    )


def test_gradients_of_few_rows_are_the_same_bits_with_two_threads() -> None:
    config = K2Config.preset("laptop")
    torch.manual_seed(0)
    experts = Experts(config)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    rows, top_k = 400, config.num_experts_per_tok
    x_TC = torch.randn(rows, config.hidden_size, requires_grad=True)
    expert_TK = torch.rand(rows, config.n_routed_experts).topk(top_k).indices
    assert rows * top_k < LEAST_ROWS * config.n_routed_experts
    weight_TK, gradient_TC = torch.rand(rows, top_k), torch.randn(rows, config.hidden_size)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = [torch.autograd.grad(experts(x_TC, expert_TK, weight_TK), x_TC, gradient_TC)[0] for _ in range(20)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], one) for one in found[1:])
