"""Folders in the layout of DeepSeek-V2, V3, Moonlight and Kimi K2, read as they are: the logits are transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from k2model.config import K2Config
from k2model.describe import count_parameters
from k2model.errors import ConfigError
from k2model.formats.checkpoint import load_checkpoint, load_config, save_checkpoint
from k2model.formats.int4_checkpoint import load_any
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.training.engine import TrainEngine
from k2model.training.options import OptimizerOptions
from tests.k2model.formats.layouts import COMMON, LAYOUTS, V3, logits, make, tokens

torch.set_num_threads(1)
EVERY = pytest.mark.parametrize("layout", LAYOUTS)


@EVERY
def test_logits_are_transformers_and_a_saved_copy_goes_back_to_its_class(layout: str, tmp_path: Path) -> None:
    theirs = make(layout, tmp_path / "theirs")
    ours = load_checkpoint(tmp_path / "theirs")
    expected_BLV = logits(theirs)
    assert expected_BLV.std() > 0.1
    torch.testing.assert_close(logits(ours), expected_BLV, rtol=1e-4, atol=1e-4)
    theirs.config.save_pretrained(tmp_path / "theirs")  # as transformers itself spells it
    assert torch.equal(logits(load_checkpoint(tmp_path / "theirs")), logits(ours))
    save_checkpoint(ours, tmp_path / "ours")
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True, dtype=torch.float32)
    assert type(again) is type(theirs)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(logits(again.eval()), expected_BLV, rtol=1e-4, atol=1e-4)
    assert load_config(tmp_path / "ours") == ours.config


def test_a_configuration_of_v2_that_says_little_means_what_transformers_means(tmp_path: Path) -> None:
    theirs = make("v2-greedy-with-groups", tmp_path, n_shared_experts=2, routed_scaling_factor=1.0)
    value = json.loads((tmp_path / "config.json").read_text())
    for key in ("scoring_func", "topk_method", "norm_topk_prob", "n_group", "topk_group", "first_k_dense_replace"):
        del value[key]
    for key in ("n_shared_experts", "routed_scaling_factor", "rope_theta", "bos_token_id", "eos_token_id"):
        del value[key]
    (tmp_path / "config.json").write_text(json.dumps(value))
    torch.testing.assert_close(logits(load_checkpoint(tmp_path)), logits(theirs), rtol=1e-4, atol=1e-4)


@EVERY
def test_generation_with_a_cache_is_transformers(layout: str, tmp_path: Path) -> None:
    theirs = make(layout, tmp_path)
    prompt = tokens()[0, :40].tolist()
    answer = Engine(load_any(tmp_path).eval()).generate([Request(prompt, max_tokens=12, temperature=0.0)])[0]
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = theirs.generate(torch.tensor([prompt]), **settings)[0, 40:].tolist()
    assert answer.ids == expected


@pytest.mark.parametrize("layout", ["v2-lite", "v2", "v3"])
def test_training_moves_every_layout_and_biases_only_where_there_are_some(layout: str, tmp_path: Path) -> None:
    make(layout, tmp_path)
    engine = TrainEngine(load_checkpoint(tmp_path), OptimizerOptions(), micro_batches=1)

    def loss_fn(model: Any, batch: torch.Tensor) -> Any:
        output = model(batch[:, :-1], batch[:, 1:])
        return output.loss, output

    losses = []
    for _ in range(4):
        losses.append(engine.accumulate(loss_fn, tokens()[None, :, :40]))
        if layout != "v3":
            with pytest.raises(ConfigError, match=r"bias_rate: 0\.001; routers with topk_method '.*greedy' have no"):
                engine.apply(losses[-1], lr=0.01, bias_rate=0.001)
        engine.apply(losses[-1], lr=0.01, bias_rate=0.001 if layout == "v3" else 0.0)
    assert losses[-1] < losses[0] - 0.1


# Real figures: facts of Kimi K2's and Moonlight's config.json, and of DeepSeek's.
SAME = {
    "hidden_act": "silu",
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "moe_layer_freq": 1,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "ep_size": 1,
    "pretraining_tp": 1,
    "aux_loss_alpha": 0.001,
    "seq_aux": True,
    "initializer_range": 0.02,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
}
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
YARN_REAL = {
    "beta_fast": 32,
    "beta_slow": 1,
    "factor": 40,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
    "type": "yarn",
}


def _sizes(vocab: int, hidden: int, dense: int, moe: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": dense,
        "moe_intermediate_size": moe,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
    }


KIMI = (
    SAME
    | V3
    | _sizes(163840, 7168, 18432, 2048, 61, 64)
    | {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "kimi_k2", "n_routed_experts": 384}
    | {"num_experts_per_tok": 8, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "q_lora_rank": 1536}
    | {"routed_scaling_factor": 2.827, "first_k_dense_replace": 1, "rope_theta": 50000.0, "rms_norm_eps": 1e-6}
    | {"rope_scaling": YARN_REAL | {"beta_fast": 1.0, "beta_slow": 1.0, "factor": 32.0}, "quantization_config": FP8}
    | {"num_nextn_predict_layers": 0, "max_position_embeddings": 131072, "bos_token_id": 163584, "eos_token_id": 163585}
)
REAL: dict[str, tuple[dict[str, Any], float, float]] = {  # billions of parameters, of them active for a token
    "Kimi-K2": (KIMI, 1026.4, 32.86),
    "Kimi-K2-Thinking": (
        KIMI
        | {"rope_scaling": KIMI["rope_scaling"] | {"factor": 64.0}, "max_position_embeddings": 262144}
        | {"rms_norm_eps": 1e-5, "eos_token_id": 163586}
        | {"quantization_config": K2Config.preset("k2-thinking").quantization_config},
        1026.4,
        32.86,
    ),
    "Moonlight-16B-A3B": (
        SAME
        | V3
        | _sizes(163840, 2048, 11264, 1408, 27, 16)
        | {"n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "n_group": 1, "topk_group": 1}
        | {"q_lora_rank": None, "routed_scaling_factor": 2.446, "first_k_dense_replace": 1, "rope_theta": 50000.0}
        | {"rope_scaling": None, "rms_norm_eps": 1e-5, "max_position_embeddings": 8192}
        | {"bos_token_id": 163584, "eos_token_id": 163585, "pad_token_id": 163839},
        15.96,
        2.91,
    ),
    "DeepSeek-V3": (
        SAME
        | V3
        | _sizes(129280, 7168, 18432, 2048, 61, 128)
        | {"n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "n_group": 8, "topk_group": 4}
        | {"q_lora_rank": 1536, "routed_scaling_factor": 2.5, "first_k_dense_replace": 3, "rope_theta": 10000}
        | {"rope_scaling": YARN_REAL, "rms_norm_eps": 1e-6, "max_position_embeddings": 163840}
        | {"num_nextn_predict_layers": 1, "quantization_config": FP8, "bos_token_id": 0, "eos_token_id": 1},
        671.0,
        37.5,
    ),
    "DeepSeek-V2": (
        SAME
        | _sizes(102400, 5120, 12288, 1536, 60, 128)
        | {"model_type": "deepseek_v2", "scoring_func": "softmax", "topk_method": "group_limited_greedy"}
        | {"norm_topk_prob": False, "n_routed_experts": 160, "num_experts_per_tok": 6, "n_shared_experts": 2}
        | {"n_group": 8, "topk_group": 3, "q_lora_rank": 1536, "routed_scaling_factor": 16.0}
        | {"first_k_dense_replace": 1, "rope_theta": 10000, "rms_norm_eps": 1e-6, "max_position_embeddings": 163840}
        | {"rope_scaling": YARN_REAL | {"mscale": 0.707, "mscale_all_dim": 0.707}}
        | {"bos_token_id": 100000, "eos_token_id": 100001},
        235.7,
        21.4,
    ),
    "DeepSeek-V2-Lite": (
        SAME
        | _sizes(102400, 2048, 10944, 1408, 27, 16)
        | {"model_type": "deepseek_v2", "scoring_func": "softmax", "topk_method": "greedy", "norm_topk_prob": False}
        | {"n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2, "n_group": 1, "topk_group": 1}
        | {"q_lora_rank": None, "routed_scaling_factor": 1.0, "first_k_dense_replace": 1, "rope_theta": 10000}
        | {"rms_norm_eps": 1e-6, "max_position_embeddings": 163840}
        | {"rope_scaling": YARN_REAL | {"mscale": 0.707, "mscale_all_dim": 0.707}}
        | {"bos_token_id": 100000, "eos_token_id": 100001},
        15.7,
        2.7,
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_published_configurations_are_read_and_have_the_published_size(name: str, tmp_path: Path) -> None:
    value, total, active = REAL[name]
    (tmp_path / "config.json").write_text(json.dumps(value))
    config = load_config(tmp_path)
    counts = count_parameters(config)
    assert counts.total / 1e9 == pytest.approx(total, rel=2e-3)
    assert counts.active / 1e9 == pytest.approx(active, rel=2e-2)
    written = config.to_hf_dict()
    assert K2Config.from_dict(written) == config
    for key in ("scoring_func", "topk_method", "norm_topk_prob", "n_group", "topk_group", "q_lora_rank"):
        assert written[key] == value[key], key


def test_the_softmax_of_v2_is_scaled_by_its_own_mscale(tmp_path: Path) -> None:
    config = K2Config.from_dict(REAL["DeepSeek-V2-Lite"][0])
    assert config.softmax_scale == pytest.approx(192**-0.5 * (0.0707 * 3.6888794541 + 1) ** 2, rel=1e-9)
    assert config.rope_scaling is not None
    assert config.rope_scaling.rotary_scale == 1.0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"scoring_func": "tanh"}, "scoring_func: 'tanh' is none of sigmoid, softmax"),
    ({"scoring_func": "softmax"}, "scoring_func: 'softmax' with topk_method 'noaux_tc', whose scores are 'sigmoid'"),
    ({"topk_method": "greedy"}, "scoring_func: 'sigmoid' with topk_method 'greedy', whose scores are 'softmax'"),
    ({"topk_method": "sinkhorn"}, "topk_method: 'sinkhorn' is none of greedy, group_limited_greedy, noaux_tc"),
    ({"topk_method": None}, "topk_method: None"),
    ({"scoring_func": []}, "scoring_func: []"),
    ({"scoring_func": "softmax", "topk_method": "greedy"}, "norm_topk_prob: true with topk_method 'greedy'"),
    ({"n_group": 8, "topk_group": 8}, "n_group: 8 groups of one expert"),
    ({"model_type": "deepseek_v32"}, "model_type: 'deepseek_v32' is none of deepseek_v2, deepseek_v3, kimi_k2"),
    ({"model_type": ["deepseek_v3"]}, "model_type: ['deepseek_v3']"),
    ({"mlp_bias": True}, "mlp_bias: True"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_router_that_no_class_has_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        K2Config.from_dict(COMMON | LAYOUTS["k2"] | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
