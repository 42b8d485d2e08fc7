"""Reads a dense network of the Llama and Qwen families from a transformers folder, one tensor at a time."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from k2model.config import YarnConfig, read_yarn
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.dense import DenseConfig, DenseWeights
from k2model.formats.shards import open_shard, read_json, read_tensor, shard_files

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
UNKNOWN = {  # what such a network may have and the conversion has no place for; the value that means that it hasn't
    "mlp_bias": False,
    "use_sliding_window": False,
    "sliding_window": None,
    "partial_rotary_factor": 1.0,
    "pretraining_tp": 1,
}


def is_dense(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is one of a network that `load_dense` reads."""
    return config.get("model_type") in MODEL_TYPES


def load_dense(folder: Path, dtype: torch.dtype) -> tuple[DenseConfig, DenseWeights]:
    """Configuration and weights in `dtype`.

    Raises:
        CheckpointError: no such folder, a tensor that is missing or has another shape, or a part of the network that
            has no place in K2's layout; the line names it.
    """
    path = Path(folder) / "config.json"
    value = read_json(path)
    try:
        config = _config(value)
    except KeyError as error:
        raise CheckpointError(f"{path}: {error} is missing") from None
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return config, _weights(Path(folder), config, dtype, tied=bool(value.get("tie_word_embeddings", False)))


def _config(value: dict[str, Any]) -> DenseConfig:
    kind = value.get("model_type")
    if kind not in MODEL_TYPES:
        raise ConfigError(f"model_type: {kind!r:.80}; {', '.join(MODEL_TYPES)} are converted")
    if value.get("hidden_act", "silu") != "silu":
        raise ConfigError(f"hidden_act: {value['hidden_act']!r:.80}; a K2 network has 'silu'")
    for key, absent in UNKNOWN.items():
        sliding = key == "sliding_window" and kind in ("qwen2", "qwen3") and not value.get("use_sliding_window", False)
        if value.get(key, absent) != absent and not sliding:
            raise ConfigError(f"{key}: {value[key]!r:.80}; a K2 network has no such thing")
    if any(layer != "full_attention" for layer in value.get("layer_types") or ()):
        raise ConfigError("layer_types: a K2 network has full attention in every layer")
    heads = value["num_attention_heads"]
    rope = value.get("rope_scaling") or value.get("rope_parameters") or {}
    scaling = _scaling(rope, value)
    return DenseConfig(
        layers=value["num_hidden_layers"],
        hidden=value["hidden_size"],
        heads=heads,
        kv_heads=value.get("num_key_value_heads") or heads,
        head_dim=value.get("head_dim") or value["hidden_size"] // heads,
        ffn=value["intermediate_size"],
        vocab=value["vocab_size"],
        context=value["max_position_embeddings"],
        eps=value.get("rms_norm_eps", 1e-6),
        rope_base=rope.get("rope_theta") or value.get("rope_theta", 10000.0),
        rope_scaling=scaling,
        llama3_ramp=rope.get("rope_type") == "llama3",
    )


def _scaling(rope: Any, config: dict[str, Any]) -> YarnConfig | None:
    """Positions' scaling as YaRN; Llama 3's rule is one of its kind, with a ramp in rotations and no temperature."""
    kind = (rope.get("rope_type") or rope.get("type")) if isinstance(rope, dict) else None
    if kind == "llama3":
        return YarnConfig(
            factor=rope["factor"],
            original_max_position_embeddings=rope["original_max_position_embeddings"],
            beta_fast=rope["high_freq_factor"],
            beta_slow=rope["low_freq_factor"],
            mscale=None,
            mscale_all_dim=None,
            attention_factor=1.0,
            truncate=False,
        )
    if kind not in (None, "default", "yarn"):
        raise ConfigError(f"rope_scaling: {kind!r:.80}; none, yarn and llama3 can be read")
    return read_yarn(rope, config)


def _weights(folder: Path, c: DenseConfig, dtype: torch.dtype, *, tied: bool) -> DenseWeights:
    files = shard_files(folder)
    file_of = {name: file for file, names in files.items() for name in names}
    with ExitStack() as stack:
        handles = {file: stack.enter_context(open_shard(folder / file)) for file in files}

        def read(name: str, *shape: int) -> Tensor:
            if name not in file_of:
                raise CheckpointError(f"{folder}: tensor {name} is missing")
            path = folder / file_of[name]
            tensor = read_tensor(handles[file_of[name]], name, path)
            if tuple(tensor.shape) != shape:
                raise CheckpointError(f"{path}: tensor {name} is {tuple(tensor.shape)}, expected {shape}")
            return tensor.to(dtype)

        def layers(*parts: tuple[str, tuple[int, ...]]) -> list[Tensor]:
            if f"model.layers.0.{parts[0][0]}" not in file_of and parts[0][0].endswith((".bias", "q_norm.weight")):
                return []
            return [
                torch.cat([read(f"model.layers.{layer}.{name}", *shape) for name, shape in parts])
                for layer in range(c.layers)
            ]

        queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        attn = "self_attn"
        widths = {"q": queries, "k": keys, "v": keys}
        if f"model.layers.0.{attn}.o_proj.bias" in file_of:
            raise CheckpointError(f"{folder}: tensor model.layers.0.{attn}.o_proj.bias: a K2 network has no such thing")
        embed = read("model.embed_tokens.weight", c.vocab, c.hidden)
        norms_of_heads = f"model.layers.0.{attn}.q_norm.weight" in file_of
        return DenseWeights(
            embed=embed,
            head=embed if tied else read("lm_head.weight", c.vocab, c.hidden),
            final_norm=read("model.norm.weight", c.hidden),
            attn_norm=layers(("input_layernorm.weight", (c.hidden,))),
            qkv=layers(*((f"{attn}.{part}_proj.weight", (width, c.hidden)) for part, width in widths.items())),
            out=layers((f"{attn}.o_proj.weight", (c.hidden, queries))),
            ffn_norm=layers(("post_attention_layernorm.weight", (c.hidden,))),
            gate_up=layers(("mlp.gate_proj.weight", (c.ffn, c.hidden)), ("mlp.up_proj.weight", (c.ffn, c.hidden))),
            down=layers(("mlp.down_proj.weight", (c.hidden, c.ffn))),
            qkv_bias=layers(*((f"{attn}.{part}_proj.bias", (width,)) for part, width in widths.items())),
            q_norm=layers((f"{attn}.q_norm.weight", (c.head_dim,))) if norms_of_heads else [],
            k_norm=layers((f"{attn}.k_norm.weight", (c.head_dim,))) if norms_of_heads else [],
        )
