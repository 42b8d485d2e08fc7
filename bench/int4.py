"""The INT4 kernels against what else a CPU has, interleaved in one process over enough copies to leave the caches.

    python -m bench.int4                    single matrices, batch 1 to 64, one thread
    python -m bench.int4 --threads 2
    python -m bench.int4 --layer            a whole Moonlight-shaped sparse layer
    python -m bench.int4 --ggml FOLDER      also llama.cpp's repacked Q4_0 (folder with libggml*.so)

Peers: `torch bf16` F.linear; `aten int4` torch.ops.aten._weight_int4pack_mm_for_cpu (the same weights, group 32);
`best bf16` the fastest bfloat16 product here: F.linear, torch.mv, or our own kernel on bfloat16 weights. Ratios are of
the 5th percentile; the error is against the float64 product of the exact weights.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.ggml import Q40
from kernels.fake_quant import dequantize, pack_quantize, quantize
from kernels.int4 import native
from kernels.int4.mlp import Bf16Weight, Int4Weight, expert_mlp, linear
from kernels.int4.words import unpack

SHAPES = ((4096, 4096), (2048, 7168), (7168, 2048), (512, 1408))
COPY_BYTES = 160 * 2**20  # of weights that each competitor walks through, five times the last cache
IN_A_ROW = 4

Call = Callable[[int], object]


def measure(calls: dict[str, Call], rounds: int, threads: int) -> dict[str, float]:
    """Seconds, 5th percentile. In a round everyone is called `IN_A_ROW` times, always on the next copy of the weights;
    the first of these is not counted, because it pays for what the one before left in the caches.

    One thread is timed by its own processor time, which other processes can't inflate; more by the wall clock.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(rounds):
        for name, call in calls.items():
            for k in range(IN_A_ROW):
                started = clock()
                call(IN_A_ROW * index + k)
                if k:
                    times[name].append(clock() - started)
    return {name: float(np.percentile(samples, 5)) for name, samples in times.items()}


def _aten(codes_NK: Tensor, scale_NG: Tensor) -> tuple[Tensor, Tensor]:
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu((codes_NK.int() + 8), 1)
    scales_zeros_GN2 = torch.stack((scale_NG.T, torch.zeros_like(scale_NG.T)), dim=-1).contiguous()
    return packed, scales_zeros_GN2


def _error(result: Tensor, exact: Tensor) -> float:
    return float((result.double() - exact).norm() / exact.norm())


def huge(tensor: Tensor, copies: int) -> Tensor:
    """`copies` of a matrix [N, K, …] in memory with huge pages, for every competitor the same."""
    return native.huge_pages((copies, *tensor.shape), tensor.dtype).copy_(tensor.expand(copies, *tensor.shape))


def moved(tensor: Tensor) -> Tensor:
    """The tensor in memory with huge pages."""
    return native.huge_pages(tuple(tensor.shape), tensor.dtype).copy_(tensor)


class Competitors:
    """One matrix in every competitor's own layout."""

    def __init__(self, k: int, n: int) -> None:
        self.k, self.n = k, n
        w_NK = torch.randn(n, k).bfloat16()
        codes_NK, scale_NG = quantize(w_NK)
        words_NW, scale_NG = pack_quantize(w_NK)
        self.exact_NK = (codes_NK.unflatten(-1, (-1, 32)).double() * scale_NG[..., None].double()).flatten(-2)
        self.rounded_NK = dequantize(unpack(words_NW), scale_NG)
        self.few, self.many = (max(2, COPY_BYTES // (n * k * 2)), max(2, COPY_BYTES // (n * k // 2)))
        rows = Int4Weight.from_rows(words_NW[None], scale_NG[None])
        self.int4 = Int4Weight(huge(rows.words[0], self.many), huge(rows.scale[0], self.many))
        self.dense = huge(self.rounded_NK, self.few)
        self.blocks = Bf16Weight(huge(Bf16Weight.from_rows(self.rounded_NK[None]).words[0], self.few))
        packed, zeros = _aten(codes_NK, scale_NG)
        self.aten, self.zeros = huge(packed, self.many), huge(zeros, self.many)

    def calls(self, x_TK: Tensor) -> dict[str, Call]:
        few, many, mm = self.few, self.many, torch.ops.aten._weight_int4pack_mm_for_cpu
        calls: dict[str, Call] = {
            "ours W4A16": lambda i: linear(x_TK, self.int4, "w4a16", i % many),
            "ours W4A8": lambda i: linear(x_TK, self.int4, "w4a8", (i + many // 2) % many),  # not the copy just read
            "ours bf16": lambda i: linear(x_TK, self.blocks, expert=i % few),
            "torch bf16": lambda i: F.linear(x_TK, self.dense[i % few]),
            "aten int4": lambda i: mm(x_TK, self.aten[i % many], 32, self.zeros[i % many]),
        }
        if x_TK.shape[0] == 1:
            calls["torch.mv bf16"] = lambda i: torch.mv(self.dense[(i + few // 2) % few], x_TK[0])
        return calls


def matrices(k: int, n: int, batches: list[int], rounds: int, threads: int, ggml: Path | None) -> None:
    case = Competitors(k, n)
    for batch in batches:
        x_TK = torch.randn(batch, k).bfloat16()
        calls = case.calls(x_TK)
        exact_TN = x_TK.double() @ case.exact_NK.T
        errors = {name: _error(call(0), exact_TN) for name, call in calls.items()}  # type: ignore[arg-type]
        peer = None if ggml is None else Q40(ggml, case.rounded_NK.float(), x_TK.float(), case.many, threads)
        if peer is not None:
            calls["llama.cpp Q4_0"] = peer.run
            errors["llama.cpp Q4_0"] = _error(peer.result(), x_TK.double() @ peer.weight_NK.double().T)
        timings = measure(calls, rounds, threads)
        if peer is not None:
            peer.close()
        best = min((name for name in timings if "bf16" in name), key=lambda name: timings[name])
        print(f"\nK {k} N {n}, {batch} rows, {threads} threads ({native.isa()}); best bf16: {best}")
        for name, seconds in timings.items():
            gb = n * k * (2 if "bf16" in name else 0.5625) / seconds / 1e9
            ratios = [f"{seconds / timings[f'ours {ours}']:5.2f}x {ours}" for ours in ("W4A16", "W4A8")]
            print(f"  {name:16s} {1e6 * seconds:9.1f} us {gb:6.1f} GB/s  {'  '.join(ratios)}  error {errors[name]:.1e}")


def layer(tokens: int, rounds: int, threads: int) -> None:
    """E 64, H 2048, I 1408, top 6."""
    e, c, i, top = 64, 2048, 1408, 6
    stacks = {name: torch.randn(e, n, k).bfloat16() * 0.02 for name, n, k in (("g", i, c), ("u", i, c), ("d", c, i))}
    rows = {name: Int4Weight.from_rows(*pack_quantize(w)) for name, w in stacks.items()}
    int4 = {name: Int4Weight(moved(weight.words), moved(weight.scale)) for name, weight in rows.items()}
    dense = {name: moved(torch.stack([int4[name].expert(x, torch.bfloat16) for x in range(e)])) for name in stacks}
    blocks = {name: Bf16Weight(moved(Bf16Weight.from_rows(w).words)) for name, w in dense.items()}
    x_TC = torch.randn(tokens, c).bfloat16()
    weight_TK = torch.full((tokens, top), 1 / top)
    routes = [torch.rand(tokens, e).topk(top).indices for _ in range(16)]
    aten = {name: [_aten(unpack_rows(int4[name], x), rows_scale(int4[name], x)) for x in range(e)] for name in stacks}
    mm = torch.ops.aten._weight_int4pack_mm_for_cpu

    def loop(product: Callable[[str, int, Tensor], Tensor], expert_TK: Tensor) -> Tensor:
        out_TC = torch.zeros(tokens, c, dtype=torch.float32)
        for index in expert_TK.unique().tolist():
            token_S, slot_S = (expert_TK == index).nonzero(as_tuple=True)
            inner_SI = F.silu(product("g", index, x_TC[token_S])) * product("u", index, x_TC[token_S])
            out_TC.index_add_(0, token_S, product("d", index, inner_SI).float() * weight_TK[token_S, slot_S, None])
        return out_TC

    def grouped(expert_TK: Tensor) -> Tensor:
        flat = expert_TK.flatten()
        order = flat.argsort(stable=True)
        offsets = torch.bincount(flat, minlength=e).cumsum(0).to(torch.int32)
        x_SC = x_TC[order // top]
        gate, up = (F.grouped_mm(x_SC, dense[name].mT, offs=offsets) for name in ("g", "u"))
        out_SC = F.grouped_mm(F.silu(gate) * up, dense["d"].mT, offs=offsets)
        return torch.zeros(tokens, c).index_add(0, order // top, out_SC.float() * weight_TK.flatten()[order, None])

    def fused(weights: dict[str, Int4Weight] | dict[str, Bf16Weight], precision: str) -> Call:
        g, u, d = weights["g"], weights["u"], weights["d"]
        return lambda r: expert_mlp(x_TC, routes[r % 16], weight_TK, g, u, d, precision)  # type: ignore[arg-type]

    calls: dict[str, Call] = {
        "ours W4A16": fused(int4, "w4a16"),
        "ours W4A8": fused(int4, "w4a8"),
        "ours bf16": fused(blocks, "w4a16"),
        "grouped_mm bf16": lambda r: grouped(routes[r % 16]),
        "torch bf16 loop": lambda r: loop(lambda n, x, v: F.linear(v, dense[n][x]), routes[r % 16]),
        "aten int4 loop": lambda r: loop(lambda n, x, v: mm(v, aten[n][x][0], 32, aten[n][x][1]), routes[r % 16]),
    }
    exact = loop(lambda n, x, v: F.linear(v.float(), dense[n][x].float()), routes[0]).double()
    errors = {name: _error(call(0), exact) for name, call in calls.items()}  # type: ignore[arg-type]
    timings = measure(calls, rounds, threads)
    print(f"\nlayer E 64 H 2048 I 1408 top 6, {tokens} tokens, {threads} threads ({native.isa()})")
    for name, seconds in timings.items():
        ratios = [f"{seconds / timings[f'ours {ours}']:5.2f}x {ours}" for ours in ("W4A16", "W4A8")]
        print(f"  {name:16s} {1e3 * seconds:9.3f} ms  {'  '.join(ratios)}  error {errors[name]:.1e}")


def unpack_rows(weight: Int4Weight, index: int) -> Tensor:
    """Codes [N, K] of one expert."""
    return unpack(weight.words[index].transpose(-1, -2).flatten(0, 1))


def rows_scale(weight: Int4Weight, index: int) -> Tensor:
    return weight.scale[index].transpose(-1, -2).flatten(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many of the shapes")
    parser.add_argument("--layer", action="store_true")
    parser.add_argument("--ggml", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.layer:
        for tokens in args.batches:
            layer(tokens, args.rounds, args.threads)
        return
    for k, n in SHAPES[: args.shapes]:
        matrices(k, n, args.batches, args.rounds, args.threads, args.ggml)


if __name__ == "__main__":
    main()
