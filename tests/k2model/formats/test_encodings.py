"""FP8 blocks, packed INT4, layers for multi-token prediction and ranks that read only their own experts."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.torch import load_file, save_file
from torch import Tensor

from k2model.errors import CheckpointError
from k2model.formats import shards
from k2model.formats.checkpoint import load_checkpoint, load_config, named_tensors, open_stored, save_checkpoint
from k2model.formats.encodings import Fp8Blocks
from k2model.formats.int4_checkpoint import load_any, load_int4_checkpoint
from k2model.formats.quant import quantization_config
from k2model.formats.reference import write_reference
from k2model.formats.shards import INDEX, MANIFEST, write_manifest
from k2model.inference.int4_experts import Int4Experts
from tests.k2model.formats.layouts import logits, make

torch.set_num_threads(1)
EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight"
KV_A = "model.layers.1.self_attn.kv_a_proj_with_mqa.weight"
TORN = "model-00002-of-000003.safetensors"
LINEAR = re.compile(r"(_proj|kv_a_proj_with_mqa)\.weight$")


def _fp8_config(block: list[int]) -> dict[str, Any]:
    return {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": block}


def _to_fp8(w: Tensor, block: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """(codes, scales, what they mean in float32), block by block."""
    rows, columns = block
    codes = torch.empty(w.shape, dtype=torch.float8_e4m3fn)
    scales = torch.empty(-(-w.shape[0] // rows), -(-w.shape[1] // columns))
    exact = torch.empty_like(w)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            scales[i, j] = w[part].abs().max() / 448
            codes[part] = (w[part] / scales[i, j]).to(torch.float8_e4m3fn)
            exact[part] = codes[part].float() * scales[i, j]
    return codes, scales, exact


def _to_int4(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    groups = w.unflatten(-1, (-1, 32))
    scale = (groups.abs().amax(-1) / 7).bfloat16()
    codes = (groups / scale[..., None].float()).round().clamp(-7, 7)
    exact = (codes * scale[..., None].float()).flatten(-2).bfloat16().float()
    return pack_to_int32(codes.flatten(-2).to(torch.int8), 4), scale, exact


def _publish(folder: Path, tensors: dict[str, Tensor], count: int, **config: Any) -> None:
    """Replaces the weights of a folder by `count` shards with an index, and changes its config.json."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    names = list(tensors)
    weight_map = {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:06d}.safetensors"
        part = {name: tensors[name].contiguous() for name in names[number::count]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {name: weight_map[name] for name in names}}))
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))


def _mtp(tensors: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    """A layer for multi-token prediction as V3 stores it: a whole layer, and what feeds it."""
    prefix = f"model.layers.{layer}."
    copied = {name.replace("model.layers.2.", prefix): t.clone() for name, t in tensors.items() if ".layers.2." in name}
    extra = ("eh_proj", "enorm", "hnorm", "shared_head.norm", "shared_head.head", "embed_tokens")
    return copied | {f"{prefix}{name}.weight": torch.full((4, 4), float("nan")) for name in extra}


def _exact(theirs: Any, exact: dict[str, Tensor]) -> Tensor:
    """Logits of transformers' network whose weights are what the quantized ones mean."""
    state = theirs.state_dict()
    for name, tensor in exact.items():
        match = re.fullmatch(r"(.*\.mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight", name)
        if not match:
            state[name].copy_(tensor)
        elif match[3] == "down":
            state[f"{match[1]}.down_proj"][int(match[2])].copy_(tensor)
        else:
            half = tensor.shape[0]
            place = slice(0, half) if match[3] == "gate" else slice(half, 2 * half)
            state[f"{match[1]}.gate_up_proj"][int(match[2]), place].copy_(tensor)
    return logits(theirs)


def _fp8_folder(folder: Path, block: list[int], layout: str = "v3", shards: int = 3) -> tuple[Any, dict[str, Tensor]]:
    theirs = make(layout, folder)
    stored, exact = {}, {}
    tensors = load_file(folder / "model.safetensors")
    for name, w in tensors.items():
        if LINEAR.search(name):
            stored[name], stored[f"{name}_scale_inv"], exact[name] = _to_fp8(w, block)
        else:
            stored[name] = w
    _publish(folder, stored, shards, quantization_config=_fp8_config(block))
    return theirs, exact


# 24 × 20 leaves edges at every matrix; 128 × 128 is larger than all of them.
@pytest.mark.parametrize("block", [[128, 128], [16, 32], [24, 20]])
def test_fp8_blocks_are_read_as_what_they_mean(block: list[int], tmp_path: Path) -> None:
    theirs, exact = _fp8_folder(tmp_path, block)
    before_BLV = logits(theirs)
    expected_BLV = _exact(theirs, exact)
    assert float((before_BLV - expected_BLV).abs().max()) > 0.01
    model = load_checkpoint(tmp_path)
    torch.testing.assert_close(logits(model), expected_BLV, rtol=1e-4, atol=1e-4)
    assert model.config.quantization_config is None
    assert torch.equal(dict(named_tensors(model))[KV_A], exact[KV_A])
    torch.testing.assert_close(logits(load_any(tmp_path)), expected_BLV, rtol=1e-4, atol=1e-4)
    save_checkpoint(model, tmp_path / "plain")
    assert torch.equal(logits(load_checkpoint(tmp_path / "plain")), logits(model))


def test_fp8_beside_bfloat16_is_bfloat16_unless_another_type_is_asked_for(tmp_path: Path) -> None:
    _, exact = _fp8_folder(tmp_path, [16, 16], shards=1)
    tensors = load_file(tmp_path / "model-00001-of-000001.safetensors")
    kept = ("_scale_inv", "e_score_correction_bias")
    stored = {n: t if t.dtype == torch.float8_e4m3fn or n.endswith(kept) else t.bfloat16() for n, t in tensors.items()}
    _publish(tmp_path, stored, 2)
    assert open_stored(tmp_path).dtype == torch.bfloat16
    low, high = (dict(named_tensors(load_checkpoint(tmp_path, dtype=dtype))) for dtype in (None, torch.float32))
    assert torch.equal(low[KV_A], exact[KV_A].bfloat16())
    assert torch.equal(high[KV_A], exact[KV_A])
    assert low["model.layers.2.mlp.gate.e_score_correction_bias"].dtype == torch.float32


def test_every_e4m3_code_has_its_value() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    codes = codes[(codes & 127) != 127].view(torch.float8_e4m3fn)[None]
    out = torch.empty(1, 254)
    Fp8Blocks((1, 254)).decode("w", {"w": codes, "w_scale_inv": torch.ones(1, 1)}, out)
    assert torch.equal(out, codes.float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fmt": "e5m2"}, "quantization_config.fmt: 'e5m2'; only 'e4m3'"),
        ({"activation_scheme": "static"}, "quantization_config.activation_scheme: 'static'"),
        ({"weight_block_size": None}, "quantization_config.weight_block_size: None; only blocks"),
        ({"weight_block_size": [16]}, "quantization_config.weight_block_size: [16]"),
        ({"weight_block_size": [16, 0]}, "quantization_config.weight_block_size: [16, 0]"),
        ({"weight_block_size": [16, True]}, "quantization_config.weight_block_size: [16, True]"),
        ({"weight_block_size": [64, 64]}, "weight_scale_inv is"),
        ({"quant_method": "awq"}, "quantization_config.quant_method: 'awq'"),
    ],
)
def test_another_form_of_fp8_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    _fp8_folder(tmp_path, [16, 32])
    file = tmp_path / "config.json"
    value = json.loads(file.read_text())
    value["quantization_config"] |= change
    file.write_text(json.dumps(value))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _without_scale(stored: dict[str, Tensor]) -> None:
    del stored[f"{KV_A}_scale_inv"]


def _infinite(stored: dict[str, Tensor]) -> None:
    stored[f"{KV_A}_scale_inv"][0, 1] = float("inf")


def _not_a_number(stored: dict[str, Tensor]) -> None:
    stored[KV_A].view(torch.uint8)[3, 2] = 0xFF


def _scale_of_nothing(stored: dict[str, Tensor]) -> None:
    stored["model.layers.9.x.weight_scale_inv"] = torch.ones(1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_scale, f"tensor {KV_A} is F8_E4M3; F32 or BF16 or F16 can be read"),
        (_infinite, f"tensor {KV_A}_scale_inv holds NaN or infinity"),
        (_not_a_number, f"tensor {KV_A} holds NaN"),
        (_scale_of_nothing, "tensor model.layers.9.x.weight_scale_inv is not part of this network"),
    ],
)
def test_a_wrong_fp8_tensor_is_named(tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str) -> None:
    _fp8_folder(tmp_path, [16, 32], shards=1)
    stored = load_file(tmp_path / "model-00001-of-000001.safetensors")
    change(stored)
    _publish(tmp_path, stored, 2)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_checkpoint(tmp_path)


def _int4_folder(folder: Path, *, attention: bool = False) -> tuple[Any, dict[str, Tensor]]:
    theirs = make("k2", folder)
    stored, exact = {}, {}
    for name, w in load_file(folder / "model.safetensors").items():
        if ".mlp.experts." in name or (attention and name == KV_A):
            stored[f"{name}_packed"], stored[f"{name}_scale"], exact[name] = _to_int4(w)
            stored[f"{name}_shape"] = torch.tensor(w.shape, dtype=torch.int32)
        else:
            stored[name] = w
    _publish(folder, stored, 3, quantization_config=quantization_config())
    return theirs, exact


@pytest.mark.parametrize("attention", [False, True])
def test_packed_int4_is_read_for_training_and_for_generation(attention: bool, tmp_path: Path) -> None:
    theirs, exact = _int4_folder(tmp_path, attention=attention)
    expected_BLV = _exact(theirs, exact)
    model = load_checkpoint(tmp_path, dtype=torch.float32)
    torch.testing.assert_close(logits(model), expected_BLV, rtol=1e-4, atol=1e-4)
    assert torch.equal(dict(named_tensors(model))[EXPERT], exact[EXPERT])
    model(torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])).loss.backward()
    runtime = load_int4_checkpoint(tmp_path, dtype=torch.float32)
    assert any(isinstance(module, Int4Experts) for module in runtime.modules())
    difference_BLV = (logits(runtime) - expected_BLV).abs()  # activations are rounded to bfloat16
    assert float(difference_BLV.mean() / expected_BLV.std()) < 0.02


def test_generation_in_int4_names_the_expert_that_is_not(tmp_path: Path) -> None:
    _, exact = _int4_folder(tmp_path)
    stored: dict[str, Tensor] = {}
    for file in tmp_path.glob("*.safetensors"):
        stored |= load_file(file)
    for part in ("packed", "scale", "shape"):
        del stored[f"{EXPERT}_{part}"]
    stored[EXPERT] = exact[EXPERT]
    _publish(tmp_path, stored, 3)
    assert torch.equal(dict(named_tensors(load_checkpoint(tmp_path, dtype=torch.float32)))[EXPERT], exact[EXPERT])
    with pytest.raises(CheckpointError, match=f"tensor {EXPERT}_packed is missing; generation needs all experts"):
        load_int4_checkpoint(tmp_path)


def test_layers_that_predict_more_tokens_and_old_buffers_are_left_out_and_said(tmp_path: Path) -> None:
    theirs = make("v3", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    extra = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(4) for n in range(4)}
    _publish(tmp_path, tensors | _mtp(tensors, 3) | extra, 2)
    said: list[str] = []
    torch.testing.assert_close(logits(load_checkpoint(tmp_path, say=said.append)), logits(theirs), rtol=1e-4, atol=1e-4)
    count = len(_mtp(tensors, 3)) + 1
    assert said == [f"{tmp_path}: layer 3 (multi-token prediction, {count} tensors) is left out"]
    assert open_stored(tmp_path).dtype == torch.float32


def test_a_layer_too_many_that_predicts_nothing_is_an_error(tmp_path: Path) -> None:
    make("v3", tmp_path, num_hidden_layers=4)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"tensor model\.layers\.3\.\S+ is not part of this network"):
        load_checkpoint(tmp_path)


def test_shards_are_open_one_at_a_time_and_nothing_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fp8_folder(tmp_path, [16, 32], shards=7)
    opened, most, read = 0, 0, []
    open_shard, read_tensor = shards.open_shard, shards.read_tensor

    @contextmanager
    def counted(path: Path) -> Any:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        with open_shard(path) as handle:
            yield handle
        opened -= 1

    def read_counted(handle: Any, name: str, path: Path) -> Tensor:
        read.append(name)
        return read_tensor(handle, name, path)

    monkeypatch.setattr(shards, "open_shard", counted)
    monkeypatch.setattr(shards, "read_tensor", read_counted)
    load_checkpoint(tmp_path)
    assert most == 1
    assert sorted(read) == sorted(set(read)) == sorted(json.loads((tmp_path / INDEX).read_text())["weight_map"])


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folders with manifests, what each of two ranks did with them)."""
    folders, out = tmp_path_factory.mktemp("folders"), tmp_path_factory.mktemp("ranks")
    _fp8_folder(folders / "fp8", [16, 32], shards=5)
    _int4_folder(folders / "int4")
    make("v3", folders / "mtp")
    tensors = load_file(folders / "mtp" / "model.safetensors")
    _publish(folders / "mtp", tensors | _mtp(tensors, 3), 3)
    shutil.copytree(folders / "mtp", folders / "torn")
    for folder in folders.iterdir():
        write_manifest(folder)
    shutil.copytree(folders / "fp8", folders / "elsewhere", ignore=shutil.ignore_patterns("model*", MANIFEST))
    write_reference(folders / "elsewhere", folders / "fp8")
    for shard in (folders / "fp8").glob("*.safetensors"):
        os.utime(shard, ns=(1, 1))  # as on another machine
    file = folders / "torn" / TORN
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    named = [str(folders / name) for name in ("fp8", "int4", "mtp", "torn", "elsewhere")]
    script = str(Path(__file__).with_name("foreign_ranks.py"))
    commands = [[sys.executable, script, str(rank), "2", str(out / "store"), str(out), *named] for rank in range(2)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    running = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for command in commands]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    return folders, out


def _facts(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads((out / f"{name}-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", ["fp8", "int4"])
def test_each_rank_reads_and_hashes_its_own_part(name: str, ranks: tuple[Path, Path]) -> None:
    folder, out = ranks[0] / name, ranks[1]
    facts = _facts(out, name)
    names = json.loads((folder / INDEX).read_text())["weight_map"]
    expert = re.compile(r"\.mlp\.experts\.(\d+)\.")
    for rank, fact in enumerate(facts):
        assert not fact["problem"]
        assert len(fact["read"]) == len(set(fact["read"]))
        own = {stored for stored in names if not (match := expert.search(stored)) or int(match[1]) // 4 == rank}
        assert set(fact["read"]) == own
    hashed = [file for fact in facts for file in fact["hashed"]]
    assert sorted(hashed) == sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    whole = load_checkpoint(folder)
    tensors = dict(named_tensors(whole))
    for rank in range(2):
        part = torch.load(out / f"{name}-{rank}.pt")
        logits_BLV = part.pop("logits")
        assert all(torch.equal(tensor, tensors[key]) for key, tensor in part.items())
        assert len(part) == len([key for key in tensors if ".mlp.experts." in key]) / 2
        with torch.no_grad():
            torch.testing.assert_close(logits_BLV, whole(torch.arange(24)[None]).logits_BLV, rtol=1e-4, atol=1e-4)


def test_one_rank_speaks_and_all_stop_when_one_finds_a_shard_corrupted(ranks: tuple[Path, Path]) -> None:
    folders, out = ranks
    assert [len(fact["said"]) for fact in _facts(out, "mtp")] == [1, 0]
    for fact in _facts(out, "torn"):
        assert fact["problem"] == f"{folders / 'torn' / TORN}: corrupted (sha256 differs from manifest.json)"
        assert not fact["read"]


def test_ranks_share_the_hashes_of_weights_that_stay_elsewhere(ranks: tuple[Path, Path]) -> None:
    folders, out = ranks
    facts = _facts(out, "elsewhere")
    assert [fact["read"] for fact in facts] == [fact["read"] for fact in _facts(out, "fp8")]
    hashed = [file for fact in facts for file in fact["hashed"]]
    assert sorted(hashed) == sorted(path.name for path in (folders / "fp8").glob("*.safetensors"))
    assert all(len(fact["hashed"]) > 1 for fact in facts)


def test_a_quantized_configuration_stays_what_the_folder_says(tmp_path: Path) -> None:
    _fp8_folder(tmp_path, [16, 32])
    assert load_config(tmp_path).quantization_config == _fp8_config([16, 32])
