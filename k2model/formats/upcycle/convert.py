"""A dense network → a K2 network that computes nearly the same, before any training.

Queries aren't compressed (`q_lora_rank` null), the first `first_k_dense_replace` layers stay dense as in K2, and a
tied head becomes a matrix of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from k2model.config import K2Config, YarnConfig
from k2model.errors import ConfigError
from k2model.formats.checkpoint import allocate, meta_model
from k2model.formats.dense import DenseConfig, DenseModel
from k2model.formats.upcycle.attention import AttentionSizes, convert_attention
from k2model.formats.upcycle.calibrate import LayerStatistics
from k2model.formats.upcycle.experts import ExpertSizes, convert_experts, split_dense
from k2model.model import K2Model
from k2model.moe import MLP


@dataclass(frozen=True)
class UpcycleSizes:
    """Of the network that is made.

    first_dense: layers that keep the dense feed-forward network. vocab: rows of the embedding; those that the dense
    network doesn't have are zero.
    """

    attention: AttentionSizes
    experts: ExpertSizes
    first_dense: int
    vocab: int


def upcycled_config(dense: DenseModel, sizes: UpcycleSizes) -> K2Config:
    """The configuration of the converted network.

    Raises:
        ConfigError: sizes that don't go together; the line names the one.
    """
    c, a, e = dense.config, sizes.attention, sizes.experts
    if not 1 <= a.components <= c.kv_heads:
        raise ConfigError(f"components: {a.components}; the dense network has {c.kv_heads} key heads")
    if c.head_dim % 2:
        raise ConfigError(f"head_dim: {c.head_dim} is odd")
    if not a.nope(c.head_dim, c.kv_heads):
        raise ConfigError("spare: 0, but a K2 head has an unrotated part")
    return K2Config(
        vocab_size=sizes.vocab,
        hidden_size=c.hidden,
        intermediate_size=c.ffn,
        moe_intermediate_size=e.width(c.ffn),
        num_hidden_layers=c.layers,
        num_attention_heads=c.heads,
        n_routed_experts=e.slices * e.copies,
        num_experts_per_tok=e.slices,
        q_lora_rank=None,
        kv_lora_rank=a.latent,
        qk_nope_head_dim=a.nope(c.head_dim, c.kv_heads),
        qk_rope_head_dim=a.rotary(c.head_dim),
        v_head_dim=c.head_dim,
        first_k_dense_replace=sizes.first_dense,
        n_shared_experts=e.shared,
        routed_scaling_factor=float(e.slices),
        rope_theta=c.rope_base,
        rope_scaling=_positions(c),
        max_position_embeddings=c.context,
        rms_norm_eps=c.eps,
    )


def _positions(c: DenseConfig) -> YarnConfig:
    """The dense network's positions; its temperature, where it has one, is in the queries.

    Unscaled ones are written as YaRN of factor 1, which changes nothing: vLLM's CPU engine rotates another way without.
    """
    if c.rope_scaling is None:
        return YarnConfig(1.0, c.context, beta_fast=32.0)
    return replace(c.rope_scaling, mscale=None, mscale_all_dim=None, attention_factor=1.0)


@torch.no_grad()
def convert(dense: DenseModel, statistics: Sequence[LayerStatistics], sizes: UpcycleSizes, *, seed: int) -> K2Model:
    """The converted network in float32; see `upcycled_config` for what is refused."""
    config = upcycled_config(dense, sizes)
    generator = torch.Generator().manual_seed(seed)
    model = meta_model(config, Path("base"))
    allocate(model, Path("base"))
    w = dense.weights
    for target, source in ((model.model.embed_tokens, w.embed), (model.lm_head, w.head)):
        target.weight.zero_()
        target.weight[: len(source)] = source
    model.model.norm.weight.copy_(w.final_norm)
    for number, layer in enumerate(model.model.layers):
        own = statistics[number]
        layer.input_layernorm.weight.copy_(w.attn_norm[number])
        layer.post_attention_layernorm.weight.copy_(w.ffn_norm[number])
        _fill(layer.self_attn, convert_attention(dense, number, own, sizes.attention, generator))
        if isinstance(layer.mlp, MLP):
            _fill(layer.mlp, split_dense(dense, number))
        else:
            _fill(layer.mlp, convert_experts(dense, number, own, sizes.experts, generator))
    return model


def _fill(module: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    own = dict(module.named_parameters()) | dict(module.named_buffers())
    if own.keys() != tensors.keys():
        raise KeyError(f"{sorted(own.keys() ^ tensors.keys())}: not in both the layer and its conversion")
    for name, tensor in tensors.items():
        own[name].copy_(tensor)
