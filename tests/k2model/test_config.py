"""Configurations that can't be: one line that names the key."""

import json
from pathlib import Path
from typing import Any

import pytest

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
    ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_scaling.original_max_position_embeddings: missing"),
    ({"rope_scaling": YARN | {"factor": 0.5}}, "rope_scaling.factor: 0.5"),
    ({"rope_scaling": YARN | {"original_max_position_embeddings": 0}}, "rope_scaling.original_max_position_embeddings"),
    ({"rope_scaling": YARN | {"beta_fast": 0.5}}, "rope_scaling.beta_fast: 0.5 is below beta_slow"),
    ({"eos_token_id": 1024}, "eos_token_id: 1024 is outside the vocabulary of 1024"),
    ({"hidden_act": "gelu"}, "hidden_act: 'gelu'"),
    ({"scoring_func": "softmax"}, "scoring_func: 'softmax'"),
    ({"topk_method": "greedy"}, "topk_method: 'greedy'"),
    ({"tie_word_embeddings": True}, "tie_word_embeddings: True"),
    ({"attention_bias": True}, "attention_bias: True"),
    ({"rope_interleave": False}, "rope_interleave: False"),
    ({"q_lora_rank": 0}, "q_lora_rank: 0 is neither null nor a positive integer"),
    ({"vocab_size": "many"}, "vocab_size: 'many'"),
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
