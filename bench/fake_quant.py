"""K1, fake quantization in one pass, against inductor, eager torch and a plain copy, interleaved in one process.

    python -m bench.fake_quant            23 million bfloat16 weights, one thread

Ratios are of the 5th percentile over interleaved rounds.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch._inductor.config
from torch import Tensor

from kernels.fake_quant import fake_quant, fake_quant_into, fake_quant_reference, pack_quantize


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of this thread, 5th percentile; every round runs every call once."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.thread_time()
            call()
            times[name].append(time.thread_time() - started)
    return {name: float(np.percentile(samples, 5)) for name, samples in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-inductor", action="store_true", help="skip torch.compile (15 to 60 s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    w_ENK = torch.randn(8, 1408, 2048).bfloat16()
    out_ENK = torch.empty_like(w_ENK)
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: fake_quant_into(w_ENK, out_ENK),
        "copy_": lambda: out_ENK.copy_(w_ENK),
        "ours, new memory": lambda: fake_quant(w_ENK),
        "clone": lambda: w_ENK.clone(),
        "ours, packed + scales": lambda: pack_quantize(w_ENK),
    }
    if not args.no_inductor:
        torch._inductor.config.emulate_precision_casts = True  # otherwise it isn't the same function
        compiled: Callable[[Tensor], Tensor] = torch.compile(fake_quant_reference)
        assert torch.equal(compiled(w_ENK), fake_quant(w_ENK))
        calls["inductor"] = lambda: compiled(w_ENK)
    timings = measure(calls, args.rounds)
    timings |= measure({"eager": lambda: fake_quant_reference(w_ENK)}, 3)
    assert torch.equal(fake_quant(w_ENK), fake_quant_reference(w_ENK))
    ours = timings["ours"]
    for name, seconds in timings.items():
        print(f"{name:24s} {1e3 * seconds:8.2f} ms   {seconds / ours:6.2f}x ours")


if __name__ == "__main__":
    main()
