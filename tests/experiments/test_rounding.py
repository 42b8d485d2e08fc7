import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.rounding import (
    Grid,
    gptq,
    nearest,
    on_grid,
    round_weights,
    round_with_errors_passed_on,
    rounded_weights,
    scales,
)
from k2model.config import K2Config
from k2model.model import K2Model
from kernels.fake_quant import fake_quant_reference

HARD = Grid(3, 64, True)
SMALL = Grid(3, 32, True)  # the smoke preset has widths of 32


def network() -> K2Model:
    torch.manual_seed(0)
    model = K2Model(K2Config.preset("smoke", vocab_size=128, hidden_size=64, moe_intermediate_size=64))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def test_four_bits_in_groups_of_32_are_k2s_rule() -> None:
    weight = torch.randn(3, 40, 96)
    assert torch.equal(nearest(weight, Grid(4, 32, False)), fake_quant_reference(weight))


def test_three_bits_have_seven_values_in_a_group() -> None:
    weight = torch.randn(5, 128)
    rounded = nearest(weight, HARD)
    for group in rounded.view(5, 2, 64).flatten(0, 1):
        assert 3 <= len(group.unique()) <= 7
    assert torch.equal(nearest(rounded, HARD), rounded)
    with pytest.raises(ValueError, match="96 is not divisible into groups of 64"):
        nearest(torch.randn(2, 96), HARD)


def _inverse_by_hand(w_NK: Tensor, h_KK: Tensor, grid: Grid) -> Tensor:
    """Optimal brain quantization in a fixed order, with the inverse taken anew at every column, in float64."""
    left, out = w_NK.double().clone(), torch.zeros_like(w_NK, dtype=torch.float64)
    h = h_KK.double() + 0.01 * h_KK.double().diagonal().mean() * torch.eye(len(h_KK), dtype=torch.float64)
    for k in range(w_NK.shape[1]):
        if k % grid.group == 0:
            scale = scales(left[:, k : k + grid.group].float(), grid).double()[:, 0]
        inverse = torch.linalg.inv(h[k:, k:])
        out[:, k] = (left[:, k] / scale).round().clamp(-grid.top, grid.top) * scale
        left[:, k:] -= ((left[:, k] - out[:, k]) / inverse[0, 0])[:, None] * inverse[0]
    return out


def test_gptq_is_optimal_brain_quantization_in_order() -> None:
    grid = Grid(3, 16, True)
    torch.manual_seed(1)
    x = torch.randn(200, 48) @ torch.randn(48, 48)
    weight, hessian = torch.randn(6, 48), x.T @ x
    found, wanted = gptq(weight[None], hessian[None], grid)[0], _inverse_by_hand(weight, hessian, grid)
    assert (found.double() - wanted).abs().max() < 0.02  # rounded to bfloat16 at the end
    lost = ((x @ (weight - found).T) ** 2).sum()
    assert lost < 0.7 * ((x @ (weight - nearest(weight, grid)).T) ** 2).sum()


def test_without_correlations_gptq_is_the_nearest_point() -> None:
    weight = torch.randn(2, 8, 64).bfloat16().float()
    assert torch.equal(gptq(weight, torch.eye(64).expand(2, 64, 64), HARD), nearest(weight, HARD))


def test_gptq_of_a_network_keeps_its_outputs_better_than_the_nearest_point() -> None:
    text = torch.randint(0, 128, (4, 96), generator=torch.Generator().manual_seed(0))
    wanted = network()(text).logits_BLV.log_softmax(-1)
    apart = {}
    for name in ("nearest", "gptq"):
        model = network()
        if name == "nearest":
            round_weights(model, SMALL)
        else:
            round_with_errors_passed_on(model, SMALL, lambda model=model: model(text))
        with torch.no_grad():
            given = model(text).logits_BLV.log_softmax(-1)
        apart[name] = float(F.kl_div(given, wanted, reduction="sum", log_target=True))
    assert 0 < apart["gptq"] < apart["nearest"]


def test_weights_come_back_after_a_step_on_the_grid() -> None:
    model = network()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    text = torch.randint(0, 128, (2, 70))
    with on_grid(model, SMALL):
        for name in rounded_weights(model, SMALL):
            assert not torch.equal(model.get_parameter(name), before[name])
        model(text, text).loss.backward()
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert all(weight.grad is not None for weight in rounded_weights(model, SMALL).values())
    assert not any("lm_head" in name or "gate.weight" in name for name in rounded_weights(model, SMALL))
