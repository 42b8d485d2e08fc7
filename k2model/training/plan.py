"""A training on paper, for the layouts that the engine takes: memory per GPU, tokens per second, days.

    python -m k2model.training.plan moonlight-16b --gpus 8 --gpu h100 [--stage rl --zero 3 --ep 8 --recompute layer]

What each ZeRO stage keeps on a rank is DeepSpeed's way with Muon (`k2model.training.zero`); tests hold the states to
measured bytes. Pipeline, tensor and context parallelism are not this engine's.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch

from k2model.config import K2Config, Recompute
from k2model.describe import cache_values, count_parameters
from k2model.errors import ConfigError
from k2model.flops import train_flops_per_token
from k2model.formats import quant
from k2model.formats.checkpoint import load_config
from k2model.model import CHUNK_ELEMENTS, K2Model
from k2model.training.layout import BUCKET, LIVE
from k2model.training.muon import rule_of
from k2model.training.options import Layout, Rule

FLOAT = 4.0  # bytes: masters, momenta, moments, sums of gradients
USABLE = 0.92  # of a GPU's memory; the rest is the runtime's, the communicators' and fragmentation
MUON_COPIES = 6  # of a bucket under stage 3: gradients, momenta, what ranks send each other; 5.6 were measured
LOSS_COPIES = 3  # of a chunk of logits in float32: themselves, their softmax, their gradient
ALIGNED = 2  # elements that a rank's partition is rounded up to
Train = Literal["pretrain", "sft", "rl", "qat"]


@dataclass(frozen=True)
class Gpu:
    """Dense bfloat16 FLOP/s and bytes of memory (vendor data sheets)."""

    flops: float
    memory: float


GPUS = {
    "a100": Gpu(312e12, 80e9),
    "h800": Gpu(989e12, 80e9),
    "h100": Gpu(989e12, 80e9),
    "h200": Gpu(989e12, 141e9),
    "b200": Gpu(2250e12, 180e9),
}


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest rank.

    gradients: with Muon's updates beside them. moments: Muon's momentum, AdamW's two. staged: momenta of a step that
    may still be dropped (stages 1 and 2). transient: gradients of the backward pass under
    stages 1 and 2; whole parameters of a layer, and buckets, under stage 3.
    sampling: the cache of rollouts, which run on the weights in training.
    """

    weights: float
    gradients: float
    master: float
    moments: float
    staged: float = 0.0
    transient: float = 0.0
    activations: float = 0.0
    loss: float = 0.0
    sampling: float = 0.0

    @property
    def states(self) -> float:
        return self.weights + self.gradients + self.master + self.moments + self.staged

    @property
    def total(self) -> float:
        return float(sum(astuple(self)))


@dataclass(frozen=True)
class _Sizes:
    """Values of this rank's parameters, in their order: experts' share, Muon's other matrices, the rest."""

    experts: list[int]
    matrices: list[int]
    rest: list[int]

    @property
    def all(self) -> int:
        return sum(self.experts) + sum(self.matrices) + sum(self.rest)


def _sizes(config: K2Config, matrices: Rule, ep: int) -> _Sizes:
    with torch.device("meta"):
        model = K2Model(config)
    sizes = _Sizes([], [], [])
    for name, param in model.named_parameters():
        muon = matrices == "muon" and rule_of(name, param.ndim) == "muon"
        if param.ndim == 3:
            sizes.experts.append(param.numel() // ep)
        else:
            (sizes.matrices if muon else sizes.rest).append(param.numel())
    return sizes


def _touched(sizes: Sequence[int], ranks: int) -> int:
    """Values of whole parameters that the fullest partition overlaps: Muon needs them whole."""
    each = -(-sum(sizes) // (ranks * ALIGNED)) * ALIGNED
    most = 0
    for rank in range(ranks):
        low, high, at, held = rank * each, (rank + 1) * each, 0, 0
        for size in sizes:
            held += size if at < high and at + size > low else 0
            at += size
        most = max(most, held)
    return most


def state_memory(config: K2Config, layout: Layout, ranks: int, *, matrices: Rule, stored: float) -> Memory:
    """Weights, gradients and optimizer state of a rank.

    Args:
        stored: bytes of a working weight.
    """
    ep, muon = layout.expert_parallel, matrices == "muon"
    sizes = _sizes(config, matrices, ep)
    experts, other, rest = sum(sizes.experts), sum(sizes.matrices), sum(sizes.rest)
    mine = experts * ep / ranks + (other + rest) / ranks
    if layout.zero == 0:
        moments = FLOAT * (experts + other) + 2 * FLOAT * rest if muon else 2 * FLOAT * sizes.all
        return Memory(stored * sizes.all, FLOAT * sizes.all, 0.0, moments)
    ours = (experts * ep + other) / ranks if muon else 0.0
    adamw = mine - ours
    if layout.zero == 3:
        moments = FLOAT * ours + 2 * FLOAT * adamw
        return Memory(stored * mine, FLOAT * mine, FLOAT * mine, moments, transient=_transient(sizes, stored, muon))
    held = _touched(sizes.experts, ranks // ep) + _touched(sizes.matrices, ranks) if muon else 0
    shared = _touched(sizes.rest, ranks) if muon else _touched(sizes.experts, ranks // ep) + _touched(sizes.rest, ranks)
    gradients = FLOAT * (2 * held + shared)
    moments = FLOAT * held + 2 * FLOAT * adamw
    backward = FLOAT * (sizes.all if layout.zero == 1 else min(2 * BUCKET, sizes.all))  # before they are shared out
    return Memory(stored * sizes.all, gradients, FLOAT * mine, moments, FLOAT * held, backward)


def _transient(sizes: _Sizes, stored: float, muon: bool) -> float:
    """Stage 3: the parameters of a layer, those that are fetched ahead, and what Muon puts together."""
    layers = max(1, len(sizes.experts) // 3)
    layer = max((sum(sizes.experts) + sum(sizes.matrices)) / layers, *sizes.rest)
    whole = min(sizes.all, layer + LIVE)
    return stored * whole + (MUON_COPIES * FLOAT * min(BUCKET, sizes.all) if muon else 0.0)


def activation_bytes(config: K2Config, tokens: int, recompute: Recompute, width: float = 2.0) -> float:
    """Bytes that the forward pass of a micro-batch keeps for the backward pass, the head's loss apart.

    Args:
        recompute: `none` keeps everything; `layer` each layer's input, and one layer while it is recomputed; `parts`
            the inputs of attention and of the feed-forward part, and the larger of the two.
        width: bytes of a value.
    """
    c = config
    heads = c.num_attention_heads
    attention = 2 * c.hidden_size + 2 * (c.q_lora_rank or 0) + 2 * (c.kv_lora_rank + c.qk_rope_head_dim)
    attention += heads * (2 * c.qk_head_dim + c.qk_nope_head_dim + 3 * c.v_head_dim)
    experts = c.num_experts_per_tok + c.n_shared_experts
    feed_forward = c.hidden_size * (2 + c.num_experts_per_tok) + 3 * experts * c.moe_intermediate_size
    last_norm = 2 * c.hidden_size
    if recompute == "none":
        return width * tokens * ((attention + feed_forward) * c.num_hidden_layers + last_norm)
    inputs = c.hidden_size * c.num_hidden_layers * (2 if recompute == "parts" else 1)
    live = max(attention, feed_forward) if recompute == "parts" else attention + feed_forward
    return width * tokens * (inputs + live + last_norm)


def memory_per_gpu(
    config: K2Config,
    layout: Layout,
    ranks: int,
    *,
    stage: Train = "pretrain",
    tokens: int = 4096,
    rollouts: int = 64,
    context: int = 4096,
) -> Memory:
    """Bytes on a GPU; `tokens` of a micro-batch, and for `rl` so many `rollouts` at once of `context` tokens."""
    width = 2.0 if layout.compute == "bfloat16" else 4.0
    matrices: Rule = "adamw" if stage in ("sft", "qat") else "muon"
    memory = state_memory(config, layout, ranks, matrices=matrices, stored=width)
    loss = FLOAT * LOSS_COPIES * min(tokens * config.vocab_size, max(CHUNK_ELEMENTS, config.vocab_size))
    sampling = 0.0
    if stage == "rl":
        sampling = width * rollouts * context * cache_values(config)
    if stage == "qat":  # what the INT4 rule makes of a layer's experts, beside them
        experts = count_parameters(config).routed / max(1, config.num_moe_layers) / layout.expert_parallel
        memory = replace(memory, transient=memory.transient + width * experts)
    activations = activation_bytes(config, tokens, layout.recompute, width)
    return replace(memory, activations=activations, loss=loss, sampling=sampling)


def check_layout(config: K2Config, layout: Layout, gpus: int) -> None:
    """Raises ConfigError for a layout that the engine refuses."""
    layout.check("muon", 0.0, gpus)
    if config.n_routed_experts % layout.expert_parallel:
        raise ConfigError(f"--ep: {layout.expert_parallel} does not divide n_routed_experts {config.n_routed_experts}")


def choose_layout(config: K2Config, gpus: int, gpu: Gpu, wanted: Layout, ep: int = 0, **sizes: object) -> Layout:
    """`wanted`, with the fewest expert-parallel ranks that fit unless `ep` says how many.

    Raises:
        ConfigError: nothing fits, or the layout can't be.
    """
    if gpus < 1:
        raise ConfigError(f"--gpus: {gpus} is below 1")
    tried = []
    for size in [ep] if ep else [d for d in range(1, gpus + 1) if gpus % d == 0 and config.n_routed_experts % d == 0]:
        layout = replace(wanted, expert_parallel=size)
        check_layout(config, layout, gpus)
        tried.append((memory_per_gpu(config, layout, gpus, **sizes).total, layout))  # type: ignore[arg-type]
        if tried[-1][0] <= USABLE * gpu.memory or ep:
            return layout
    least = min(tried, key=lambda one: one[0])[0]
    raise ConfigError(
        f"--gpus: {gpus} GPUs of {gpu.memory / 1e9:.0f} GB don't hold this model with zero {wanted.zero}: the best "
        f"expert parallel size needs {least / 1e9:.0f} GB on each"
    )


def tokens_per_second(config: K2Config, gpus: int, gpu: Gpu, mfu: float, sequence_length: int) -> float:
    """Trained tokens per second at a model FLOPs utilisation."""
    return gpus * gpu.flops * mfu / train_flops_per_token(config, sequence_length)


def _network(name: str) -> K2Config:
    return load_config(Path(name)) if Path(name, "config.json").exists() else K2Config.preset(name)


def plan(
    name: str,
    gpus: int,
    gpu_name: str,
    *,
    stage: Train = "pretrain",
    layout: Layout | None = None,
    ep: int = 0,
    mfu: float = 0.35,
    sequence_length: int = 4096,
    micro_batch: int = 1,
    rollouts: int = 64,
    tokens: float = 15.5e12,
) -> str:
    """The text that the command prints.

    Args:
        name: a preset, or a model folder.
        layout: by default bfloat16 with ZeRO-3 and recomputed layers.

    Raises:
        ConfigError: an unknown GPU, a number out of range or a layout that doesn't fit.
    """
    config = _network(name)
    if gpu_name not in GPUS:
        raise ConfigError(f"--gpu: no {gpu_name!r}; known: {', '.join(GPUS)}")
    if not 0 < mfu <= 1:
        raise ConfigError(f"--mfu: {mfu} is outside (0, 1]")
    for option, value in (("--seq-len", sequence_length), ("--micro-batch", micro_batch), ("--tokens", tokens)):
        if not 1 <= value < math.inf:
            raise ConfigError(f"{option}: {value} is no number from 1 on")
    if rollouts < 0:
        raise ConfigError(f"--rollouts: {rollouts} is below 0")
    gpu, local = GPUS[gpu_name], sequence_length * micro_batch
    sizes = {"stage": stage, "tokens": local, "rollouts": rollouts, "context": sequence_length}
    chosen = choose_layout(config, gpus, gpu, layout or Layout("bfloat16", 3, recompute="layer"), ep, **sizes)
    memory = memory_per_gpu(config, chosen, gpus, **sizes)  # type: ignore[arg-type]
    n = count_parameters(config)
    speed = tokens_per_second(config, gpus, gpu, mfu, sequence_length)
    fits = memory.total <= USABLE * gpu.memory
    rows = {field.name: getattr(memory, field.name) for field in fields(memory)} | {"sum": memory.total}
    return "\n".join(
        [
            f"{name} on {gpus} × {gpu_name}: {n.total / 1e9:.2f}B parameters, {n.active / 1e9:.2f}B active",
            f"{stage}: {chosen.compute}, zero {chosen.zero}, expert_parallel {chosen.expert_parallel}, recompute "
            f"{chosen.recompute}, micro-batches of {local:,} tokens",
            f"states {memory.states / 1e9:.2f} GB; memory of the fullest GPU:",
            *(f"  {label:36s} {value / 1e9:8.2f} GB" for label, value in rows.items()),
            f"  {'of ' + gpu_name:36s} {gpu.memory / 1e9:8.2f} GB{'' if fits else '   DOES NOT FIT'}",
            f"speed at {mfu:.0%} MFU, sequences of {sequence_length:,}: {speed:,.0f} tokens/s, "
            f"{speed / gpus:,.0f} per GPU",
            f"{tokens / 1e12:.4g}T tokens: {tokens / speed / 86400:,.1f} days, "
            f"{tokens / speed / 3600 * gpus / 1e6:,.3f} million GPU hours",
            _int4_decoding(config),
        ]
    )


def _int4_decoding(config: K2Config) -> str:
    """How much of what a token reads INT4 makes smaller, and what that is worth at best."""
    try:
        found = quant.sizes(config)
    except ConfigError as error:
        return f"no INT4: {error}"
    return (
        f"in INT4: routed experts are {found.routed_share:.1%} of the bytes that a token reads; decoding is at most "
        f"{found.decode_ceiling:.2f} times as fast as in bfloat16, with the dense parts in 8 bits (not K2's rule) "
        f"{found.dense8_ceiling:.2f} times"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.training.plan", description="A training on paper.")
    parser.add_argument("network", help="a preset, or a model folder")
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("--gpu", default="h100", help=", ".join(GPUS))
    parser.add_argument("--stage", choices=("pretrain", "sft", "rl", "qat"), default="pretrain")
    parser.add_argument("--compute", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--zero", type=int, choices=(0, 1, 2, 3), default=3)
    parser.add_argument("--ep", type=int, default=0, help="expert-parallel ranks (chosen when left out)")
    parser.add_argument("--recompute", choices=("none", "layer", "parts"), default="layer")
    parser.add_argument("--mfu", type=float, default=0.35, help="model FLOPs utilisation")
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--micro-batch", type=int, default=1, help="sequences of a micro-batch")
    parser.add_argument("--rollouts", type=int, default=64, help="sampled at once, for rl")
    parser.add_argument("--tokens", type=float, default=15.5e12)
    args = parser.parse_args()
    try:
        print(
            plan(
                args.network,
                args.gpus,
                args.gpu,
                stage=args.stage,
                layout=Layout(args.compute, args.zero, recompute=args.recompute),
                ep=args.ep,
                mfu=args.mfu,
                sequence_length=args.seq_len,
                micro_batch=args.micro_batch,
                rollouts=args.rollouts,
                tokens=args.tokens,
            )
        )
    except ValueError as error:  # a preset, a folder or a layout that can't be
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
