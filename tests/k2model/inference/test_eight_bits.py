"""Dense parts in 8 bits: the codes, what the network then computes, and what it reads."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from k2model.config import K2Config
from k2model.errors import CheckpointError
from k2model.formats.checkpoint import save_checkpoint
from k2model.formats.int4_checkpoint import load_any, save_int4_checkpoint
from k2model.formats.quant import sizes, to_bfloat16
from k2model.inference.decode import BlockLinear
from k2model.inference.eight_bits import EightBitLinear, eight_bit_dense, linear_bytes
from k2model.inference.generate import Engine
from k2model.inference.int4_experts import Int4Experts
from k2model.inference.request import Request
from k2model.linear import Linear
from k2model.model import K2Model
from kernels.processor import PROCESSOR, VARIABLE, fast_dtype

torch.set_num_threads(1)


def _model() -> K2Model:
    model = K2Model(K2Config.preset("smoke", vocab_size=256, max_position_embeddings=256), seed=3)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(3.0)
    return to_bfloat16(model).eval()


def _logits(model: K2Model) -> Tensor:
    tokens_BL = torch.randint(0, 256, (2, 70), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(tokens_BL).logits_BLV
    assert logits is not None
    return logits.double()


@pytest.mark.parametrize("processor", ["generic", ""])
@pytest.mark.parametrize("rows", [1, 5, 64, 65, 200])
def test_a_linear_is_codes_times_scales(monkeypatch: pytest.MonkeyPatch, processor: str, rows: int) -> None:
    monkeypatch.setenv(PROCESSOR, processor)
    generator = torch.Generator().manual_seed(1)
    weight_NK = torch.randn(36, 80, generator=generator)
    weight_NK[7] = 0.0
    linear = EightBitLinear(weight_NK)
    assert linear.codes.dtype == torch.int8 and linear.codes.abs().amax(-1).tolist() == [127] * 7 + [0] + [127] * 28
    stored_NK = linear.codes.double() * linear.scale.double()[:, None]
    assert ((stored_NK - weight_NK).abs() <= linear.scale.double()[:, None] * 0.5000001).all()
    x = torch.randn(rows, 80, generator=generator)
    exact = x.double() @ stored_NK.T
    limit = 1e-6 if fast_dtype() == torch.float32 or (rows <= 64 and processor == "") else 1e-2
    assert float((linear(x).double() - exact).norm() / exact.norm()) < limit
    assert linear(x.bfloat16()).dtype == torch.bfloat16


def test_the_network_is_the_one_whose_linears_were_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "float32")
    rounded, model = _model(), _model()
    kept = {name: p.clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, module in rounded.named_modules():
            if isinstance(module, Linear) and not name.endswith("kv_b_proj"):
                own = EightBitLinear(module.weight)
                module.weight.data = own.codes.float() * own.scale[:, None]
    narrow = eight_bit_dense(model)
    left = dict(narrow.named_parameters())
    assert {name for name in kept if name not in left} >= {"lm_head.weight", "model.layers.0.mlp.gate_proj.weight"}
    assert all(torch.equal(p, kept[name]) for name, p in left.items())
    assert any("kv_b_proj" in name for name in left) and any(".gate.weight" in name for name in left)
    wide = _logits(to_bfloat16(rounded, torch.float32).to(torch.float32))
    found = _logits(narrow.to(torch.float32))
    assert float((found - wide).norm() / wide.norm()) < 1e-2  # scales times codes need more than bfloat16's digits
    assert float((_logits(_model().to(torch.float32)) - wide).norm() / wide.norm()) > 1e-3


def test_int4_with_dense_parts_in_8_bits_reads_what_is_computed(tmp_path: Path) -> None:
    save_int4_checkpoint(_model(), tmp_path / "int4")
    model = load_any(tmp_path / "int4", dense_bits=8, activation_bits=8)
    assert not any(isinstance(module, BlockLinear) for module in model.modules())
    assert {module.precision for module in model.modules() if isinstance(module, Int4Experts)} == {"w4a8"}
    narrow = [module for module in model.modules() if isinstance(module, EightBitLinear)]
    held = sum(module.codes.nbytes + module.scale.nbytes for module in narrow)
    assert held == sum(linear_bytes(*module.codes.shape) for module in narrow)
    found = sizes(model.config)
    saved = sum(2 * module.codes.numel() for module in narrow) - held
    assert found.active_int4 - found.active_int4_dense8 == saved > 0
    plain = load_any(tmp_path / "int4")
    a, b = _logits(plain).log_softmax(-1), _logits(model).log_softmax(-1)
    assert 0 < float((a.exp() * (a - b)).sum(-1).mean()) < 0.01
    request = Request(list(range(20)), 12, temperature=0.0)
    assert len(Engine(model).generate([request])[0].ids) == 12


def test_a_checkpoint_that_is_not_int4(tmp_path: Path) -> None:
    save_checkpoint(_model(), tmp_path / "bf16")
    model = load_any(tmp_path / "bf16", dense_bits=8)
    assert isinstance(model.lm_head, EightBitLinear)
    assert torch.isfinite(_logits(model)).all()
    with pytest.raises(CheckpointError, match="bf16: activations of 8 bits are for INT4 experts"):
        load_any(tmp_path / "bf16", activation_bits=8)
