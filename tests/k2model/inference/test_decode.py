"""The rearranged network against the one it was made of."""

from pathlib import Path

import pytest
import torch

from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.int4_checkpoint import load_any, save_int4_checkpoint
from k2model.formats.quant import set_fake_quant, to_bfloat16
from k2model.inference.decode import BlockExperts, BlockGate, BlockLinear, BlockMLP, prepare
from k2model.inference.generate import Engine
from k2model.inference.int4_experts import Int4Experts, int4_twin, refresh_experts
from k2model.inference.request import Request
from k2model.model import K2Model
from k2model.moe import Gate
from kernels.int4 import native
from kernels.processor import PROCESSOR, VARIABLE, at_least, fast_dtype

torch.set_num_threads(1)
needs_blocks = pytest.mark.skipif(not at_least("avx512_bf16"), reason="no bfloat16 products: weights are read in place")
needs_kernels = pytest.mark.skipif(native.isa() == "torch", reason="no kernels for this machine")


def _model(**changes: int) -> K2Model:
    model = K2Model(K2Config.preset("smoke", vocab_size=256, max_position_embeddings=256, **changes), seed=3)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(4.0)
    return to_bfloat16(model).eval()


def _log_probs(model: K2Model) -> torch.Tensor:
    tokens = torch.randint(0, 256, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(tokens).logits_BLV
    assert logits is not None
    return logits.float().log_softmax(-1)


def _chosen(model: K2Model) -> list[torch.Tensor]:
    """The experts of each token, sorted, [T, K] for every layer that has some."""
    found: list[torch.Tensor] = []
    gates = [module for module in model.modules() if isinstance(module, (Gate, BlockGate))]
    hooks = [gate.register_forward_hook(lambda _, __, made: found.append(made[0].sort(-1).values)) for gate in gates]
    _log_probs(model)
    for hook in hooks:
        hook.remove()
    return found


@needs_blocks
def test_a_rearranged_network_computes_the_same() -> None:
    plain = _model(n_routed_experts=16)
    model = prepare(_model(n_routed_experts=16))
    assert sum(isinstance(module, BlockExperts) for module in model.modules()) == 2
    assert sum(isinstance(module, BlockGate) for module in model.modules()) == 2
    assert sum(isinstance(module, BlockMLP) for module in model.modules()) == 3  # one dense layer, two shared experts
    assert isinstance(model.lm_head, BlockLinear)
    assert isinstance(model.model.layers[0].self_attn.kv_b_proj, torch.nn.Linear)
    _same(plain, model)


@needs_kernels
def test_bfloat16_read_in_place_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSOR, "avx2")
    plain = _model(n_routed_experts=16)
    model = prepare(_model(n_routed_experts=16))
    assert not any(isinstance(module, BlockLinear) for module in model.modules())
    wide = {name for name, p in model.named_parameters() if p.dtype == torch.float32}
    assert wide == {name for name, p in plain.named_parameters() if p.ndim == 1 or "kv_b" in name or "embed" in name}
    _same(plain, model)


def _same(plain: K2Model, model: K2Model) -> None:
    chosen, before = _chosen(plain), _log_probs(plain)
    chosen_again, after = _chosen(model), _log_probs(model)
    same_T = torch.stack([(a == b).all(-1) for a, b in zip(chosen, chosen_again, strict=True)]).all(0)
    assert float(same_T.float().mean()) >= 0.9  # rounding may choose another expert among near equals
    kl_BL = (before.exp() * (before - after)).sum(-1)
    assert float(kl_BL.flatten()[same_T].mean()) < 1e-3


@needs_kernels
def test_the_engine_generates_with_it() -> None:
    prompt = list(range(20))
    found = []
    for model in (_model(), prepare(_model())):
        found.append(Engine(model, max_batch=2, max_length=64).generate([Request(prompt, 12, 0.0)])[0])
    assert found[0].ids[:4] == found[1].ids[:4]
    assert found[0].logprobs[:4] == pytest.approx(found[1].logprobs[:4], abs=0.05)


@needs_kernels
def test_no_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "bfloat16")
    model = _model()
    linears = sum(p.nbytes for p in model.parameters())
    model = prepare(model)
    held = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers() if b.dtype == torch.int32)
    assert held == linears


@needs_blocks
def test_what_no_kernel_takes_is_stored_in_what_the_processor_multiplies_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _log_probs(_model())
    monkeypatch.setenv(VARIABLE, "float32")
    model = prepare(_model())
    assert isinstance(model.lm_head, BlockLinear)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    kl = (before.exp() * (before - _log_probs(model))).sum(-1)
    assert float(kl.mean()) < 1e-3


def test_float32_weights_stay() -> None:
    model = K2Model(K2Config.preset("smoke", vocab_size=256), seed=3)
    before = _log_probs(model)
    assert torch.equal(_log_probs(prepare(model)), before)


def test_where_the_kernels_can_not_run_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSOR, "generic")
    assert not any(isinstance(module, BlockLinear) for module in prepare(_model()).modules())


def test_an_int4_file_generates_what_its_dequantized_weights_do(tmp_path: Path) -> None:
    save_int4_checkpoint(_model(), tmp_path / "int4")
    runtime = load_any(tmp_path / "int4")
    assert sum(isinstance(module, Int4Experts) for module in runtime.modules()) == 2
    exact = _log_probs(load_checkpoint(tmp_path / "int4", dtype=fast_dtype()))
    for precision, limit in (("w4a16", 1e-3), ("w4a8", 1e-2)):
        for module in runtime.modules():
            if isinstance(module, Int4Experts):
                module.precision = precision  # type: ignore[assignment]
        kl = (exact.exp() * (exact - _log_probs(runtime))).sum(-1)
        assert float(kl.mean()) < limit


def test_a_twin_for_rollouts_follows_the_training() -> None:
    model = _model()
    twin = int4_twin(model)
    set_fake_quant(model, True)
    for _ in range(2):
        expected, found = _log_probs(model), _log_probs(twin)
        assert float((expected.exp() * (expected - found)).sum(-1).mean()) < 1e-3
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1.3)
        stale = _log_probs(twin)
        refresh_experts(twin, model)
        assert not torch.equal(stale, _log_probs(twin))
    assert twin.lm_head.weight.data_ptr() == model.lm_head.weight.data_ptr()
