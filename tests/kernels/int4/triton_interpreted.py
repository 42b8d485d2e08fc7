"""Run by test_triton.py with TRITON_INTERPRET=1: the kernels, program by program on the CPU, against float64."""

import torch
import torch.nn.functional as F

from kernels.fake_quant import quantize
from kernels.int4.mlp import Int4Weight
from kernels.int4.triton_experts import experts_forward, tiles
from kernels.int4.words import interleave


def pack(codes: torch.Tensor) -> torch.Tensor:
    places = (codes.int() + 8).unflatten(-1, (-1, 8)) << torch.arange(0, 32, 4, dtype=torch.int32)
    return places.sum(-1).to(torch.int32)


def weight(e: int, n: int, k: int, seed: int) -> tuple[Int4Weight, torch.Tensor]:
    codes, scale = quantize(torch.randn(e, n, k, generator=torch.Generator().manual_seed(seed)) * 0.1)
    exact = codes.unflatten(-1, (-1, 32)).double() * scale[..., None].double()
    return Int4Weight(interleave(pack(codes)), interleave(scale)), exact.flatten(-2)


def exact_forward(x, expert, share, gate, up, down):  # type: ignore[no-untyped-def]
    out = torch.zeros(x.shape, dtype=torch.float64)
    for t in range(x.shape[0]):
        for k in range(expert.shape[1]):
            e, row = int(expert[t, k]), x[t].double()
            out[t] += share[t, k].double() * (down[e] @ (F.silu(gate[e] @ row) * (up[e] @ row)))
    return out


def main() -> None:
    for dtype, limit in ((torch.float32, 1e-5), (torch.float16, 2e-3)):
        for tokens, width, inner, experts, top_k in ((1, 64, 96, 4, 2), (7, 96, 64, 3, 1), (40, 64, 64, 5, 3)):
            generator = torch.Generator().manual_seed(tokens)
            gate, up, down = (
                weight(experts, inner, width, 1),
                weight(experts, inner, width, 2),
                weight(experts, width, inner, 3),
            )
            x = torch.randn(tokens, width, generator=generator).to(dtype)
            expert = torch.rand(tokens, experts, generator=generator).topk(top_k).indices
            share = torch.rand(tokens, top_k, generator=generator)
            pairs = [(one.words, one.scale) for one, _ in (gate, up, down)]
            found = experts_forward(x, expert, share, *pairs)
            wanted = exact_forward(x, expert, share, gate[1], up[1], down[1])
            error = float((found.double() - wanted).norm() / wanted.norm())
            assert error < limit, (dtype, tokens, error)
    load = torch.tensor([0, 33, 0, 16, 1])
    expert_, first, last = tiles(load, 16, 50)
    kept = [row for row in zip(expert_.tolist(), first.tolist(), last.tolist(), strict=True) if row[0] >= 0]
    assert kept == [(1, 0, 33), (1, 16, 33), (1, 32, 33), (3, 33, 49), (4, 49, 50)], kept
    print("ok")


if __name__ == "__main__":
    main()
