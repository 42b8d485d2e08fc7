"""The configuration of a K2 network, with the field names of Hugging Face's DeepseekV3."""

import dataclasses
import functools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from k2model.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"


@functools.cache
def gate_scaling_factor(n_experts: int, top_k: int) -> float:
    """`routed_scaling_factor` that keeps the routed output at a dense layer's RMS (Moonlight, App. C).

    The mean of 1/‖p‖₂ over random Gaussian logits, where p are the renormalised top-k sigmoid scores:
    (64, 6) → 2.446 and (384, 8) → 2.827, the factors of Moonlight and K2.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    total, rounds, rows = 0.0, 20, 10_000
    for _ in range(rounds):
        scores = 1 / (1 + np.exp(-rng.standard_normal((rows, n_experts))))
        top = np.sort(scores, axis=1)[:, -top_k:]
        p = top / top.sum(axis=1, keepdims=True)
        total += float((1 / np.sqrt((p * p).sum(axis=1))).mean())
    return round(total / rounds, 3)


@dataclass(frozen=True)
class YarnConfig:
    """YaRN as DeepSeek-V3 defines it; K2 sets `beta_fast` = `beta_slow` = 1, so the ramp is almost a step."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 1.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 1.0

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ConfigError(f"rope_scaling.factor: {self.factor} is below 1")
        if self.original_max_position_embeddings < 1:
            raise ConfigError(f"rope_scaling.original_max_position_embeddings: {self.original_max_position_embeddings}")
        if self.beta_fast < self.beta_slow:
            raise ConfigError(f"rope_scaling.beta_fast: {self.beta_fast} is below beta_slow {self.beta_slow}")


@dataclass(frozen=True)
class K2Config:
    """A K2 network. Sizes are in elements; every field is checked when the object is made.

    `q_lora_rank` None, as in Moonlight, is a query without compression: one matrix `q_proj`.

    Raises:
        ConfigError: a combination that can't be; the message names the key.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    n_routed_experts: int
    num_experts_per_tok: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    first_k_dense_replace: int = 1
    n_shared_experts: int = 1
    n_group: int = 1
    topk_group: int = 1
    norm_topk_prob: bool = True
    routed_scaling_factor: float | None = None
    rope_theta: float = 50000.0
    rope_scaling: YarnConfig | None = None
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    quantization_config: dict[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        positive = (
            "vocab_size hidden_size intermediate_size moe_intermediate_size num_hidden_layers num_attention_heads "
            "n_routed_experts num_experts_per_tok kv_lora_rank qk_nope_head_dim qk_rope_head_dim "
            "v_head_dim n_group topk_group max_position_embeddings"
        )
        for name in positive.split():
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: {value!r} is no positive integer")
        if self.q_lora_rank is not None and (not isinstance(self.q_lora_rank, int) or self.q_lora_rank < 1):
            raise ConfigError(f"q_lora_rank: {self.q_lora_rank!r} is neither null nor a positive integer")
        if self.qk_rope_head_dim % 2:
            raise ConfigError(f"qk_rope_head_dim: {self.qk_rope_head_dim} is odd; rotary pairs need an even width")
        if self.n_routed_experts % self.n_group:
            raise ConfigError(f"n_group: {self.n_group} does not divide n_routed_experts {self.n_routed_experts}")
        if self.topk_group > self.n_group:
            raise ConfigError(f"topk_group: {self.topk_group} exceeds n_group {self.n_group}")
        reachable = self.topk_group * self.n_routed_experts // self.n_group
        if self.num_experts_per_tok > reachable:
            raise ConfigError(f"num_experts_per_tok: {self.num_experts_per_tok} exceeds {reachable} experts in reach")
        if not 0 <= self.first_k_dense_replace <= self.num_hidden_layers:
            raise ConfigError(f"first_k_dense_replace: {self.first_k_dense_replace} of {self.num_hidden_layers} layers")
        if self.n_shared_experts < 0:
            raise ConfigError(f"n_shared_experts: {self.n_shared_experts}")
        if self.rope_theta <= 1:
            raise ConfigError(f"rope_theta: {self.rope_theta} must exceed 1")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < self.vocab_size:
                raise ConfigError(f"{name}: {value} is outside the vocabulary of {self.vocab_size}")
        if self.routed_scaling_factor is None:
            factor = gate_scaling_factor(self.n_routed_experts, self.num_experts_per_tok)
            object.__setattr__(self, "routed_scaling_factor", factor)

    @property
    def qk_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def query_projection(self) -> str:
        """The module of an attention layer whose rows are the queries of its heads."""
        return "q_proj" if self.q_lora_rank is None else "q_b_proj"

    @property
    def num_moe_layers(self) -> int:
        return self.num_hidden_layers - self.first_k_dense_replace

    @property
    def softmax_scale(self) -> float:
        """1/√(nope+rope), times mscale² where YaRN is on (DeepSeek-V3 inference/model.py)."""
        scale = self.qk_head_dim**-0.5
        yarn = self.rope_scaling
        if yarn is not None and yarn.mscale_all_dim and yarn.factor > 1:
            scale *= (0.1 * yarn.mscale_all_dim * math.log(yarn.factor) + 1.0) ** 2
        return scale

    def replace(self, **changes: Any) -> "K2Config":
        return dataclasses.replace(self, **changes)

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> "K2Config":
        """A preset of `k2model/presets/`, with fields replaced.

        Raises:
            ConfigError: no such preset, or a field that can't be.
        """
        path = PRESETS / f"{name}.json"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.json")))
            raise ConfigError(f"model: no preset {name!r}; presets: {known}")
        return cls.from_dict(json.loads(path.read_text()) | overrides)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "K2Config":
        """Reads a Hugging Face `config.json` of DeepseekV3 or `kimi_k2`; keys that K2 doesn't have are ignored.

        Raises:
            ConfigError: a missing key, or one whose value this network doesn't have.
        """
        fixed = {
            "hidden_act": "silu",
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "attention_bias": False,
            "tie_word_embeddings": False,
            "rope_interleave": True,
            "moe_layer_freq": 1,
        }
        for key, only in fixed.items():
            if value.get(key, only) != only:
                raise ConfigError(f"{key}: {value[key]!r}; a K2 network has {only!r}")
        heads = value.get("num_key_value_heads", value.get("num_attention_heads"))
        if heads != value.get("num_attention_heads"):
            raise ConfigError(f"num_key_value_heads: {heads} differs from num_attention_heads; MLA has one count")
        names = {f.name for f in dataclasses.fields(cls)}
        known = {key: item for key, item in value.items() if key in names}
        rope = value.get("rope_scaling") or value.get("rope_parameters")
        known["rope_scaling"] = rope if isinstance(rope, YarnConfig) else _yarn(rope)
        if isinstance(rope, dict) and "rope_theta" in rope:
            known.setdefault("rope_theta", rope["rope_theta"])
        if isinstance(known.get("eos_token_id"), list):
            known["eos_token_id"] = known["eos_token_id"][0]
        required = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in known]
        if required:
            raise ConfigError(f"{required[0]}: missing")
        return cls(**known)

    def to_hf_dict(self) -> dict[str, Any]:
        """`config.json` that stock transformers, vLLM and SGLang read."""
        value = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        yarn = value.pop("rope_scaling")
        if value["quantization_config"] is None:
            del value["quantization_config"]
        rope = None if yarn is None else {"type": "yarn", "rope_type": "yarn", **dataclasses.asdict(yarn)}
        return value | {
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v3",
            "rope_scaling": rope,
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "rope_interleave": True,
            "moe_layer_freq": 1,
            "num_nextn_predict_layers": 0,
            "use_cache": True,
        }


def _yarn(value: dict[str, Any] | None) -> YarnConfig | None:
    if value is None:
        return None
    kind = value.get("rope_type", value.get("type"))
    if kind in (None, "default"):
        return None
    if kind != "yarn":
        raise ConfigError(f"rope_scaling.type: {kind!r}; only 'yarn' is known")
    names = {f.name for f in dataclasses.fields(YarnConfig)}
    missing = {"factor", "original_max_position_embeddings"} - set(value)
    if missing:
        raise ConfigError(f"rope_scaling.{min(missing)}: missing")
    return YarnConfig(**{key: item for key, item in value.items() if key in names and item is not None})
