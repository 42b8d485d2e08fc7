"""A training on one GPU against its plan, and INT4 experts against bfloat16: `python -m bench.gpu --preset h100`.

Prints rows of a table. Without a GPU it runs the same on the CPU, where memory isn't measured.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import torch

from bench.muonclip_share import loss_fn
from k2model.config import K2Config
from k2model.flops import matmul_peak, train_flops_per_token
from k2model.model import K2Model
from k2model.moe import Experts
from k2model.training.engine import TrainEngine
from k2model.training.layout import stored_dtype
from k2model.training.options import Layout, OptimizerOptions
from k2model.training.plan import memory_per_gpu
from kernels.int4.mlp import Int4Weight, expert_mlp

LR = 1e-4


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` after two that don't count."""
    spent = []
    for _ in range(rounds + 2):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[2:])


def training(preset: str, layout: Layout, tokens: int, length: int, rounds: int) -> str:
    config = K2Config.preset(preset)
    gc.collect()  # DeepSpeed's engines refer to themselves: the one before would count
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    engine = TrainEngine(K2Model(config, seed=1), OptimizerOptions(), micro_batches=1, layout=layout)
    data = torch.Generator().manual_seed(0)
    batch = torch.randint(0, config.vocab_size, (tokens // length, length + 1), generator=data)

    def step() -> None:
        engine.apply(engine.accumulate(loss_fn, [batch]), lr=LR, bias_rate=0.001)

    spent = seconds(step, rounds)
    peak = matmul_peak(engine.device, stored_dtype(layout, engine.device))
    mfu = tokens / spent * train_flops_per_token(config, length) / peak
    planned = memory_per_gpu(config, layout, 1, tokens=tokens).total
    measured = f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB" if torch.cuda.is_available() else "not measured"
    return (
        f"| {preset}, {layout.compute}, zero {layout.zero}, recompute {layout.recompute}, {tokens:,} tokens | "
        f"{tokens / spent:,.0f} tokens/s | MFU {mfu:.1%} | {measured} | planned {planned / 1e9:.2f} GB |"
    )


def experts(preset: str, tokens: int, rounds: int) -> str:
    """Routed experts of one layer, forward: bfloat16 grouped products against the INT4 kernel."""
    c = K2Config.preset(preset)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    e, k, inner, width = c.n_routed_experts, c.num_experts_per_tok, c.moe_intermediate_size, c.hidden_size

    def weight(rows: int, columns: int) -> Int4Weight:
        words = torch.randint(-(2**31), 2**31, (e, rows // 16, columns // 8, 16), dtype=torch.int64).to(torch.int32)
        scale = torch.rand(e, rows // 16, columns // 32, 16).bfloat16() * 0.01
        return Int4Weight(words.to(device), scale.to(device))

    gate, up, down = weight(inner, width), weight(inner, width), weight(width, inner)
    plain = Experts(c).to(device, torch.bfloat16)
    x_TC = torch.randn(tokens, width, device=device).bfloat16()
    expert_TK = torch.rand(tokens, e, device=device).topk(k).indices
    weight_TK = torch.rand(tokens, k, device=device)
    with torch.no_grad():
        int4 = seconds(lambda: expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down), rounds)
        bf16 = seconds(lambda: plain(x_TC, expert_TK, weight_TK), rounds)
    times = f"INT4 {int4 * 1e6:,.0f} µs | bf16 {bf16 * 1e6:,.0f} µs | {bf16 / int4:.2f}x"
    return f"| experts of {preset}, {tokens} tokens | {times} | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="h100")
    parser.add_argument("--tokens", type=int, default=16384, help="of a step")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"| {name} | | | | |\n|---|---|---|---|---|", flush=True)
    for recompute in ("none", "layer", "parts"):
        layout = Layout("bfloat16", 3, recompute=recompute)  # type: ignore[arg-type]
        print(training(args.preset, layout, args.tokens, args.length, args.rounds), flush=True)
    for tokens in (1, 16, 256):
        print(experts(args.preset, tokens, args.rounds), flush=True)


if __name__ == "__main__":
    main()
