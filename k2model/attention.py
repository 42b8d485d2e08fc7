"""Multi-head latent attention (DeepSeek-V3 §2.1.1, K2 report §2.3) with each head's largest logit.

Axes: B batch, L positions, H heads, C hidden width, D nope + rope width of a query or key, V width of a value,
N nope width, R rope width, A rank of the compressed query, K rank of the compressed key and value.
"""

import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.linear import Linear
from kernels.attention import attention_max_logit
from kernels.decode import rms_norm, rms_norm_reference
from kernels.decode_attention import LatentWeights, apply_rope

LATENT_EPS = 1e-6  # of the norms of compressed queries, keys and values, in DeepSeek's code whatever `rms_norm_eps` is


class RMSNorm(nn.Module):
    """x / rms(x) · weight, computed in float32; one call where no gradient is needed."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        norm = rms_norm_reference if torch.is_grad_enabled() else rms_norm
        return norm(x, self.weight, self.eps)


class MLA(nn.Module):
    """Attention whose keys and values are decompressed from `kv_lora_rank` values per token.

    `q_b_proj` (`q_proj` where queries aren't compressed) has rows [nope | rope] per head and `kv_b_proj` rows
    [key nope | value] per head; the rotary key is one per token and shared by all heads. QK-Clip relies on these rows.
    """

    def __init__(self, config: K2Config) -> None:
        super().__init__()
        c, heads = config, config.num_attention_heads
        self.config = config
        if c.q_lora_rank is None:
            self.q_proj = Linear(c.hidden_size, heads * c.qk_head_dim)
        else:
            self.q_a_proj = Linear(c.hidden_size, c.q_lora_rank)
            self.q_a_layernorm = RMSNorm(c.q_lora_rank, LATENT_EPS)
            self.q_b_proj = Linear(c.q_lora_rank, heads * c.qk_head_dim)
        self.kv_a_proj_with_mqa = Linear(c.hidden_size, c.kv_lora_rank + c.qk_rope_head_dim)
        self.kv_a_layernorm = RMSNorm(c.kv_lora_rank, LATENT_EPS)
        self.kv_b_proj = Linear(c.kv_lora_rank, heads * (c.qk_nope_head_dim + c.v_head_dim))
        self.o_proj = Linear(heads * c.v_head_dim, c.hidden_size)

    def heads(self, x_BLC: Tensor) -> Tensor:
        """The queries of each head, [nope | rope] not rotated: [B, L, H, D]."""
        c = self.config
        if c.q_lora_rank is None:
            q_BLX = self.q_proj(x_BLC)
        else:
            q_BLX = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_BLC)))
        return q_BLX.unflatten(-1, (-1, c.qk_head_dim))

    def queries(self, x_BLC: Tensor, cos_BL1R: Tensor, sin_BL1R: Tensor) -> tuple[Tensor, Tensor]:
        """(q_nope_BLHN, q_rope_BLHR), the second rotated."""
        c = self.config
        q_nope_BLHN, q_rope_BLHR = self.heads(x_BLC).split([c.qk_nope_head_dim, c.qk_rope_head_dim], dim=-1)
        return q_nope_BLHN, apply_rope(q_rope_BLHR, cos_BL1R, sin_BL1R)

    def compress(self, x_BLC: Tensor, cos_BL1R: Tensor, sin_BL1R: Tensor) -> tuple[Tensor, Tensor]:
        """What a cache keeps per token: (normalised latent_BLK, rotated shared key_BLR)."""
        c = self.config
        latent_BLK, k_rope_BLR = self.kv_a_proj_with_mqa(x_BLC).split([c.kv_lora_rank, c.qk_rope_head_dim], dim=-1)
        k_rope_BL1R = apply_rope(k_rope_BLR[:, :, None], cos_BL1R, sin_BL1R)
        return self.kv_a_layernorm(latent_BLK), k_rope_BL1R[:, :, 0]

    def latent_weights(self) -> LatentWeights:
        """What decoding from the cache needs besides the projections."""
        c, norm = self.config, self.kv_a_layernorm
        kv_b_HYK = self.kv_b_proj.weight.view(c.num_attention_heads, -1, c.kv_lora_rank)
        return LatentWeights(norm.weight, norm.eps, kv_b_HYK, c.qk_nope_head_dim, c.softmax_scale)

    def forward(
        self, x_BLC: Tensor, cos_BLR: Tensor, sin_BLR: Tensor, segment_ids_BL: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output [B, L, C] and the largest logit of each head [H], float32 and detached."""
        c = self.config
        cos_BL1R, sin_BL1R = cos_BLR[:, :, None], sin_BLR[:, :, None]
        q_nope_BLHN, q_rope_BLHR = self.queries(x_BLC, cos_BL1R, sin_BL1R)
        latent_BLK, k_rope_BLR = self.compress(x_BLC, cos_BL1R, sin_BL1R)
        kv_BLHX = self.kv_b_proj(latent_BLK).unflatten(-1, (-1, c.qk_nope_head_dim + c.v_head_dim))
        k_nope_BLHN, v_BLHV = kv_BLHX.split([c.qk_nope_head_dim, c.v_head_dim], dim=-1)
        k_rope_BLHR = k_rope_BLR[:, :, None].expand(-1, -1, c.num_attention_heads, -1)
        q_BHLD = torch.cat((q_nope_BLHN, q_rope_BLHR), dim=-1).transpose(1, 2)
        k_BHLD = torch.cat((k_nope_BLHN, k_rope_BLHR), dim=-1).transpose(1, 2)
        out_BHLV, max_logit_H = attention_max_logit(
            q_BHLD, k_BHLD, v_BLHV.transpose(1, 2), c.softmax_scale, segment_ids_BL
        )
        return self.o_proj(out_BHLV.transpose(1, 2).flatten(-2)), max_logit_H
