"""What a preset costs: parameters, bytes, FLOPs per token.

    python -m k2model.describe k2 [--context 131072]

Parameters are counted on the meta device, so a preset of a trillion of them takes seconds and no memory.
"""

import argparse
import functools
import sys
from dataclasses import dataclass

import torch

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.flops import forward_flops_per_token
from k2model.model import K2Model

INT4_GROUP = 32
INT4_BYTES = 0.5 + 2 / INT4_GROUP  # a code, and its share of the group's bfloat16 scale


@dataclass(frozen=True)
class ParameterCounts:
    """Counts of weights; `active` are those that one token is multiplied by, embedding and head included."""

    embedding: int
    head: int
    attention: int
    dense: int
    router: int
    routed: int
    shared: int
    norms: int
    active_routed: int

    @property
    def total(self) -> int:
        parts = (self.attention, self.dense, self.router, self.routed, self.shared, self.norms)
        return self.embedding + self.head + sum(parts)

    @property
    def active(self) -> int:
        return self.total - self.routed + self.active_routed


@functools.cache
def count_parameters(config: K2Config) -> ParameterCounts:
    """Counts the parameters of the real modules, built on the meta device."""
    kinds = {
        "embed_tokens": "embedding",
        "lm_head": "head",
        "norm": "norms",
        "self_attn": "attention",
        ".mlp.experts.": "routed",
        ".mlp.shared_experts.": "shared",
        ".mlp.gate.": "router",
        ".mlp.": "dense",
    }
    counts = dict.fromkeys(kinds.values(), 0)
    with torch.device("meta"):
        model = K2Model(config)
    for name, parameter in model.named_parameters():
        counts[next(kind for part, kind in kinds.items() if part in name)] += parameter.numel()
    active = counts["routed"] * config.num_experts_per_tok // config.n_routed_experts
    return ParameterCounts(**counts, active_routed=active)


def checkpoint_bytes(parameters: ParameterCounts, *, int4_experts: bool) -> float:
    """Bytes of a checkpoint: bfloat16, the routed experts 4-bit with a bfloat16 scale per 32 when asked."""
    routed = parameters.routed * (INT4_BYTES if int4_experts else 2.0)
    return 2.0 * (parameters.total - parameters.routed) + routed


def head_cost(config: K2Config, heads: int, context: int) -> tuple[float, float]:
    """Relative increase of a decoded token's FLOPs at `context` when the model has `heads` heads.

    Returns:
        (as the report counts, with the projections): the K2 report, Figure 6, adds attention scores to two FLOPs per
        activated parameter and leaves the parameters as they are; more heads also widen the projections.
    """
    wider = config.replace(num_attention_heads=heads)
    linear = 2.0 * count_parameters(config).active
    before, after = (forward_flops_per_token(c, context) for c in (config, wider))
    report = (linear + after["attention scores"]) / (linear + before["attention scores"]) - 1
    return report, sum(after.values()) / sum(before.values()) - 1


def describe(name: str, context: int | None = None) -> str:
    """The text that the command prints."""
    config = K2Config.preset(name)
    context = context or config.max_position_embeddings
    n = count_parameters(config)
    heads = config.num_attention_heads
    lines = [
        f"{name}: {config.num_hidden_layers} layers, width {config.hidden_size}, {heads} heads, "
        f"{config.num_experts_per_tok} of {config.n_routed_experts} experts, "
        f"routed_scaling_factor {config.routed_scaling_factor}",
        "",
        f"parameters             {_count(n.total):>10}   active {_count(n.active)}"
        f" (without the input embedding {_count(n.active - n.embedding)})",
    ]
    for kind in ("embedding", "head", "attention", "dense", "router", "routed", "shared", "norms"):
        count = getattr(n, kind)
        lines.append(f"  {kind:20s} {_count(count):>10} {count / n.total:7.2%}")
    lines += [
        "",
        f"checkpoint             {_bytes(checkpoint_bytes(n, int4_experts=False)):>10}   "
        f"with INT4 experts {_bytes(checkpoint_bytes(n, int4_experts=True))}",
        f"cache per token        {_bytes(2.0 * cache_values(config)):>10}   (bfloat16, compressed)",
        "",
        f"forward FLOPs per token when decoding at {context:,} positions",
    ]
    flops = forward_flops_per_token(config, context)
    total = sum(flops.values())
    lines += [f"  {kind:22s} {value:10.3e} {value / total:7.2%}" for kind, value in flops.items()]
    lines.append(f"  {'sum':22s} {total:10.3e}")
    report, whole = head_cost(config, 2 * heads, context)
    lines += [
        "",
        f"{heads} → {2 * heads} heads at {context:,} positions: {report:+.0%} (the report's count: scores only), "
        f"{whole:+.0%} with the wider projections",
    ]
    return "\n".join(lines)


def cache_values(config: K2Config) -> int:
    """Values that the compressed cache keeps per token."""
    return config.num_hidden_layers * (config.kv_lora_rank + config.qk_rope_head_dim)


def _count(value: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.describe", description="What a preset costs.")
    parser.add_argument("preset")
    parser.add_argument("--context", type=int, help="positions a decoded token attends to (the preset's maximum)")
    args = parser.parse_args()
    try:
        if args.context is not None and args.context < 1:
            raise ConfigError(f"--context: {args.context} is below 1")
        print(describe(args.preset, args.context))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
