"""MuonClip against a float64 single-process reference written from the paper's equations."""

import math

import pytest
import torch

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.model import K2Model
from k2model.training.muonclip import MuonClip, kind_of
from k2model.training.sharding import assign_owners, split_units
from kernels.newton_schulz import newton_schulz_reference

LR, DECAY, MU, BETAS, EPS = 0.02, 0.1, 0.95, (0.9, 0.95), 1e-8


def reference(weights, grads_per_step, lr=LR, decay=DECAY):
    """K2 report, Algorithm 1, and AdamW; float64, one matrix at a time."""
    out = {name: w.double().clone() for name, w in weights.items()}
    state = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in out.items()}
    for t, grads in enumerate(grads_per_step, 1):
        for name, w in out.items():
            g, (first, second) = grads[name].double(), state[name]
            if w.ndim == 1 or "embed_tokens" in name or "lm_head" in name:
                first.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
                second.mul_(BETAS[1]).add_(g * g, alpha=1 - BETAS[1])
                step = (first / (1 - BETAS[0] ** t)) / ((second / (1 - BETAS[1] ** t)).sqrt() + EPS)
                w -= lr * (step + decay * w)
                continue
            first.mul_(MU).add_(g)
            nesterov = g + MU * first
            matrices = list(zip(w, nesterov, strict=True)) if w.ndim == 3 else [(w, nesterov)]
            for one, moved in matrices:
                rms = 0.2 * math.sqrt(max(one.shape))
                one -= lr * (newton_schulz_reference(moved) * rms + decay * one)
    return out


def parameters(dtype=torch.float32):
    torch.manual_seed(0)
    shapes = {
        "model.embed_tokens.weight": (40, 16),
        "model.layers.0.self_attn.q_b_proj.weight": (48, 16),
        "model.layers.0.self_attn.o_proj.weight": (16, 32),
        "model.layers.1.mlp.experts.gate_proj": (4, 24, 16),
        "model.layers.1.mlp.gate.weight": (4, 16),
        "model.norm.weight": (16,),
        "lm_head.weight": (40, 16),
    }
    return {name: torch.nn.Parameter((torch.randn(shape) * 0.1).to(dtype)) for name, shape in shapes.items()}


def optimizer(named, **kw):
    return MuonClip(named.items(), lr=LR, weight_decay=DECAY, momentum=MU, betas=BETAS, eps=EPS, **kw)


def run(named, opt, steps=3):
    given = []
    for k in range(steps):
        torch.manual_seed(100 + k)
        grads = {name: torch.randn(p.shape) for name, p in named.items()}
        for name, p in named.items():
            p.grad = grads[name].clone()
        given.append(grads)
        opt.step()
    return given


def test_equals_the_float64_reference():
    named = parameters()
    start = {name: p.detach().clone() for name, p in named.items()}
    grads = run(named, optimizer(named))
    for name, want in reference(start, grads).items():
        moved = (want - start[name].double()).norm()
        assert (named[name].double() - want).norm() < 1e-4 * moved, name
    without_decay = reference(start, grads, decay=0.0)
    assert (named["model.norm.weight"].double() - without_decay["model.norm.weight"]).norm() > 1e-3  # decayed too


def test_update_rms_is_two_tenths():
    named = {"x.o_proj.weight": torch.nn.Parameter(torch.zeros(64, 64))}
    run(named, MuonClip(named.items(), lr=1.0, weight_decay=0.0), steps=1)
    assert named["x.o_proj.weight"].detach().square().mean().sqrt() == pytest.approx(0.2, rel=0.15)


def test_clip_norm_scales_before_the_momentum():
    named, start = parameters(), {n: p.detach().clone() for n, p in parameters().items()}
    grads = run(named, optimizer(named, clip_norm=0.5))
    scaled = []
    for one in grads:
        norm = torch.sqrt(sum(g.double().square().sum() for g in one.values()))
        scaled.append({name: g * min(1.0, 0.5 / (float(norm) + 1e-6)) for name, g in one.items()})
    for name, want in reference(start, scaled).items():
        assert (named[name].double() - want).norm() < 1e-4 * (want - start[name].double()).norm(), name


def test_bfloat16_weights_are_the_rounded_float32_masters():
    named = parameters(torch.bfloat16)
    for p in named.values():
        p.grad_dtype = torch.float32
    start = {name: p.detach().clone() for name, p in named.items()}
    opt = optimizer(named)
    grads = run(named, opt)
    for name, want in reference(start, grads).items():
        assert torch.allclose(named[name].double(), want, rtol=2**-7, atol=1e-4), name
    masters = {u.name: v for k, u, v in opt._pieces() if k == "master" and u.rows and u.lo == 0}
    name = "model.layers.0.self_attn.o_proj.weight"
    assert torch.equal(masters[name].bfloat16(), named[name].data)


def test_rounded_weights_are_the_same_however_they_are_stored():
    def weights(stored: torch.dtype) -> dict[str, torch.Tensor]:
        named = {n: torch.nn.Parameter(p.detach().bfloat16().to(stored)) for n, p in parameters().items()}
        for p in named.values():
            p.grad_dtype = torch.float32
        opt = optimizer(named, rounded_to=torch.bfloat16)
        run(named, opt)
        assert any(kind == "master" for kind, _, _ in opt._pieces())
        return {name: p.detach().float() for name, p in named.items()}

    wide = weights(torch.float32)
    for name, narrow in weights(torch.bfloat16).items():
        assert torch.equal(narrow, wide[name]), name


@pytest.mark.parametrize("rank", [24, None])
def test_every_parameter_of_the_model_is_in_exactly_one_group(rank):
    model = K2Model(K2Config.preset("smoke", q_lora_rank=rank), seed=0)
    opt = MuonClip(model.named_parameters(), lr=0.1)
    ids = [id(p) for group in opt.param_groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    for name, param in model.named_parameters():
        adamw = param.ndim == 1 or name.endswith(("embed_tokens.weight", "lm_head.weight"))
        assert opt.kinds[name] == ("adamw" if adamw else "muon"), name


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
        kind_of(name, ndim)


def test_a_parameter_listed_twice_is_an_error():
    one = torch.nn.Parameter(torch.zeros(4))
    with pytest.raises(ConfigError, match="b: the parameter is listed twice"):
        MuonClip([("a", one), ("b", one)], lr=0.1)


def test_units_cover_every_value_once_for_any_number_of_ranks():
    for ranks in (1, 2, 3, 7):
        for name, param in parameters().items():
            units = split_units(name, param, kind_of(name, param.ndim), ranks)
            edges = [(u.lo, u.hi) for u in units]
            assert edges[0][0] == 0 and edges[-1][1] == param.numel()
            assert all(a[1] == b[0] for a, b in zip(edges[:-1], edges[1:], strict=True))
            owned = assign_owners(units, ranks)
            assert sorted(u.lo for part in owned for u in part) == sorted(u.lo for u in units)


def test_a_discarded_step_changes_nothing():
    named = parameters()
    opt = optimizer(named)
    run(named, opt, steps=1)
    before = {n: p.detach().clone() for n, p in named.items()}
    state = opt.state_tensors()
    opt.discard_next()
    run(named, opt, steps=1)
    assert all(torch.equal(before[n], p) for n, p in named.items())
    assert all(torch.equal(state[k], v) for k, v in opt.state_tensors().items())


def test_state_saved_and_loaded_continues_bitwise():
    named = parameters()
    opt = optimizer(named)
    run(named, opt, steps=2)
    other = {n: torch.nn.Parameter(p.detach().clone()) for n, p in named.items()}
    again = optimizer(other)
    again.load_state_tensors(opt.state_tensors(), opt.steps)
    run(named, opt, steps=1)
    run(other, again, steps=1)
    assert all(torch.equal(p, other[n]) for n, p in named.items())
