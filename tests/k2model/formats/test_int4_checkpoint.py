"""The INT4 file against stock transformers and compressed-tensors, and every way in which it can be wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.int4_checkpoint import load_any, load_int4_checkpoint, save_int4_checkpoint
from k2model.formats.quant import quantization_config, round_to_nearest, set_fake_quant, sizes
from k2model.inference.int4_experts import Int4Experts
from k2model.model import K2Model
from k2model.moe import MoE
from kernels.fake_quant import dequantize, fake_quant
from kernels.int4 import native
from kernels.int4.words import deinterleave, unpack
from kernels.processor import VARIABLE, fast_dtype

torch.set_num_threads(1)
EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight"


def _model(**overrides: int) -> K2Model:
    model = K2Model(K2Config.preset("smoke", vocab_size=256, max_position_embeddings=256, **overrides), seed=3)
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.add_(torch.randn(p.shape, generator=generator) * 0.1)
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(0, 0.1, generator=generator)
    for p in model.parameters():
        p.data = p.data.to(torch.bfloat16)
    return model


def _cast(dtype: torch.dtype) -> K2Model:
    """The bfloat16 model with its weights in another type; correction biases keep theirs."""
    model = _model()
    for p in model.parameters():
        p.data = p.data.to(dtype)
    return model


def _fused(model: K2Model) -> dict[str, Tensor]:
    """What the experts of `model` compute with, under transformers' names."""
    found = {}
    for index, layer in enumerate(model.model.layers):
        if isinstance(layer.mlp, MoE):
            experts, prefix = layer.mlp.experts, f"model.layers.{index}.mlp.experts"
            gate, up, down = (fake_quant(w.detach()) for w in (experts.gate_proj, experts.up_proj, experts.down_proj))
            found |= {f"{prefix}.gate_up_proj": torch.cat((gate, up), dim=1), f"{prefix}.down_proj": down}
    return found


def _tokens() -> Tensor:
    return torch.randint(0, 256, (2, 70), generator=torch.Generator().manual_seed(0))


def _logits(model: K2Model) -> Tensor:
    with torch.no_grad():
        logits_BLV = model(_tokens()).logits_BLV
    assert logits_BLV is not None
    return logits_BLV


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[K2Model, Path]:
    model = _model()
    path = tmp_path_factory.mktemp("int4") / "int4"
    save_int4_checkpoint(model, path, max_shard_bytes=200_000)
    assert len(list(path.glob("model-*.safetensors"))) > 1
    return model, path


def test_stock_transformers_computes_with_our_fake_quant_weights(saved: tuple[K2Model, Path], tmp_path: Path) -> None:
    _, path = saved
    int4, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, dtype=torch.bfloat16)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    twin = _model()
    round_to_nearest(twin)
    save_checkpoint(twin, tmp_path / "twin")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "twin", dtype=torch.bfloat16)
    with torch.no_grad():
        int4_BLV, plain_BLV = int4.eval()(_tokens()).logits, plain.eval()(_tokens()).logits
    assert torch.equal(int4_BLV, plain_BLV)
    ours = _cast(torch.float32)
    set_fake_quant(ours, True)
    for name, tensor in _fused(ours).items():
        assert torch.equal(int4.state_dict()[name].float(), tensor), name
    with torch.no_grad():
        exact_BLV = plain.float()(_tokens()).logits
    torch.testing.assert_close(_logits(ours), exact_BLV, rtol=1e-5, atol=1e-5)
    set_fake_quant(ours, False)
    assert float((_logits(ours) - exact_BLV).abs().max()) > 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_training_forward_is_bit_equal_to_the_exported_file(tmp_path: Path, dtype: torch.dtype) -> None:
    model = _cast(dtype)
    save_int4_checkpoint(model, tmp_path / "int4")
    set_fake_quant(model, True)
    assert torch.equal(_logits(model), _logits(load_checkpoint(tmp_path / "int4", dtype=dtype)))


def test_exporting_again_gives_the_same_bytes(saved: tuple[K2Model, Path], tmp_path: Path) -> None:
    _, path = saved
    save_int4_checkpoint(load_checkpoint(path), tmp_path / "again", max_shard_bytes=200_000)
    files = sorted(p.name for p in path.iterdir())
    assert files == sorted(p.name for p in (tmp_path / "again").iterdir())
    for name in files:
        assert (path / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_words_are_those_of_compressed_tensors(saved: tuple[K2Model, Path]) -> None:
    model, path = saved
    tensors = _tensors(path)
    packed, scale = tensors[f"{EXPERT}_packed"], tensors[f"{EXPERT}_scale"]
    assert packed.dtype == torch.int32
    assert scale.dtype == torch.bfloat16
    n, k = tensors[f"{EXPERT}_shape"].tolist()
    codes = unpack_from_int32(packed, 4, torch.Size((n, k)))
    expected = fake_quant(model.model.layers[1].mlp.experts.up_proj[3].detach())
    again = codes.unflatten(-1, (-1, 32)).float() * scale[..., None].float()
    assert torch.equal(again.flatten(-2).bfloat16(), expected)
    first = int(codes[0, 0]) + 8
    assert int(packed[0, 0]) & 15 == first
    int4 = {name for name in tensors if name.endswith("_packed")}
    assert len(int4) == 2 * 8 * 3
    assert all(".mlp.experts." in name for name in int4)


def _tensors(path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in path.glob("*.safetensors"):
        found |= load_file(file)
    return found


def test_the_configuration_is_understood_by_the_library(saved: tuple[K2Model, Path]) -> None:
    written = json.loads((saved[1] / "config.json").read_text())
    parsed = QuantizationConfig.model_validate(written["quantization_config"])
    weights = parsed.config_groups["group_0"].weights
    assert (weights.num_bits, weights.group_size, weights.symmetric) == (4, 32, True)
    assert written["dtype"] == "bfloat16"
    assert written["topk_method"] == "noaux_tc"


def test_the_file_is_as_large_as_computed(saved: tuple[K2Model, Path]) -> None:
    model, path = saved
    stored = sum(t.nbytes for t in _tensors(path).values())
    assert stored == sizes(model.config).total_int4
    bf16 = sum(p.numel() * 2 for p in model.parameters()) + sum(g.e_score_correction_bias.nbytes for g in model.gates())
    assert bf16 == sizes(model.config).total_bf16


def test_k2_is_594_gigabytes() -> None:
    k2 = sizes(K2Config.preset("k2-thinking"))
    assert k2.total_int4 / 1e9 == pytest.approx(594, abs=1)
    assert k2.total_bf16 / 1e12 == pytest.approx(2.05, abs=0.01)


def test_generation_keeps_the_experts_in_int4(saved: tuple[K2Model, Path]) -> None:
    _, path = saved
    runtime = load_any(path)
    experts = [m for m in runtime.modules() if isinstance(m, Int4Experts)]
    assert len(experts) == 2
    exact = load_checkpoint(path, dtype=fast_dtype())
    a_BLV, b_BLV = _logits(runtime).float(), _logits(exact).float()
    assert float((a_BLV - b_BLV).abs().mean() / b_BLV.std()) < 0.02


@pytest.mark.parametrize("fast", [torch.bfloat16, torch.float32])
def test_load_any_reads_bf16_too_and_multiplies_in_what_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: torch.dtype
) -> None:
    monkeypatch.setenv(VARIABLE, str(fast).removeprefix("torch."))
    model = _model()
    save_checkpoint(model, tmp_path / "bf16")
    loaded = load_any(tmp_path / "bf16")
    torch.testing.assert_close(_logits(loaded), _logits(model.to(fast)), rtol=1e-4, atol=1e-4)
    if native.isa() != "torch":  # matrices are widened as they are read
        assert loaded.lm_head.weight.dtype == torch.bfloat16


# Wrong files


def _rewrite(path: Path, out: Path, change: Callable[[dict[str, Tensor]], None]) -> Path:
    """A copy with changed tensors, one shard, no manifest."""
    tensors = _tensors(path)
    change(tensors)
    out.mkdir()
    save_file(tensors, out / "model.safetensors")
    (out / "config.json").write_text((path / "config.json").read_text())
    return out


def _set(name: str, value: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[name] = value(tensors[name]).contiguous()

    return change


def _nan(scale: Tensor) -> Tensor:
    scale = scale.clone()
    scale[2, 1] = float("nan")
    return scale


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(f"{EXPERT}_scale", _nan), rf"{EXPERT}_scale holds NaN"),
        (_set(f"{EXPERT}_packed", lambda t: t.view(torch.int8)), rf"{EXPERT}_packed is int8 \(64, 32\), .*\(64, 8\)"),
        (_set(f"{EXPERT}_packed", lambda t: t.T), rf"{EXPERT}_packed is int32 \(8, 64\), packing along the input"),
        (_set(f"{EXPERT}_scale", lambda t: t.float()), rf"{EXPERT}_scale is float32"),
        (_set(f"{EXPERT}_shape", lambda t: t * 2), rf"{EXPERT}_shape says \[128, 128\], the network has \[64, 64\]"),
        (lambda tensors: tensors.pop(f"{EXPERT}_scale"), rf"{EXPERT}_scale is missing"),
        (_set("model.norm.weight", lambda t: t[:5]), r"model.norm.weight is \(5,\), expected \(64,\)"),
    ],
    ids=["nan", "bytes", "transposed", "scale-dtype", "shape", "missing", "plain-shape"],
)
def test_a_wrong_tensor_is_named(
    saved: tuple[K2Model, Path], tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    wrong = _rewrite(saved[1], tmp_path / "wrong", change)
    for load in (load_checkpoint, load_int4_checkpoint):
        with pytest.raises(CheckpointError, match=message):
            load(wrong)


def _to_seven_and_a_half(tensors: dict[str, Tensor]) -> None:
    """Quantizes one linear by compressed-tensors' own rule: absmax / 7.5, codes −8 to 7."""
    w = torch.randn(64, 64, generator=torch.Generator().manual_seed(4))
    groups = w.unflatten(-1, (-1, 32))
    scale = (groups.abs().amax(-1) / 7.5).bfloat16()
    codes = (groups / scale[..., None].float()).round().clamp(-8, 7).flatten(-2).to(torch.int8)
    assert codes.min() == -8
    tensors[f"{EXPERT}_packed"], tensors[f"{EXPERT}_scale"] = pack_to_int32(codes, 4), scale


def test_the_other_rule_is_converted_and_said(
    saved: tuple[K2Model, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _rewrite(saved[1], tmp_path / "other", _to_seven_and_a_half)
    load_any(other)
    assert "absmax/7.5 codes quantized again by absmax/7, relative weight change 0.0" in capsys.readouterr().out
    said: list[str] = []
    loaded = load_int4_checkpoint(other, say=said.append)
    assert len(said) == 1
    assert "relative weight change 0.0" in said[0]
    tensors = _tensors(other)
    w = dequantize(unpack(tensors[f"{EXPERT}_packed"]), tensors[f"{EXPERT}_scale"])
    assert torch.equal(load_checkpoint(other).model.layers[1].mlp.experts.up_proj[3], w)
    experts = loaded.model.layers[1].mlp.experts
    words = deinterleave(experts.get_buffer("up_proj_words")[3]), deinterleave(experts.get_buffer("up_proj_scale")[3])
    assert torch.equal(dequantize(unpack(words[0]), words[1]), fake_quant(w))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "marlin-24", "quantization_config.format: 'marlin-24'; only 'pack-quantized'"),
        ("quant_method", "gptq", "quantization_config.quant_method: 'gptq'"),
        ("group_size", 128, "weights.group_size: 128; only 32"),
        ("symmetric", False, "weights.symmetric: False; only True"),
        ("num_bits", 8, "weights.num_bits: 8; only 4"),
    ],
)
def test_another_format_is_refused(
    saved: tuple[K2Model, Path], tmp_path: Path, key: str, value: object, message: str
) -> None:
    wrong = _rewrite(saved[1], tmp_path / "wrong", lambda tensors: None)
    config = json.loads((wrong / "config.json").read_text())
    quantization = config["quantization_config"]
    weights = quantization["config_groups"]["group_0"]["weights"]
    (quantization if key in quantization else weights)[key] = value
    (wrong / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_int4_checkpoint(wrong)


def test_widths_and_values_that_can_not_be_quantized(tmp_path: Path) -> None:
    odd = _model(moe_intermediate_size=48)
    for function in (lambda: save_int4_checkpoint(odd, tmp_path / "odd"), lambda: set_fake_quant(odd, True)):
        with pytest.raises(ConfigError, match="moe_intermediate_size: 48 is not divisible by 32"):
            function()
    broken = _model()
    with torch.no_grad():
        broken.model.layers[1].mlp.experts.up_proj[3, 0, 0] = float("inf")
    with pytest.raises(CheckpointError, match=rf"tensor {EXPERT} holds NaN or infinity"):
        save_int4_checkpoint(broken, tmp_path / "broken")


def test_a_folder_without_int4_is_sent_to_the_other_loader(tmp_path: Path) -> None:
    save_checkpoint(_model(), tmp_path / "bf16")
    with pytest.raises(CheckpointError, match="not quantized to INT4; load it with k2model.formats.checkpoint"):
        load_int4_checkpoint(tmp_path / "bf16")


def test_the_ignore_list_is_k2_thinkings() -> None:
    assert quantization_config()["ignore"] == [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
    ]
