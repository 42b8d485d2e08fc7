"""K4, causal attention with each head's largest logit at MLA's head sizes (192/128), against SDPA and padded flash.

    python -m bench.attention [--lengths 1024 2048] [--dtype bfloat16]

Forward and backward, one thread, interleaved in one process; ratios are of the 5th percentile of thread time. "Padded
flash" pads the values to 192, so that torch takes its fused CPU kernel, and cuts the output. Neither peer returns
the largest logit.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.fake_quant import measure
from kernels.attention import attention_max_logit

QK, V = 192, 128
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def _sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, QK - V)), is_causal=True)[..., :V]


def _ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention_max_logit(q, k, v, QK**-0.5)[0]


def _step(attend: Attend, inputs: list[Tensor], grad: Tensor) -> Callable[[], object]:
    def call() -> object:
        return torch.autograd.grad(attend(*inputs), inputs, grad)

    return call


def _forward(attend: Attend, inputs: list[Tensor]) -> Callable[[], object]:
    def call() -> object:
        with torch.no_grad():
            return attend(*inputs)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, args.dtype)
    for length in args.lengths:
        torch.manual_seed(0)
        inputs = [torch.randn(1, args.heads, length, d).to(dtype).requires_grad_() for d in (QK, QK, V)]
        grad = torch.randn(1, args.heads, length, V).to(dtype)
        exact = _sdpa(*(x.detach().double() for x in inputs))
        peers: dict[str, Attend] = {"ours": _ours, "SDPA": _sdpa, "padded flash": _padded}
        step = measure({name: _step(attend, inputs, grad) for name, attend in peers.items()}, args.rounds)
        forward = measure({name: _forward(attend, inputs) for name, attend in peers.items()}, args.rounds)
        for name, attend in peers.items():
            with torch.no_grad():
                error = float((attend(*inputs).double() - exact).abs().max())
            print(
                f"L {length} {args.dtype} {name:14s}"
                f" forward {1e3 * forward[name]:8.1f} ms {forward[name] / forward['ours']:5.2f}x"
                f"   forward+backward {1e3 * step[name]:8.1f} ms {step[name] / step['ours']:5.2f}x"
                f"   error {error:.1e}"
            )


if __name__ == "__main__":
    main()
