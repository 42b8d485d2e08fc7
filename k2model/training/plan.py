"""Training a preset on paper: layout, memory per GPU, tokens per second, days.

    python -m k2model.training.plan k2 --gpus 2048 --gpu h100 [--pp 16 --ep 16] [--mfu 0.35]

The rules are those of the K2 report §2.4: pipeline × expert parallel × data parallel, bfloat16 weights, float32
gradient accumulation, optimizer states sharded over the data-parallel ranks (ZeRO-1), no tensor parallelism.
Within a pipeline stage the routed experts are split over the expert-parallel ranks; everything else is replicated
on them, and is data-parallel across them.
"""

import argparse
import sys
from dataclasses import dataclass

from k2model.config import K2Config
from k2model.describe import count_parameters
from k2model.errors import ConfigError
from k2model.flops import train_flops_per_token

WEIGHT, GRADIENT = 2.0, 4.0  # bytes per parameter: bfloat16, float32 accumulation
MASTER, MOMENT = 4.0, 4.0  # float32; Muon keeps one moment of a matrix, AdamW two of everything else
USABLE = 0.92  # of a GPU's memory; the rest is the runtime's, the communicators' and fragmentation
RECOMPUTE = ("none", "layer", "offload")


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
class Layout:
    """pp × ep × dp = number of GPUs; `dp` replicas of the routed experts."""

    pp: int
    ep: int
    dp: int

    @property
    def gpus(self) -> int:
        return self.pp * self.ep * self.dp


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest GPU."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def states(self) -> float:
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        return self.states + self.activations


@dataclass(frozen=True)
class _Stage:
    routed: float
    matrices: float  # other weights that Muon trains
    rest: float  # embedding, head, norms: AdamW
    layers: int


def _stages(config: K2Config, pp: int) -> list[_Stage]:
    """Parameters of each pipeline stage; the stages with the embedding and the head get the fewest layers."""
    n = count_parameters(config)
    layers = [config.num_hidden_layers // pp] * pp
    for index in range(config.num_hidden_layers % pp):
        layers[(index + 1) % pp] += 1
    sparse = max(config.num_moe_layers, 1)
    stages, first = [], 0
    for index, count in enumerate(layers):
        dense_here = max(0, min(first + count, config.first_k_dense_replace) - first)
        moe_here = count - dense_here
        matrices = n.attention * count / config.num_hidden_layers + (n.router + n.shared) * moe_here / sparse
        matrices += n.dense * dense_here / max(config.first_k_dense_replace, 1)
        rest = n.norms * count / config.num_hidden_layers
        rest += n.embedding if index == 0 else 0
        rest += n.head if index == pp - 1 else 0
        stages.append(_Stage(n.routed * moe_here / sparse, matrices, rest, count))
        first += count
    return stages


def activation_bytes(config: K2Config, tokens: int, layers: int, in_flight: int, recompute: str) -> float:
    """Bytes of activations on a GPU whose pipeline stage has `layers` layers.

    Args:
        tokens: of a micro-batch on this GPU.
        in_flight: micro-batches whose backward pass is still to come (1F1B: the number of stages on the first).
        recompute: `none` keeps everything in bfloat16; `layer` keeps each layer's input and recomputes the rest;
            `offload` is the report's: those inputs live on the host, two micro-batches' worth stay here.
    """
    c = config
    heads = c.num_attention_heads
    attention = 2 * c.hidden_size + 2 * (c.q_lora_rank or 0) + 2 * (c.kv_lora_rank + c.qk_rope_head_dim)
    attention += heads * (2 * c.qk_head_dim + c.qk_nope_head_dim + 3 * c.v_head_dim)
    experts = c.num_experts_per_tok + c.n_shared_experts
    feed_forward = c.hidden_size * (2 + c.num_experts_per_tok) + 3 * experts * c.moe_intermediate_size
    layer = 2.0 * tokens * (attention + feed_forward)
    if recompute == "none":
        return layer * layers * in_flight
    kept = 2 if recompute == "offload" else in_flight
    return layer + 2.0 * tokens * c.hidden_size * layers * kept


def memory_per_gpu(config: K2Config, layout: Layout, *, tokens: int = 4096, recompute: str = "layer") -> Memory:
    """Bytes on the GPU that needs the most.

    Optimizer states are sharded over the ranks that hold the same weights: `dp` for the routed experts, `ep · dp`
    for everything else.
    """
    worst: Memory | None = None
    for index, stage in enumerate(_stages(config, layout.pp)):
        experts, other = stage.routed / layout.ep, stage.matrices + stage.rest
        optimizer = experts * (MASTER + MOMENT) / layout.dp
        optimizer += (stage.matrices * (MASTER + MOMENT) + stage.rest * (MASTER + 2 * MOMENT)) / layout.ep / layout.dp
        memory = Memory(
            weights=WEIGHT * (experts + other),
            gradients=GRADIENT * (experts + other),
            optimizer=optimizer,
            activations=activation_bytes(config, tokens, stage.layers, layout.pp - index, recompute),
        )
        if worst is None or memory.total > worst.total:
            worst = memory
    assert worst is not None
    return worst


def check_layout(config: K2Config, layout: Layout) -> None:
    """Raises ConfigError for a layout that can't be."""
    if layout.pp > config.num_hidden_layers:
        raise ConfigError(f"--pp: {layout.pp} stages for {config.num_hidden_layers} layers")
    if config.n_routed_experts % layout.ep:
        raise ConfigError(f"--ep: {layout.ep} does not divide n_routed_experts {config.n_routed_experts}")


def choose_layout(
    config: K2Config, gpus: int, gpu: Gpu, *, tokens: int = 4096, recompute: str = "layer", pp: int = 0, ep: int = 0
) -> Layout:
    """The smallest model-parallel group that fits; with equal size, the fewer pipeline stages.

    Args:
        pp, ep: fixed when above 0.

    Raises:
        ConfigError: no layout of this many GPUs fits, or a given one can't be.
    """
    if gpus < 1:
        raise ConfigError(f"--gpus: {gpus} is below 1")
    candidates = []
    for stages in [pp] if pp else _divisors(gpus):
        for experts in [ep] if ep else _divisors(gpus):
            if gpus % (stages * experts):
                if pp and ep:
                    raise ConfigError(f"--gpus: {gpus} is no multiple of pp × ep = {pp} × {ep}")
                continue
            layout = Layout(stages, experts, gpus // (stages * experts))
            try:
                check_layout(config, layout)
            except ConfigError:
                if pp and ep:
                    raise
                continue
            memory = memory_per_gpu(config, layout, tokens=tokens, recompute=recompute)
            if (pp and ep) or memory.total <= USABLE * gpu.memory:
                candidates.append((stages * experts, stages, layout))
    if not candidates:
        fixed = "".join(f" with --{name} {value}" for name, value in (("pp", pp), ("ep", ep)) if value)
        raise ConfigError(f"--gpus: no layout of {gpus} GPUs of {gpu.memory / 1e9:.0f} GB holds this model{fixed}")
    return min(candidates, key=lambda item: item[:2])[2]


def _divisors(value: int) -> list[int]:
    return [d for d in range(1, value + 1) if value % d == 0]


def tokens_per_second(config: K2Config, gpus: int, gpu: Gpu, mfu: float, sequence_length: int) -> float:
    """Trained tokens per second at a model FLOPs utilisation."""
    return gpus * gpu.flops * mfu / train_flops_per_token(config, sequence_length)


def plan(
    name: str,
    gpus: int,
    gpu_name: str,
    *,
    pp: int = 0,
    ep: int = 0,
    mfu: float = 0.35,
    sequence_length: int = 4096,
    micro_batch: int = 1,
    recompute: str = "layer",
    tokens: float = 15.5e12,
) -> str:
    """The text that the command prints.

    Raises:
        ConfigError: an unknown GPU, a number out of range or a layout that doesn't fit.
    """
    config = K2Config.preset(name)
    if gpu_name not in GPUS:
        raise ConfigError(f"--gpu: no {gpu_name!r}; known: {', '.join(GPUS)}")
    if not 0 < mfu <= 1:
        raise ConfigError(f"--mfu: {mfu} is outside (0, 1]")
    for option, value in (("--seq-len", sequence_length), ("--micro-batch", micro_batch), ("--tokens", tokens)):
        if value < 1:
            raise ConfigError(f"{option}: {value} is below 1")
    gpu = GPUS[gpu_name]
    local = sequence_length * micro_batch
    layout = choose_layout(config, gpus, gpu, tokens=local, recompute=recompute, pp=pp, ep=ep)
    memory = memory_per_gpu(config, layout, tokens=local, recompute=recompute)
    n = count_parameters(config)
    speed = tokens_per_second(config, gpus, gpu, mfu, sequence_length)
    fits = memory.total <= USABLE * gpu.memory
    rows = {
        "weights (bfloat16)": memory.weights,
        "gradients (float32)": memory.gradients,
        "optimizer (float32, ZeRO-1)": memory.optimizer,
        "all states": memory.states,
        f"activations ({recompute}, {local:,} tokens)": memory.activations,
        "sum": memory.total,
    }
    return "\n".join(
        [
            f"{name} on {gpus} × {gpu_name}: {n.total / 1e9:.2f}B parameters, {n.active / 1e9:.2f}B active",
            f"layout: PP {layout.pp} × EP {layout.ep} × DP {layout.dp} (model parallel over {layout.pp * layout.ep})",
            f"weights and gradients of one replica: {(WEIGHT + GRADIENT) * n.total / 1e12:.2f} TB",
            "memory of the fullest GPU:",
            *(f"  {label:36s} {value / 1e9:8.2f} GB" for label, value in rows.items()),
            f"  {'of ' + gpu_name:36s} {gpu.memory / 1e9:8.2f} GB{'' if fits else '   DOES NOT FIT'}",
            f"speed at {mfu:.0%} MFU, sequences of {sequence_length:,}: {speed:,.0f} tokens/s, "
            f"{speed / gpus:,.0f} per GPU",
            f"{tokens / 1e12:.4g}T tokens: {tokens / speed / 86400:,.1f} days, "
            f"{tokens / speed / 3600 * gpus / 1e6:,.3f} million GPU hours",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m k2model.training.plan", description="Training a preset on paper.")
    parser.add_argument("preset")
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("--gpu", default="h100", help=", ".join(GPUS))
    parser.add_argument("--pp", type=int, default=0, help="pipeline stages (chosen when left out)")
    parser.add_argument("--ep", type=int, default=0, help="expert-parallel ranks (chosen when left out)")
    parser.add_argument("--mfu", type=float, default=0.35, help="model FLOPs utilisation")
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--micro-batch", type=int, default=1, help="sequences of a micro-batch")
    parser.add_argument("--recompute", choices=RECOMPUTE, default="layer")
    parser.add_argument("--tokens", type=float, default=15.5e12)
    args = parser.parse_args()
    try:
        print(
            plan(
                args.preset,
                args.gpus,
                args.gpu,
                pp=args.pp,
                ep=args.ep,
                mfu=args.mfu,
                sequence_length=args.seq_len,
                micro_batch=args.micro_batch,
                recompute=args.recompute,
                tokens=args.tokens,
            )
        )
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
