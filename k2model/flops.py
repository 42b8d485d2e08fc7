"""Model FLOPs of training and the machine's matmul peak, for model FLOPs utilisation."""

import time

import torch

from k2model.config import K2Config


def forward_flops_per_token(config: K2Config, seen: float) -> dict[str, float]:
    """FLOPs of one token's forward pass by component, two per multiply-add.

    The embedding look-up costs nothing; norms, rotary positions and activations are left out (below 1 %).

    Args:
        seen: positions the token attends to, itself included: the context when decoding, half of it on average in
            training. Scores count as in the decompressed form, (nope + rope) + value per head and position.
    """
    c = config
    heads, qk = c.num_attention_heads, c.qk_head_dim
    query = c.hidden_size * heads * qk if c.q_lora_rank is None else c.q_lora_rank * (c.hidden_size + heads * qk)
    projections = (
        query
        + c.hidden_size * (c.kv_lora_rank + c.qk_rope_head_dim)
        + c.kv_lora_rank * heads * (c.qk_nope_head_dim + c.v_head_dim)
        + heads * c.v_head_dim * c.hidden_size
    )
    expert = 3 * c.hidden_size * c.moe_intermediate_size
    return {
        "attention projections": 2.0 * c.num_hidden_layers * projections,
        "attention scores": 2.0 * c.num_hidden_layers * heads * (qk + c.v_head_dim) * seen,
        "dense feed-forward": 2.0 * c.first_k_dense_replace * 3 * c.hidden_size * c.intermediate_size,
        "router": 2.0 * c.num_moe_layers * c.hidden_size * c.n_routed_experts,
        "routed experts": 2.0 * c.num_moe_layers * expert * c.num_experts_per_tok,
        "shared expert": 2.0 * c.num_moe_layers * expert * c.n_shared_experts,
        "head": 2.0 * c.hidden_size * c.vocab_size,
    }


def train_flops_per_token(config: K2Config, sequence_length: int) -> float:
    """FLOPs of forward and backward per token: three times the forward pass, causal attention.

    Nothing is added for recomputation (model FLOPs, not hardware FLOPs).
    """
    return 3.0 * sum(forward_flops_per_token(config, sequence_length / 2).values())


def matmul_peak(device: torch.device, dtype: torch.dtype, size: int = 1024) -> float:
    """FLOP/s of the best of a few square matrix products on this device with the threads now set."""
    if device.type == "cuda":
        size = 8192
    a = torch.randn(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
