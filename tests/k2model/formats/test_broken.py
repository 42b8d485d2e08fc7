"""Checkpoints that others wrote, or tore: one line with the file and the key, whatever is wrong."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.checkpoint import load_checkpoint, load_config, open_stored, save_checkpoint
from k2model.formats.int4_checkpoint import load_any, load_int4_checkpoint, save_int4_checkpoint
from k2model.formats.shards import INDEX, MANIFEST
from k2model.model import K2Model

torch.set_num_threads(1)
HEAD = "lm_head.weight"
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 2,
    "n_routed_experts": 2,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole checkpoint, one in shards, and one in INT4."""
    folder = tmp_path_factory.mktemp("written")
    model = K2Model(K2Config.preset("smoke", **SMALL), seed=1)
    save_checkpoint(model, folder / "whole")
    save_checkpoint(model, folder / "shards", max_shard_bytes=30_000)
    save_int4_checkpoint(model, folder / "int4")
    return {kind: folder / kind for kind in ("whole", "shards", "int4")}


@pytest.fixture
def copied(written: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    def copy(kind: str, *, manifest: bool = False) -> Path:
        shutil.copytree(written[kind], tmp_path / kind)
        if not manifest:
            (tmp_path / kind / MANIFEST).unlink()
        return tmp_path / kind

    return copy


def _refused(folder: Path, *named: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_any(folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    for part in named:
        assert part in message, message


def _change(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a": "\xe9"}', "not JSON"),
        (b'{"vocab_size": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"vocab_size": 1, "vocab_size": 2}', "vocab_size stands there twice"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("name", ["config.json", INDEX, MANIFEST])
def test_a_file_that_is_no_json_object_is_named(
    copied: Callable[..., Path], name: str, content: bytes, said: str
) -> None:
    folder = copied("shards")
    (folder / name).write_bytes(content)
    _refused(folder, name, said)


@pytest.mark.parametrize("name", ["config.json", INDEX, MANIFEST, "model.safetensors"])
def test_a_folder_where_a_file_should_be_is_named(copied: Callable[..., Path], name: str) -> None:
    folder = copied("whole" if name == "model.safetensors" else "shards")
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    _refused(folder, name)


@pytest.mark.parametrize("kind", ["whole", "int4"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope_theta", "50000"),
        ("eos_token_id", []),
        ("n_shared_experts", None),
        ("n_routed_experts", 0),
        ("n_routed_experts", 10**9),
        ("num_hidden_layers", 10**9),
        ("hidden_size", 2**30),
        ("vocab_size", -1),
        ("vocab_size", 64.0),
        ("norm_topk_prob", 1),
        ("routed_scaling_factor", None),
        ("rope_scaling", {"type": "yarn", "factor": "4"}),
        ("rope_scaling", {"type": "longrope", "factor": 4}),
        ("hidden_act", None),
    ],
)
def test_an_odd_value_in_the_configuration_is_named(
    copied: Callable[..., Path], kind: str, key: str, value: Any
) -> None:
    folder = copied(kind)
    _change(folder, **{key: value})
    _refused(folder, str(folder))
    if key != "hidden_size":  # a possible size; the tensors are others
        _refused(folder, "config.json", key)


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": None},
        {"weight_map": []},
        {"weight_map": {}},
        {"weight_map": {HEAD: None}},
        {"weight_map": {HEAD: 3}},
        {"weight_map": {HEAD: "../other.safetensors"}},
        {"weight_map": {HEAD: "/etc/passwd"}},
        {"weight_map": {HEAD: "a\0b"}},
        {"weight_map": {HEAD: "\ud800"}},
        {"weight_map": {HEAD: ["model-00001-of-00002.safetensors"]}},
    ],
    ids=range(11),
)
def test_an_index_of_another_form_is_named(copied: Callable[..., Path], index: Any) -> None:
    folder = copied("shards")
    (folder / INDEX).write_text(json.dumps(index))
    _refused(folder, INDEX)


def test_a_name_that_no_file_can_have_is_named(copied: Callable[..., Path]) -> None:
    folder = copied("shards")
    (folder / INDEX).write_text(json.dumps({"weight_map": {HEAD: "a" * 300}}))
    _refused(folder, "a" * 300, "name too long")


@pytest.mark.parametrize(
    "manifest", [{"files": []}, {"config.json": 1}, {"../config.json": "0"}, {"x\0": "0"}, {"": "0"}, {".": "0"}]
)
def test_a_manifest_of_another_form_is_named(copied: Callable[..., Path], manifest: Any) -> None:
    folder = copied("whole")
    (folder / MANIFEST).write_text(json.dumps(manifest))
    _refused(folder, str(folder))


HEADERS = [
    struct.pack("<Q", 2**60),
    struct.pack("<Q", 10) + b"not a json",
    struct.pack("<Q", 2) + b"{}",
    struct.pack("<Q", 4) + b"null",
    b"\x80\x04pickle",
    b"",
]


@pytest.mark.parametrize("content", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("kind", ["whole", "int4"])
def test_a_wrong_header_is_named(copied: Callable[..., Path], kind: str, content: bytes) -> None:
    folder = copied(kind)
    (folder / "model.safetensors").write_bytes(content)
    _refused(folder, str(folder))


@pytest.mark.parametrize(
    "value", [torch.zeros(64, 31), torch.zeros(64, 32, dtype=torch.int8), torch.zeros(64, 32).to(torch.float8_e4m3fn)]
)
@pytest.mark.parametrize("kind", ["whole", "int4"])
def test_a_tensor_of_another_shape_or_type_is_named(
    copied: Callable[..., Path], kind: str, value: torch.Tensor
) -> None:
    folder = copied(kind)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {HEAD: value}, folder / "model.safetensors")
    _refused(folder, "model.safetensors", HEAD)


INT4_CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("quant_method", {"quant_method": "gptq"}),
    ("format", {"format": "int-quantized"}),
    ("quantization_status", {"quantization_status": "initialized"}),
    ("kv_cache_scheme", {"kv_cache_scheme": {"num_bits": 8}}),
    ("sparsity_config", {"sparsity_config": {"format": "sparse-24"}}),
    ("config_groups", {"config_groups": {}}),
    ("config_groups", {"config_groups": None}),
    ("config_groups", {"config_groups": [1]}),
    ("config_groups.group_0", {"config_groups": {"group_0": 4}}),
    ("config_groups.group_0.weights", {"config_groups": {"group_0": {"weights": None}}}),
    ("config_groups.group_0.weights", {"config_groups": {"group_0": {"weights": "INT4"}}}),
    ("weights.num_bits", {"weights": {"num_bits": 8}}),
    ("weights.num_bits", {"weights": {"num_bits": "4"}}),
    ("weights.type", {"weights": {"type": "float"}}),
    ("weights.symmetric", {"weights": {"symmetric": False}}),
    ("weights.strategy", {"weights": {"strategy": "channel"}}),
    ("weights.group_size", {"weights": {"group_size": 128}}),
    ("weights.actorder", {"weights": {"actorder": "group"}}),
    ("weights.dynamic", {"weights": {"dynamic": True}}),
    ("input_activations", {"group": {"input_activations": {"num_bits": 8}}}),
    ("output_activations", {"group": {"output_activations": {"num_bits": 8}}}),
]


@pytest.mark.parametrize(("named", "change"), INT4_CHANGES)
def test_another_form_of_quantization_is_refused_by_name(
    copied: Callable[..., Path], named: str, change: dict[str, Any]
) -> None:
    folder = copied("int4")
    value = json.loads((folder / "config.json").read_text())["quantization_config"]
    group = value["config_groups"]["group_0"]
    group["weights"] |= change.get("weights", {})
    group |= change.get("group", {})
    _change(
        folder,
        quantization_config=value | {key: item for key, item in change.items() if key not in ("weights", "group")},
    )
    _refused(folder, "quantization_config", named)


def test_each_weight_of_a_file_of_mixed_types_keeps_its_value(copied: Callable[..., Path]) -> None:
    folder = copied("whole")
    tensors = load_file(folder / "model.safetensors")
    first = next(iter(load_file(folder / "model.safetensors")))
    mixed = {name: t.bfloat16() if name in (first, HEAD) else t for name, t in tensors.items()}
    bias = "model.layers.1.mlp.gate.e_score_correction_bias"
    mixed[bias] = torch.tensor([0.1, -0.3], dtype=torch.float32)
    save_file(mixed, folder / "model.safetensors")
    model = load_checkpoint(folder)
    assert open_stored(folder).dtype == torch.float32
    assert torch.equal(model.lm_head.weight, tensors[HEAD].bfloat16().float())
    name = "model.layers.0.self_attn.o_proj.weight"
    assert torch.equal(model.get_parameter(name), tensors[name])
    save_file({n: t if n == bias else t.bfloat16() for n, t in mixed.items()}, folder / "model.safetensors")
    low = load_checkpoint(folder)
    assert low.lm_head.weight.dtype == torch.bfloat16
    assert torch.equal(low.gates()[0].e_score_correction_bias, mixed[bias])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["yarn", "default", 0, 1, 2, 64, 1.0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "rope_type", "factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"])
            | st.sampled_from(
                ["original_max_position_embeddings", "rope_theta", "truncate", "attention_factor", "weights"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KEYS = [*sorted(K2Config.preset("smoke").to_hf_dict()), "quantization_config", "rope_parameters"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from(KEYS), value=JSON, drop=st.booleans())
def test_any_value_of_any_key_loads_or_is_refused(
    written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, key: str, value: Any, drop: bool
) -> None:
    for kind in ("whole", "int4"):
        folder = tmp_path_factory.mktemp("fuzz")
        (folder / "model.safetensors").symlink_to(written[kind] / "model.safetensors")
        config = json.loads((written[kind] / "config.json").read_text()) | {key: value}
        if drop:
            del config[key]
        (folder / "config.json").write_text(json.dumps(config))
        try:
            model = load_any(folder)
        except (CheckpointError, ConfigError) as error:
            assert "\n" not in str(error)
            continue
        if model.config.max_position_embeddings < 2**16:
            with torch.no_grad():
                assert model(torch.tensor([[1]])).logits_BLV is not None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_file_torn_or_scribbled_on_loads_or_is_refused(
    written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["whole", "shards", "int4"]))
    folder = tmp_path_factory.mktemp("torn") / "m"
    shutil.copytree(written[kind], folder)
    if data.draw(st.booleans()):
        (folder / MANIFEST).unlink()
    file = data.draw(st.sampled_from(sorted(p for p in folder.iterdir())))
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        at = data.draw(st.integers(0, min(len(content) - 1, 4000)))
        content[at : at + 1] = data.draw(st.binary(max_size=3))
    file.write_bytes(content)
    for load in (load_any, load_config, load_int4_checkpoint):
        try:
            load(folder)
        except (CheckpointError, ConfigError) as error:
            assert "\n" not in str(error)
