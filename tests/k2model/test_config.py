"""Configurations that can't be: one line that names the key."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import DeepseekV3Config

from k2model.config import PRESETS, K2Config, YarnConfig
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.checkpoint import load_config

SMOKE = json.loads((PRESETS / "smoke.json").read_text())
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"num_attention_heads": 0}, "num_attention_heads: 0"),
    ({"num_attention_heads": 2.5}, "num_attention_heads: 2.5"),
    ({"num_key_value_heads": 1}, "num_key_value_heads: 1 differs"),
    ({"qk_rope_head_dim": 15}, "qk_rope_head_dim: 15 is odd"),
    ({"n_group": 3}, "n_group: 3 does not divide n_routed_experts 8"),
    ({"n_group": 2, "topk_group": 3}, "topk_group: 3 exceeds n_group 2"),
    ({"num_experts_per_tok": 9}, "num_experts_per_tok: 9 exceeds 8"),
    ({"n_group": 8, "num_experts_per_tok": 2}, "num_experts_per_tok: 2 exceeds 1"),
    ({"first_k_dense_replace": 4}, "first_k_dense_replace: 4 of 3"),
    ({"n_shared_experts": -1}, "n_shared_experts: -1"),
    ({"rope_theta": 1.0}, "rope_theta: 1.0"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.type: 'linear'"),
    ({"rope_scaling": {"type": "yarn"}}, "rope_scaling.factor: missing"),
    ({"rope_scaling": YARN | {"factor": "4"}}, "rope_scaling.factor: '4' is no number"),
    ({"rope_scaling": YARN | {"attention_factor": 0.0}}, "rope_scaling.attention_factor: 0.0"),
    ({"rope_scaling": YARN | {"truncate": "no"}}, "rope_scaling.truncate: 'no'"),
    ({"rope_scaling": YARN | {"beta_slow": -1.0}}, "rope_scaling.beta_slow: -1.0"),
    ({"rope_scaling": YARN | {"original_max_position_embeddings": None}}, "rope_scaling.original_max_position"),
    ({"rope_scaling": [4.0]}, "rope_scaling: [4.0] is no object"),
    ({"rope_parameters": {"full_attention": YARN}}, "rope_scaling.full_attention: positions by layer type"),
    ({"rope_parameters": YARN | {"partial_rotary_factor": 0.5}}, "partial_rotary_factor: 0.5"),
    ({"rope_scaling": YARN | {"factor": 0.5}}, "rope_scaling.factor: 0.5"),
    ({"rope_scaling": YARN | {"original_max_position_embeddings": 0}}, "rope_scaling.original_max_position_embeddings"),
    ({"rope_scaling": YARN | {"beta_fast": 0.5}}, "rope_scaling.beta_fast: 0.5 is below beta_slow"),
    ({"eos_token_id": 1024}, "eos_token_id: 1024 is outside the vocabulary of 1024"),
    ({"hidden_act": "gelu"}, "hidden_act: 'gelu'"),
    ({"tie_word_embeddings": True}, "tie_word_embeddings: True"),
    ({"attention_bias": True}, "attention_bias: True"),
    ({"rope_interleave": False}, "rope_interleave: False"),
    ({"q_lora_rank": 0}, "q_lora_rank: 0 is neither null nor a positive integer"),
    ({"vocab_size": "many"}, "vocab_size: 'many'"),
    ({"rope_theta": "50000"}, "rope_theta: '50000' is no number"),
    ({"rope_theta": float("nan")}, "rope_theta: nan is no number"),
    ({"rope_theta": 10**400}, "rope_theta: 1000"),
    ({"eos_token_id": []}, "eos_token_id: [] names no token"),
    ({"eos_token_id": ["2"]}, "eos_token_id: '2' is no token id"),
    ({"eos_token_id": 2.0}, "eos_token_id: 2.0 is no token id"),
    ({"pad_token_id": True}, "pad_token_id: True is no token id"),
    ({"n_shared_experts": None}, "n_shared_experts: None is no integer"),
    ({"n_routed_experts": 0}, "n_routed_experts: 0 is no positive integer"),
    ({"hidden_size": True}, "hidden_size: True"),
    ({"hidden_size": 64.0}, "hidden_size: 64.0"),
    ({"hidden_size": 2**40}, "hidden_size: 1099511627776 is above"),
    ({"first_k_dense_replace": -1}, "first_k_dense_replace: -1"),
    ({"rms_norm_eps": "1e-6"}, "rms_norm_eps: '1e-6'"),
    ({"rms_norm_eps": -1.0}, "rms_norm_eps: -1.0"),
    ({"norm_topk_prob": "true"}, "norm_topk_prob: 'true'"),
    ({"routed_scaling_factor": [2]}, "routed_scaling_factor: [2]"),
    ({"quantization_config": []}, "quantization_config: [] is no object"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_configuration_that_can_not_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        K2Config.from_dict(SMOKE | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["hidden_size", "kv_lora_rank", "n_routed_experts"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: missing"):
        K2Config.from_dict({name: value for name, value in SMOKE.items() if name != key})


def test_the_first_of_several_ends_counts_and_a_null_head_count_is_the_other() -> None:
    config = K2Config.from_dict(SMOKE | {"eos_token_id": [7, 8], "num_key_value_heads": None})
    assert config.eos_token_id == 7


def test_what_a_file_leaves_out_is_transformers_default_and_not_ours(tmp_path: Path) -> None:
    said = SMOKE | {"n_routed_experts": 16}
    del said["rope_theta"]
    (tmp_path / "config.json").write_text(json.dumps(said))
    config, theirs = load_config(tmp_path), DeepseekV3Config.from_pretrained(tmp_path)
    assert config.rope_theta == theirs.rope_parameters["rope_theta"] == 10000.0
    for name in ("n_group", "topk_group", "routed_scaling_factor", "first_k_dense_replace", "bos_token_id"):
        assert getattr(config, name) == getattr(theirs, name), name


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: not found"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: not JSON"):
        load_config(tmp_path)


def test_every_preset_loads_and_says_the_same_again() -> None:
    for path in PRESETS.glob("*.json"):
        config = K2Config.preset(path.stem)
        assert K2Config.from_dict(config.to_hf_dict()) == config


def test_published_scales_of_the_softmax() -> None:
    assert K2Config.preset("k2").softmax_scale == pytest.approx(0.13086, abs=1e-5)
    assert K2Config.preset("k2-thinking").softmax_scale == pytest.approx(0.14468, abs=1e-5)
    assert K2Config.preset("k2").replace(rope_scaling=None).softmax_scale == 192**-0.5
    assert K2Config.preset("k2").rope_scaling == YarnConfig(32.0, 4096)
