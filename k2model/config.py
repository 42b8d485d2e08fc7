"""The configuration of a K2 network, with the field names of Hugging Face's DeepseekV3."""

import dataclasses
import functools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from k2model.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"
MOST = 2**31 - 1  # of a size
MOST_NUMBER = 1e9
LEAST_BETA = 1e-6
Recompute = Literal["none", "layer", "parts"]  # what a backward pass computes again, see `K2Model`
# How a router chooses its experts, and the scores that it does it by; transformers has these three.
SCORES = {"noaux_tc": "sigmoid", "greedy": "softmax", "group_limited_greedy": "softmax"}
# `model_type` of a config.json → what is left out in it.
ROUTERS: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"scoring_func": "softmax", "topk_method": "greedy", "norm_topk_prob": False},
    "deepseek_v3": {},
    "kimi_k2": {},
}


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


def check_int(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Raises ConfigError, naming the key, when the value is no integer between `least` (0 or 1) and `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        kind = {0: "no integer of at least 0", 1: "no positive integer"}[least]
        raise ConfigError(f"{name}: {value!r:.80} is {kind if not _above(value, most) else f'above {most:,}'}")


def _above(value: Any, most: int) -> bool:
    return isinstance(value, int) and value > most


def check_number(name: str, value: Any) -> None:
    """Raises ConfigError, naming the key, when the value is no number of a usable size."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_NUMBER:
        raise ConfigError(f"{name}: {value!r:.80} is no number")


@dataclass(frozen=True)
class YarnConfig:
    """YaRN as DeepSeek-V3 defines it; K2 sets `beta_fast` = `beta_slow` = 1, so the ramp is almost a step.

    The defaults are K2's; what a foreign `config.json` leaves out is filled in by `K2Config.from_dict`.

    Args:
        mscale, mscale_all_dim: with both, rotary positions are scaled by their ratio (see `rotary_scale`); the second
            alone scales the softmax. None or 0 is neither.
        attention_factor: scales rotary positions in place of the rule; None: by the rule.
        truncate: whether the ramp begins and ends at whole pairs.
    """

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 1.0
    beta_slow: float = 1.0
    mscale: float | None = 1.0
    mscale_all_dim: float | None = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        for name in ("factor", "beta_fast", "beta_slow"):
            check_number(f"rope_scaling.{name}", getattr(self, name))
        for name in ("mscale", "mscale_all_dim", "attention_factor"):
            if getattr(self, name) is not None:
                check_number(f"rope_scaling.{name}", getattr(self, name))
        if self.factor < 1:
            raise ConfigError(f"rope_scaling.factor: {self.factor} is below 1")
        check_int("rope_scaling.original_max_position_embeddings", self.original_max_position_embeddings, 1)
        if self.beta_slow < LEAST_BETA:
            raise ConfigError(f"rope_scaling.beta_slow: {self.beta_slow} is below {LEAST_BETA}")
        if self.beta_fast < self.beta_slow:
            raise ConfigError(f"rope_scaling.beta_fast: {self.beta_fast} is below beta_slow {self.beta_slow}")
        if self.attention_factor is not None and self.attention_factor <= 0:
            raise ConfigError(f"rope_scaling.attention_factor: {self.attention_factor} is not above 0")
        if not isinstance(self.truncate, bool):
            raise ConfigError(f"rope_scaling.truncate: {self.truncate!r:.80} is neither true nor false")
        if self.rotary_scale <= 0 or self.softmax_scale <= 0:
            raise ConfigError(f"rope_scaling.mscale_all_dim: {self.mscale_all_dim} with mscale {self.mscale}")

    def to_hf_dict(self) -> dict[str, Any]:
        """The fields that `config.json` needs: those that are None or whose default is transformers' are left out."""
        value = {key: item for key, item in dataclasses.asdict(self).items() if item is not None}
        if self.truncate:
            del value["truncate"]
        return value

    @property
    def rotary_scale(self) -> float:
        """What cosines and sines are multiplied by (transformers `_compute_yarn_parameters`)."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            below = _mscale(self.factor, self.mscale_all_dim)
            return _mscale(self.factor, self.mscale) / below if below else 0.0
        return _mscale(self.factor, 1.0)

    @property
    def softmax_scale(self) -> float:
        """mscale² of the softmax scale, 1 without `mscale_all_dim` (transformers `yarn_apply_mscale`)."""
        return _mscale(self.factor, self.mscale_all_dim) ** 2 if self.mscale_all_dim else 1.0


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


@dataclass(frozen=True)
class K2Config:
    """A K2 network. Sizes are in elements; every field is checked when the object is made.

    `q_lora_rank` None, as in Moonlight, is a query without compression: one matrix `q_proj`. The router is
    DeepSeek-V3's (`noaux_tc`: sigmoid scores and a correction bias) or one of DeepSeek-V2's (`greedy` and
    `group_limited_greedy`: softmax scores as they are).

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
    scoring_func: str = "sigmoid"
    topk_method: str = "noaux_tc"
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
            check_int(name, getattr(self, name), 1)
        for name in ("first_k_dense_replace", "n_shared_experts"):
            check_int(name, getattr(self, name), 0)
        for name in ("rope_theta", "rms_norm_eps", "initializer_range"):
            check_number(name, getattr(self, name))
        if self.q_lora_rank is not None:
            try:
                check_int("q_lora_rank", self.q_lora_rank, 1)
            except ConfigError:
                raise ConfigError(
                    f"q_lora_rank: {self.q_lora_rank!r:.80} is neither null nor a positive integer"
                ) from None
        if not isinstance(self.norm_topk_prob, bool):
            raise ConfigError(f"norm_topk_prob: {self.norm_topk_prob!r:.80} is neither true nor false")
        if self.qk_rope_head_dim % 2:
            raise ConfigError(f"qk_rope_head_dim: {self.qk_rope_head_dim} is odd; rotary pairs need an even width")
        self._check_router()
        if self.n_routed_experts % self.n_group:
            raise ConfigError(f"n_group: {self.n_group} does not divide n_routed_experts {self.n_routed_experts}")
        if self.topk_group > self.n_group:
            raise ConfigError(f"topk_group: {self.topk_group} exceeds n_group {self.n_group}")
        reachable = self.topk_group * self.n_routed_experts // self.n_group
        if self.num_experts_per_tok > reachable:
            raise ConfigError(f"num_experts_per_tok: {self.num_experts_per_tok} exceeds {reachable} experts in reach")
        if self.has_expert_bias and 1 < self.n_group == self.n_routed_experts:
            raise ConfigError(f"n_group: {self.n_group} groups of one expert; the two best of a group are its score")
        if self.first_k_dense_replace > self.num_hidden_layers:
            raise ConfigError(f"first_k_dense_replace: {self.first_k_dense_replace} of {self.num_hidden_layers} layers")
        if self.rope_theta <= 1:
            raise ConfigError(f"rope_theta: {self.rope_theta} must exceed 1")
        for name in ("rms_norm_eps", "initializer_range"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is below 0")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name}: {value!r:.80} is no token id")
            if not 0 <= value < self.vocab_size:
                raise ConfigError(f"{name}: {value} is outside the vocabulary of {self.vocab_size}")
        if self.quantization_config is not None and not isinstance(self.quantization_config, dict):
            raise ConfigError(f"quantization_config: {self.quantization_config!r:.80} is no object")
        if self.routed_scaling_factor is None:
            normed = self.has_expert_bias
            factor = gate_scaling_factor(self.n_routed_experts, self.num_experts_per_tok) if normed else 1.0
            object.__setattr__(self, "routed_scaling_factor", factor)
        check_number("routed_scaling_factor", self.routed_scaling_factor)

    def _check_router(self) -> None:
        for name, known in (("topk_method", SCORES), ("scoring_func", set(SCORES.values()))):
            if not isinstance(value := getattr(self, name), str) or value not in known:
                raise ConfigError(f"{name}: {value!r:.80} is none of {', '.join(sorted(known))}")
        if self.scoring_func != SCORES[self.topk_method]:
            raise ConfigError(
                f"scoring_func: {self.scoring_func!r} with topk_method {self.topk_method!r}, whose scores are "
                f"{SCORES[self.topk_method]!r}"
            )
        if self.norm_topk_prob and not self.has_expert_bias:
            # DeepSeek's own code would norm and not scale, transformers scales and does not norm.
            raise ConfigError(f"norm_topk_prob: true with topk_method {self.topk_method!r}; only false is known")

    @property
    def has_expert_bias(self) -> bool:
        """Whether the routers have a correction bias, which is moved in place of an auxiliary loss."""
        return self.topk_method == "noaux_tc"

    def check_bias_rate(self, rate: float) -> None:
        """Raises ConfigError when correction biases are to move and the routers have none."""
        if rate > 0 and not self.has_expert_bias:
            raise ConfigError(
                f"bias_rate: {rate}; routers with topk_method {self.topk_method!r} have no correction bias, set it to 0"
            )

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
        yarn = self.rope_scaling
        return self.qk_head_dim**-0.5 * (1.0 if yarn is None else yarn.softmax_scale)

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
        """Reads a Hugging Face `config.json` of DeepseekV3, `kimi_k2` or DeepseekV2; keys that K2 lacks are ignored.

        What a description of YaRN leaves out is filled in as transformers does, not by K2's values.

        Raises:
            ConfigError: a missing key, or one whose value this network doesn't have.
        """
        fixed = {
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
            "rope_interleave": True,
            "moe_layer_freq": 1,
            "partial_rotary_factor": 1,
        }
        kind = value.get("model_type", "deepseek_v3")
        if not isinstance(kind, str) or kind not in ROUTERS:
            raise ConfigError(f"model_type: {kind!r:.80} is none of {', '.join(ROUTERS)}")
        value = ROUTERS[kind] | value
        for key, only in fixed.items():
            if value.get(key, only) != only:
                raise ConfigError(f"{key}: {value[key]!r:.80}; a K2 network has {only!r}")
        heads = value.get("num_key_value_heads")
        if heads is not None and heads != value.get("num_attention_heads"):
            raise ConfigError(f"num_key_value_heads: {heads!r:.80} differs from num_attention_heads; MLA has one count")
        names = {f.name for f in dataclasses.fields(cls)}
        known = {key: item for key, item in value.items() if key in names}
        for key in ("n_group", "topk_group"):
            if known.get("topk_method") == "greedy" or (key in known and known[key] is None):
                known[key] = 1
        key = "rope_scaling" if value.get("rope_scaling") else "rope_parameters"  # the second is transformers 5's name
        rope = value.get(key)
        if isinstance(rope, YarnConfig):
            known["rope_scaling"] = rope
        else:
            known["rope_scaling"] = read_yarn(rope, value)
        if isinstance(rope, dict) and rope.get("rope_theta") is not None:
            known["rope_theta"] = rope["rope_theta"]
        if isinstance(eos := known.get("eos_token_id"), list):
            if not eos:
                raise ConfigError("eos_token_id: [] names no token")
            known["eos_token_id"] = eos[0]
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
        rope = None if yarn is None else {"type": "yarn", "rope_type": "yarn", **yarn.to_hf_dict()}
        stock = ("DeepseekV3", "deepseek_v3") if self.has_expert_bias else ("DeepseekV2", "deepseek_v2")
        return value | {
            "architectures": [f"{stock[0]}ForCausalLM"],
            "model_type": stock[1],
            "rope_scaling": rope,
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "rope_interleave": True,
            "moe_layer_freq": 1,
            "num_nextn_predict_layers": 0,
            "use_cache": True,
        }


def read_yarn(rope: Any, config: dict[str, Any]) -> YarnConfig | None:
    """What `rope_scaling` or `rope_parameters` says, with transformers' defaults for what it leaves out.

    Raises:
        ConfigError: another kind of positions than plain ones and YaRN, or a value that can't be.
    """
    if rope is None or rope == {}:
        return None
    if not isinstance(rope, dict):
        raise ConfigError(f"rope_scaling: {rope!r:.80} is no object")
    for key, item in rope.items():
        if isinstance(item, dict):
            raise ConfigError(f"rope_scaling.{key}: positions by layer type; a K2 network has one kind")
    if rope.get("partial_rotary_factor", 1) != 1:
        raise ConfigError(f"rope_scaling.partial_rotary_factor: {rope['partial_rotary_factor']!r:.80}; only 1 is known")
    kind = rope.get("rope_type", rope.get("type"))
    if kind in (None, "default"):
        return None
    if kind != "yarn":
        raise ConfigError(f"rope_scaling.type: {kind!r:.80}; only 'yarn' is known")
    if "factor" not in rope:
        raise ConfigError("rope_scaling.factor: missing")
    # transformers prefers a length that stands beside `rope_scaling`, and takes the whole reach where none is given.
    length = rope.get("original_max_position_embeddings", config.get("max_position_embeddings", 4096))
    return YarnConfig(
        factor=rope["factor"],
        original_max_position_embeddings=config.get("original_max_position_embeddings", length),
        beta_fast=rope.get("beta_fast") or 32,
        beta_slow=rope.get("beta_slow") or 1,
        mscale=rope.get("mscale"),
        mscale_all_dim=rope.get("mscale_all_dim"),
        attention_factor=rope.get("attention_factor"),
        truncate=rope.get("truncate", True),
    )
