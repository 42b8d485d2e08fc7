"""Model FLOPs of training and the machine's matmul peak, for model FLOPs utilisation."""

import time

import torch

from k2model.config import K2Config


def train_flops_per_token(config: K2Config, sequence_length: int) -> float:
    """FLOPs of forward and backward per token: 6 per active matrix weight, and causal attention.

    The embedding look-up costs nothing, the head counts; attention scores cost 6·(L/2)·H·(qk + v) per layer,
    nothing is added for recomputation (model FLOPs, not hardware FLOPs).
    """
    c = config
    heads, qk = c.num_attention_heads, c.qk_nope_head_dim + c.qk_rope_head_dim
    attention = (
        c.hidden_size * c.q_lora_rank
        + c.q_lora_rank * heads * qk
        + c.hidden_size * (c.kv_lora_rank + c.qk_rope_head_dim)
        + c.kv_lora_rank * heads * (c.qk_nope_head_dim + c.v_head_dim)
        + heads * c.v_head_dim * c.hidden_size
    )
    dense = 3 * c.hidden_size * c.intermediate_size
    experts = 3 * c.hidden_size * c.moe_intermediate_size * (c.num_experts_per_tok + c.n_shared_experts)
    sparse = experts + c.hidden_size * c.n_routed_experts
    sparse_layers = c.num_hidden_layers - c.first_k_dense_replace
    weights = (
        c.num_hidden_layers * attention
        + c.first_k_dense_replace * dense
        + sparse_layers * sparse
        + c.hidden_size * c.vocab_size
    )
    scores = c.num_hidden_layers * heads * (qk + c.v_head_dim) * sequence_length / 2
    return 6.0 * weights + 6.0 * scores


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
