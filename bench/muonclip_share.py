"""MuonClip's share of a training step: `python -m bench.muonclip_share --preset laptop --tokens 4096 65536`.

Forward and backward are timed over the step's micro-batches, then the optimizer: gradient norm, Muon, AdamW, QK-Clip,
correction biases. Newton–Schulz is timed within it. More tokens a step are more micro-batches of the same size, as in
training; the optimizer's time doesn't depend on them. Beside it: torch's fused AdamW on the same parameters.
"""

import argparse
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.training import muon
from k2model.training.engine import TrainEngine
from k2model.training.options import Layout, OptimizerOptions
from kernels.newton_schulz import newton_schulz

LR, BIAS_RATE = 1e-4, 0.001


def now() -> float:
    """Seconds, after all that a GPU was given is done; without one, of processor time, which other work spares."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


class TimedNewtonSchulz:
    """Newton–Schulz, with its seconds added up."""

    seconds = 0.0

    def __call__(self, m: Tensor) -> Tensor:
        began = now()
        done = newton_schulz(m)
        self.seconds += now() - began
        return done


def loss_fn(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Any]:
    output = model(tokens[:, :-1], tokens[:, 1:])
    return output.loss, output


def fused_adamw_seconds(model: K2Model, rounds: int) -> float:
    """Median time of torch's AdamW on the model's parameters; their gradients are made up."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, fused=True)
    for param in model.parameters():
        param.grad = torch.randn_like(param)
    seconds = []
    for _ in range(rounds + 1):
        began = now()
        optimizer.step()
        seconds.append(now() - began)
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 65536], help="of a step")
    parser.add_argument("--micro", type=int, default=4096, help="tokens of a micro-batch")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compute", default="float32", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = K2Config.preset(args.preset)
    print(f"{args.preset}, {args.compute}, sequence {args.length}, micro-batches of {args.micro} tokens")
    for tokens in args.tokens:
        micro_batches = tokens // args.micro
        layout = Layout(args.compute, 3 if args.compute == "bfloat16" else 0)
        train = TrainEngine(K2Model(config, seed=1), OptimizerOptions(), micro_batches=micro_batches, layout=layout)
        muon.newton_schulz = clock = TimedNewtonSchulz()
        shape = (micro_batches, args.micro // args.length, args.length + 1)
        passes, updates, orthogonal = [], [], []
        for number in range(args.rounds + 1):  # the first isn't counted
            data = torch.Generator().manual_seed(number)
            batches = torch.randint(0, config.vocab_size, shape, generator=data).to(train.device)
            clock.seconds = 0.0
            began = now()
            loss = train.accumulate(loss_fn, batches)
            middle = now()
            train.apply(loss, lr=LR, bias_rate=BIAS_RATE)
            passes.append(middle - began)
            updates.append(now() - middle)
            orthogonal.append(clock.seconds)
        shares = sorted(u / (u + p) for u, p in zip(updates[1:], passes[1:], strict=True))
        print(
            f"{tokens:7,} tokens: forward and backward {statistics.median(passes[1:]):.2f} s, MuonClip "
            f"{statistics.median(updates[1:]):.2f} s (Newton–Schulz {statistics.median(orthogonal[1:]):.2f} s), "
            f"share {statistics.median(shares):.1%} ({shares[0]:.1%} to {shares[-1]:.1%})",
            flush=True,
        )
    adamw = fused_adamw_seconds(K2Model(config, seed=1).to(train.device), 5)
    print(f"fused AdamW on the same parameters, float32: {adamw:.3f} s")


if __name__ == "__main__":
    main()
