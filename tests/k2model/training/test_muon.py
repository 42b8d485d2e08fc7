"""K2's rule for matrices against float64, written from the paper's equations; who follows which rule."""

import math

import pytest
import torch

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.model import K2Model
from k2model.training.muon import muon_update, parameter_groups, rule_of
from k2model.training.options import Rates
from kernels.newton_schulz import newton_schulz_reference

CONSTANTS = {"momentum": 0.95, "weight_decay": 0.1, "betas": (0.9, 0.95), "eps": 1e-8}


@pytest.mark.parametrize("shape", [(48, 16), (16, 32), (16, 16), (4, 24, 16)])
def test_updates_equal_the_float64_reference(shape):
    momentum, want_momentum = torch.zeros(shape), torch.zeros(shape, dtype=torch.float64)
    for step in range(3):
        grad = torch.randn(shape, generator=torch.Generator().manual_seed(step))
        want_momentum = 0.95 * want_momentum + grad.double()
        moved = grad.double() + 0.95 * want_momentum
        matrices = moved if moved.ndim == 3 else moved[None]
        want = torch.stack([newton_schulz_reference(m) * 0.2 * math.sqrt(max(m.shape)) for m in matrices]).view(shape)
        got = muon_update(grad.clone(), momentum, 0.95, ns_method="gram", is_expert_group=len(shape) == 3)
        assert (got.double() - want).norm() < 1e-4 * want.norm()
        torch.testing.assert_close(momentum.double(), want_momentum, rtol=1e-5, atol=1e-6)


def test_update_rms_is_two_tenths():
    update = muon_update(torch.randn(64, 64), torch.zeros(64, 64))
    assert update.square().mean().sqrt() == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("rank", [24, None])
@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_every_parameter_of_the_model_is_in_exactly_one_group(rank, matrices):
    model = K2Model(K2Config.preset("smoke", q_lora_rank=rank), seed=0)
    groups = parameter_groups(dict(model.named_parameters()), matrices=matrices, rates=Rates(), **CONSTANTS)
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    for name, param in model.named_parameters():
        adamw = matrices == "adamw" or param.ndim == 1 or name.endswith(("embed_tokens.weight", "lm_head.weight"))
        (group,) = [group for group in groups if any(p is param for p in group["params"])]
        assert group["use_muon"] == param.use_muon == (not adamw), name


@pytest.mark.parametrize(
    ("name", "ndim"),
    [
        ("model.layers.0.self_attn.new.weight", 2),
        ("model.layers.0.self_attn.my_q_proj.weight", 2),  # ends like a known name, but is another
        ("model.layers.0.mlp.experts.gate_proj", 2),
        ("model.layers.0.self_attn.o_proj.weight", 3),
        ("conv.weight", 4),
    ],
)
def test_an_unexpected_matrix_is_an_error(name, ndim):
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        rule_of(name, ndim)
