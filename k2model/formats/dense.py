"""A dense network of the Llama and Qwen families: what a K2 network is made from, and measured against.

Axes: B rows, L positions, C hidden width, H query heads, G key/value heads, D head width, F feed-forward neurons.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.config import YarnConfig, check_int, check_number
from k2model.errors import ConfigError
from k2model.rope import inverse_frequencies


@dataclass(frozen=True)
class DenseConfig:
    """Sizes in elements; `context` in positions. Raises ConfigError for sizes that no network has.

    `rope_scaling` as a K2 network would state it; with `llama3_ramp` the ramp between its two rotations is Llama 3's,
    linear in rotations and not in pairs.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    eps: float
    rope_base: float
    rope_scaling: YarnConfig | None = None
    llama3_ramp: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context"):
            check_int(name, getattr(self, name), 1)
        for name in ("eps", "rope_base"):
            check_number(name, getattr(self, name))
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ConfigError(
                f"heads: {self.heads} of width {self.head_dim} over {self.kv_heads} key heads don't come out even"
            )

    def inverse_frequencies(self) -> Tensor:
        """Radians that each of the D / 2 pairs turns per position, float32."""
        yarn = self.rope_scaling
        if yarn is None or not self.llama3_ramp:
            return inverse_frequencies(self.rope_base, self.head_dim, yarn)
        plain_P = inverse_frequencies(self.rope_base, self.head_dim, None)
        rotations_P = yarn.original_max_position_embeddings * plain_P / (2 * math.pi)
        keep_P = ((rotations_P - yarn.beta_slow) / (yarn.beta_fast - yarn.beta_slow)).clamp(0, 1)
        return plain_P * (keep_P + (1 - keep_P) / yarn.factor)


@dataclass(frozen=True)
class DenseWeights:
    """Per layer: norms [C], q, k, v stacked [(H + 2·G)·D, C], o [C, H·D], gate and up stacked [2·F, C], down [C, F].

    `head` is `embed` itself where they are tied. `qkv_bias` [(H + 2·G)·D], `q_norm` and `k_norm` [D] are empty lists
    for a network without them. Rotary pairs are half a head apart.
    """

    embed: Tensor
    head: Tensor
    final_norm: Tensor
    attn_norm: list[Tensor]
    qkv: list[Tensor]
    out: list[Tensor]
    ffn_norm: list[Tensor]
    gate_up: list[Tensor]
    down: list[Tensor]
    qkv_bias: list[Tensor] = field(default_factory=list)
    q_norm: list[Tensor] = field(default_factory=list)
    k_norm: list[Tensor] = field(default_factory=list)


class Observer(Protocol):
    """Sees what each layer computes: the stream it reads, queries and keys before rotation, what attention adds."""

    def attention(
        self, layer: int, x_BLC: Tensor, normed_BLC: Tensor, q_BLHD: Tensor, k_BLGD: Tensor, attended_BLC: Tensor
    ) -> None: ...

    def feed_forward(self, layer: int, normed_BLC: Tensor, inner_BLF: Tensor) -> None: ...


@dataclass(frozen=True)
class DenseOutput:
    """`logp_BL`: the log-probability of each target in float32, 0 where it is −100."""

    logp_BL: Tensor


class DenseModel:
    """The dense network in plain torch: whole sequences, no cache."""

    def __init__(self, config: DenseConfig, weights: DenseWeights) -> None:
        self.config, self.weights = config, weights
        inverse_P = config.inverse_frequencies()
        self._angle_D = torch.cat((inverse_P, inverse_P))

    @property
    def device(self) -> torch.device:
        """Where inputs must be."""
        return self.weights.head.device

    def heads(self, layer: int, normed_BLC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(q_BLHD, k_BLGD, v_BLGD) with biases and norms, not rotated."""
        c, w = self.config, self.weights
        bias = w.qkv_bias[layer] if w.qkv_bias else None
        heads_BLYD = F.linear(normed_BLC, w.qkv[layer], bias).unflatten(-1, (-1, c.head_dim))
        q, k, v = heads_BLYD.split([c.heads, c.kv_heads, c.kv_heads], dim=-2)
        if w.q_norm:
            q = F.rms_norm(q, (c.head_dim,), w.q_norm[layer], c.eps)
            k = F.rms_norm(k, (c.head_dim,), w.k_norm[layer], c.eps)
        return q, k, v

    @torch.no_grad()
    def hidden(self, tokens_BL: Tensor, observer: Observer | None = None) -> Tensor:
        """The normed state at each position, [B, L, C]; the head gives its logits."""
        c, w = self.config, self.weights
        angle_LD = torch.arange(tokens_BL.shape[1], dtype=torch.float32)[:, None] * self._angle_D
        cos_LD, sin_LD = angle_LD.cos(), angle_LD.sin()

        def turn(x_BLYD: Tensor) -> Tensor:
            x_BYLD = x_BLYD.transpose(1, 2)
            first, second = x_BYLD.chunk(2, dim=-1)
            return x_BYLD * cos_LD + torch.cat((-second, first), dim=-1) * sin_LD

        x_BLC = w.embed[tokens_BL]
        for layer in range(c.layers):
            normed_BLC = F.rms_norm(x_BLC, (c.hidden,), w.attn_norm[layer], c.eps)
            q, k, v = self.heads(layer, normed_BLC)
            attended_BHLD = F.scaled_dot_product_attention(
                turn(q), turn(k), v.transpose(1, 2), is_causal=True, enable_gqa=True, scale=self.softmax_scale
            )
            attended_BLC = F.linear(attended_BHLD.transpose(1, 2).flatten(2), w.out[layer])
            if observer:
                observer.attention(layer, x_BLC, normed_BLC, q, k, attended_BLC)
            x_BLC = x_BLC + attended_BLC
            normed_BLC = F.rms_norm(x_BLC, (c.hidden,), w.ffn_norm[layer], c.eps)
            gate_BLF, up_BLF = F.linear(normed_BLC, w.gate_up[layer]).chunk(2, dim=-1)
            inner_BLF = F.silu(gate_BLF) * up_BLF
            if observer:
                observer.feed_forward(layer, normed_BLC, inner_BLF)
            x_BLC = x_BLC + F.linear(inner_BLF, w.down[layer])
        return F.rms_norm(x_BLC, (c.hidden,), w.final_norm, c.eps)

    @property
    def softmax_scale(self) -> float:
        """1/√D, times what the positions' scaling adds."""
        yarn = self.config.rope_scaling
        scale = 1.0 if yarn is None else yarn.softmax_scale * yarn.rotary_scale**2
        return self.config.head_dim**-0.5 * scale

    @torch.no_grad()
    def logits(self, tokens_BL: Tensor) -> Tensor:
        """[B, L, vocabulary]."""
        return F.linear(self.hidden(tokens_BL), self.weights.head)

    @torch.no_grad()
    def __call__(self, tokens_BL: Tensor, targets_BL: Tensor) -> DenseOutput:
        """The targets' log-probabilities, as a K2 network gives them."""
        kept_BL = targets_BL != -100
        logits_TV = F.linear(self.hidden(tokens_BL)[kept_BL], self.weights.head).float()
        logp_BL = torch.zeros(targets_BL.shape)
        logp_BL[kept_BL] = -F.cross_entropy(logits_TV, targets_BL[kept_BL], reduction="none")
        return DenseOutput(logp_BL)
