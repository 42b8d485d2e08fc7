"""Small networks in every layout of the DeepSeek family, made by transformers' own classes."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

COMMON: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "kv_lora_rank": 32,
    "q_lora_rank": 48,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
YARN_V2 = {
    "type": "yarn",
    "factor": 40,
    "original_max_position_embeddings": 64,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
}
YARN_K2 = YARN_V2 | {"factor": 4.0, "beta_fast": 1.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}
V2 = {"model_type": "deepseek_v2", "scoring_func": "softmax", "norm_topk_prob": False, "rope_theta": 10000}
V3 = {"model_type": "deepseek_v3", "scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": True}
LAYOUTS: dict[str, dict[str, Any]] = {
    "v2-lite": V2
    | {"topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0, "q_lora_rank": None}
    | {"n_shared_experts": 2, "first_k_dense_replace": 1, "rope_scaling": YARN_V2},
    "v2": V2
    | {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 16.0}
    | {"n_shared_experts": 2, "first_k_dense_replace": 1, "rope_scaling": YARN_V2},
    "v2-greedy-with-groups": V2
    | {"topk_method": "greedy", "n_group": 8, "topk_group": 1, "routed_scaling_factor": 2.0, "first_k_dense_replace": 0}
    | {"n_shared_experts": 1},
    "moonlight": V3
    | {"n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.446, "q_lora_rank": None, "rms_norm_eps": 1e-5}
    | {"n_shared_experts": 2, "first_k_dense_replace": 1, "rope_theta": 50000.0, "rope_scaling": None},
    # An eps that shows which norms it belongs to.
    "large-eps": V3
    | {"n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.446, "rms_norm_eps": 0.05}
    | {"n_shared_experts": 1, "first_k_dense_replace": 1, "rope_theta": 50000.0},
    "k2": V3
    | {"model_type": "kimi_k2", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.827, "n_shared_experts": 1}
    | {"first_k_dense_replace": 1, "rope_theta": 50000.0, "rope_scaling": YARN_K2, "aux_loss_alpha": 0.001},
    "v3": V3
    | {"n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5, "n_shared_experts": 1, "first_k_dense_replace": 2}
    | {"rope_scaling": YARN_V2 | {"mscale": 1.0, "mscale_all_dim": 1.0}, "num_nextn_predict_layers": 1},
}


def make(layout: str, folder: Path, **changes: Any) -> Any:
    """transformers' network of a layout, saved to `folder` with a config.json as it would be published."""
    config = COMMON | LAYOUTS[layout] | changes
    old = config["model_type"] == "deepseek_v2"
    kind, network = (DeepseekV2Config, DeepseekV2ForCausalLM) if old else (DeepseekV3Config, DeepseekV3ForCausalLM)
    torch.manual_seed(5)
    theirs = network(kind(**json.loads(json.dumps(config | {"model_type": kind.model_type})))).float().eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.mul_(3.0) if p.ndim > 1 else p.add_(torch.randn(p.shape) * 0.1)
        for name, buffer in theirs.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(0, 0.1)
    theirs.save_pretrained(folder)
    architecture = "DeepseekV2ForCausalLM" if old else "DeepseekV3ForCausalLM"
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    return theirs


def tokens() -> Tensor:
    return torch.randint(0, 256, (2, 100), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(model: Any) -> Tensor:
    output = model(tokens())
    return (output.logits_BLV if hasattr(output, "logits_BLV") else output.logits).float()
