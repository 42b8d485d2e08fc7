"""Newton–Schulz against `torch.optim.Muon`'s, interleaved in one process: `python -m bench.newton_schulz`."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.optim._muon import _zeropower_via_newtonschulz

from kernels.newton_schulz import COEFFICIENTS, EPS, STEPS, newton_schulz

CASES = ((1, 512, 1408), (32, 128, 256), (768, 128, 192), (1, 1024, 4096))  # the third: a laptop model's experts


def timed(run: Callable[[torch.Tensor], object], stack: torch.Tensor) -> float:
    start = time.perf_counter()
    run(stack)
    return time.perf_counter() - start


def peer(stack: torch.Tensor) -> list[torch.Tensor]:
    return [_zeropower_via_newtonschulz(matrix, COEFFICIENTS, STEPS, EPS) for matrix in stack]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for count, m, n in CASES:
        torch.manual_seed(0)
        stack = torch.randn(count, m, n)

        peer(stack), newton_schulz(stack)
        ratios = sorted(timed(peer, stack) / timed(newton_schulz, stack) for _ in range(args.rounds))
        spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{count} x {m} x {n}: {statistics.median(ratios):.2f}x {spread}", flush=True)


if __name__ == "__main__":
    main()
