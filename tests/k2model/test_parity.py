"""Against an independent implementation: stock transformers' DeepseekV3."""

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

from k2model.config import K2Config, YarnConfig
from k2model.errors import ConfigError
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.model import K2Model

torch.set_num_threads(1)
YARN = YarnConfig(factor=4.0, original_max_position_embeddings=64)
YARN_DEEPSEEK = YarnConfig(factor=40.0, original_max_position_embeddings=64, beta_fast=32.0)
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "yarn-k2": {"rope_scaling": YARN},
    "yarn-deepseek": {"rope_scaling": YARN_DEEPSEEK},
    "moonlight": {"q_lora_rank": None},
}
KINDS = pytest.mark.parametrize("kind", CHANGES)


def _model(kind: str) -> K2Model:
    config = K2Config.preset("smoke", vocab_size=256, max_position_embeddings=256, **CHANGES[kind])
    model = K2Model(config, seed=3)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.add_(torch.randn(p.shape) * 0.1)
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(0, 0.1)
    return model


def _tokens() -> torch.Tensor:
    return torch.randint(0, 256, (2, 150), generator=torch.Generator().manual_seed(0))


@KINDS
def test_a_checkpoint_of_ours_in_stock_transformers(tmp_path: Path, kind: str) -> None:
    model = _model(kind)
    save_checkpoint(model, tmp_path / "ours", max_shard_bytes=200_000)
    assert len(list((tmp_path / "ours").glob("model-*.safetensors"))) > 1
    theirs, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True, dtype=torch.float32
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        ours_BLV = model(_tokens()).logits_BLV
        theirs_BLV = theirs.eval()(_tokens()).logits
    torch.testing.assert_close(ours_BLV, theirs_BLV, rtol=1e-5, atol=1e-5)
    assert theirs_BLV.std() > 0.1


@KINDS
def test_a_checkpoint_of_transformers_here(tmp_path: Path, kind: str) -> None:
    value = _model(kind).config.to_hf_dict()
    torch.manual_seed(5)
    theirs = DeepseekV3ForCausalLM(DeepseekV3Config(**value)).float().eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.add_(torch.randn(p.shape) * 0.1)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_checkpoint(tmp_path / "theirs")
    with torch.no_grad():
        torch.testing.assert_close(ours(_tokens()).logits_BLV, theirs(_tokens()).logits, rtol=1e-5, atol=1e-5)


def _theirs(config: dict[str, Any], folder: Path) -> DeepseekV3ForCausalLM:
    """transformers' network for a config.json, and the folder as it would be published: with `config` word for word."""
    torch.manual_seed(5)
    theirs = DeepseekV3ForCausalLM(DeepseekV3Config(**copy.deepcopy(config))).float().eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.add_(torch.randn(p.shape) * 0.1)
    theirs.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    return theirs


OPTIONAL = {"beta_fast": 4.0, "beta_slow": 2.0, "mscale": 0.7, "mscale_all_dim": 1.3, "attention_factor": 1.1}
LEFT_OUT = [names for n in range(len(OPTIONAL) + 1) for names in itertools.combinations(OPTIONAL, n)]


@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda names: "-".join(names) or "nothing")
def test_yarn_keys_that_a_file_leaves_out_are_as_in_transformers(tmp_path: Path, left_out: tuple[str, ...]) -> None:
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    yarn |= {key: value for key, value in OPTIONAL.items() if key not in left_out}
    config = _model("plain").config.replace(num_hidden_layers=2).to_hf_dict() | {"rope_scaling": yarn}
    theirs = _theirs(config, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(
            load_checkpoint(tmp_path)(_tokens()).logits_BLV, theirs(_tokens()).logits, rtol=1e-5, atol=1e-5
        )


FULL = {"factor": 4.0, "original_max_position_embeddings": 64}
SPELLINGS: dict[str, dict[str, Any]] = {
    "no original length": {"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale_all_dim": 1.0}},
    "original length beside": {"rope_scaling": {"type": "yarn"} | FULL, "original_max_position_embeddings": 32},
    "transformers 5": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 5000.0} | FULL},
    "transformers 5, theta twice": {
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 5000.0} | FULL,
        "rope_theta": 77.0,
    },
    "rope_type": {"rope_scaling": {"rope_type": "yarn"} | FULL},
    "two types": {"rope_scaling": {"rope_type": "default", "type": "yarn"} | FULL},
    "default with theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0}},
    "no truncation": {"rope_scaling": {"type": "yarn", "truncate": False, "beta_fast": 3.0} | FULL},
    "nulls": {
        "rope_scaling": {"type": "yarn", "beta_fast": None, "mscale": None, "mscale_all_dim": None} | FULL,
    },
    "zeros": {"rope_scaling": {"type": "yarn", "mscale": 0, "mscale_all_dim": 0} | FULL},
    "integers": {"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "mscale": 1}},
    "far ramp": {"rope_scaling": {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2**30}},
    "empty": {"rope_scaling": {}},
    "no theta": {"rope_scaling": None, "rope_theta": None},
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_spellings_of_positions_are_as_in_transformers(tmp_path: Path, kind: str) -> None:
    config = _model("plain").config.replace(num_hidden_layers=2).to_hf_dict()
    del config["rope_scaling"]
    if "rope_theta" not in SPELLINGS[kind] and "rope_parameters" in SPELLINGS[kind]:
        del config["rope_theta"]
    config = {key: value for key, value in (config | SPELLINGS[kind]).items() if key != "rope_theta" or value}
    theirs = _theirs(config, tmp_path)
    with torch.no_grad():
        found_BLV = load_checkpoint(tmp_path)(_tokens()).logits_BLV
        torch.testing.assert_close(found_BLV, theirs(_tokens()).logits, rtol=1e-5, atol=1e-5)


def test_our_config_is_understood_as_we_mean_it(tmp_path: Path) -> None:
    config = K2Config.preset("k2")
    (tmp_path / "config.json").write_text(json.dumps(config.to_hf_dict()))
    theirs = DeepseekV3Config.from_pretrained(tmp_path)
    assert theirs.n_routed_experts == 384
    assert theirs.rope_parameters["factor"] == 32.0
    assert theirs.rope_parameters["rope_theta"] == 50000.0
    assert K2Config.from_dict(theirs.to_dict()) == config


@pytest.mark.parametrize("position", [64, 1000, -1])
def test_a_position_that_the_table_lacks_is_a_config_error(position: int) -> None:
    model = K2Model(K2Config.preset("smoke", vocab_size=32, max_position_embeddings=64))
    tokens_BL = torch.tensor([[1, 2, 3]])
    positions_BL = torch.tensor([[0, 1, position]])
    message = f"max_position_embeddings: position {position} is not below 64"
    with pytest.raises(ConfigError, match=message):
        model(tokens_BL, positions_BL=positions_BL)
    with pytest.raises(ConfigError, match=message):
        model.log_probs(tokens_BL, tokens_BL, positions_BL=positions_BL)
    with pytest.raises(ConfigError, match="max_position_embeddings: 64 is shorter than the sequence of 65"):
        model(torch.zeros(1, 65, dtype=torch.long))
    assert model(tokens_BL, positions_BL=torch.tensor([[0, 1, 63]])).logits_BLV is not None
