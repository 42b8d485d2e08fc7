"""A training step of ours against transformers' DeepseekV3: same weights, tokens and DeepSpeed settings, one process.

    python -m bench.pretrain --lengths 256 1024

Four arms take turns, step by step. With the same optimizer (torch's fused AdamW) on both sides the ratio is the
network's: forward, backward, and an optimizer step that both pay alike. Then the whole step: ours with MuonClip
(QK-Clip and correction biases included) against transformers' network with DeepSpeed's own Muon under ZeRO-1 and,
again, with AdamW. Model FLOPs utilisation is against the matrix product measured in the same process and type. All
times are the process's own processor time over the threads, so that other work on the machine counts less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from k2model.config import K2Config
from k2model.flops import train_flops_per_token
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from k2model.training.engine import TrainEngine
from k2model.training.options import ComputeType, Layout, OptimizerOptions
from k2model.training.process_group import init_ranks, load_deepspeed

LR, DECAY = 1e-4, 0.1
WARM_UP = 2  # rounds that aren't counted
Step = Callable[[Tensor, Tensor], float]  # tokens and next tokens; the loss before the step


def _engine(model: nn.Module, optimizer: torch.optim.Optimizer, stage: int, compute: ComputeType) -> Any:
    """The settings of `TrainEngine` around any network and optimizer."""
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0,
        "zero_optimization": {"stage": stage},
        "communication_data_type": "fp32",
        "steps_per_print": 10**9,
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": stage > 0 and compute == "bfloat16"},
    }
    engine, *_ = load_deepspeed().initialize(model=model, optimizer=optimizer, config=config)
    return engine


def _in_type(model: nn.Module, compute: ComputeType) -> nn.Module:
    """Parameters in the compute type; buffers keep theirs."""
    for param in model.parameters():
        param.data = param.data.to(getattr(torch, compute))
    return model.train()


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, betas=(0.9, 0.95), fused=True)


def _deepspeed_muon(model: nn.Module) -> torch.optim.Optimizer:
    """DeepSpeed's Muon for hidden matrices, its Adam for the rest, as its configuration would split them."""
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    muon: list[nn.Parameter] = []
    adam: list[nn.Parameter] = []
    for name, param in model.named_parameters():
        param.use_muon = param.ndim > 1 and "embed" not in name and "lm_head" not in name  # type: ignore[attr-defined]
        (muon if param.use_muon else adam).append(param)  # type: ignore[attr-defined]
    own: dict[str, Any] = {"lr": LR, "weight_decay": DECAY}
    return MuonWithAuxAdam(
        [
            {"params": muon, "use_muon": True, "momentum": 0.95, "ns_method": "standard", **own},
            {"params": adam, "use_muon": False, "betas": (0.9, 0.95), "eps": 1e-8, **own},
        ]
    )


def our_step(model: K2Model, compute: ComputeType) -> Step:
    engine = _engine(_in_type(model, compute), _adamw(model), 0, compute)

    def step(tokens_BL: Tensor, targets_BL: Tensor) -> float:
        loss = engine(tokens_BL, targets_BL).loss
        engine.backward(loss)
        engine.step()
        return float(loss.detach())

    return step


def our_whole_step(model: K2Model, compute: ComputeType) -> Step:
    layout = Layout(compute, 3 if compute == "bfloat16" else 0)
    train = TrainEngine(model, OptimizerOptions(), micro_batches=1, layout=layout)

    def step(tokens_BL: Tensor, targets_BL: Tensor) -> float:
        def loss_fn(network: nn.Module, micro: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
            output = network(*micro)
            return output.loss, output

        loss = train.accumulate(loss_fn, [(tokens_BL, targets_BL)])
        train.apply(loss, lr=LR, bias_rate=0.001)
        return loss

    return step


def their_step(folder: Path, compute: ComputeType, experts: str, muon: bool) -> Step:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, experts_implementation=experts)
    _in_type(model, compute)
    optimizer = _deepspeed_muon(model) if muon else _adamw(model)
    engine = _engine(model, optimizer, 1 if muon else 0, compute)

    def step(tokens_BL: Tensor, targets_BL: Tensor) -> float:
        loss = engine(input_ids=tokens_BL, shift_labels=targets_BL, labels=targets_BL, use_cache=False).loss
        engine.backward(loss)
        engine.step()
        return float(loss.detach())

    return step


def clock() -> float:
    return time.process_time() / torch.get_num_threads()


def product_peak(dtype: torch.dtype, size: int = 1024) -> float:
    """FLOP/s of the best of many square matrix products."""
    a = torch.randn(size, size).to(dtype)
    best = float("inf")
    for _ in range(40):
        began = clock()
        a @ a
        best = min(best, clock() - began)
    return 2 * size**3 / best


def measure(steps: dict[str, Step], batches: list[tuple[Tensor, Tensor]]) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds of each arm's counted steps, and the losses of everybody's first step as text."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    first: list[str] = []
    for number, (tokens_BL, targets_BL) in enumerate(batches):
        for name, step in steps.items():
            began = clock()
            loss = step(tokens_BL, targets_BL)
            if number >= WARM_UP:
                seconds[name].append(clock() - began)
            if number == 0:
                first.append(f"{loss:.6f}")
    return seconds, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--tokens", type=int, default=4096, help="of a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compute", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--experts", default="grouped_mm", choices=("grouped_mm", "batched_mm", "eager"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch._dynamo.config.disable = True  # DeepSpeed's Newton–Schulz would be compiled for longer than this takes
    compute: ComputeType = args.compute
    init_ranks()
    config = K2Config.preset(args.preset)
    peak = product_peak(getattr(torch, compute))
    print(f"{args.preset}, {compute}, {args.threads} threads, matrix product {peak / 1e9:.0f} GFLOP/s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(K2Model(config, seed=1), folder)
        for length in args.lengths:
            steps = {
                "ours, AdamW": our_step(K2Model(config, seed=1), compute),
                "transformers, AdamW": their_step(folder, compute, args.experts, muon=False),
                "ours, MuonClip": our_whole_step(K2Model(config, seed=1), compute),
                "transformers, DeepSpeed's Muon": their_step(folder, compute, args.experts, muon=True),
            }
            data = torch.Generator().manual_seed(0)
            shape = (args.tokens // length, length + 1)
            rows = [torch.randint(0, config.vocab_size, shape, generator=data) for _ in range(WARM_UP + args.rounds)]
            seconds, first = measure(steps, [(batch[:, :-1].contiguous(), batch[:, 1:].contiguous()) for batch in rows])
            print(f"\nsequence {length}, {args.tokens} tokens a step; losses of the first step {', '.join(first)}")
            for arm, each in seconds.items():
                rate = args.tokens / statistics.median(each)
                mfu = rate * train_flops_per_token(config, length) / peak
                print(f"  {arm:31s} {statistics.median(each):6.2f} s  {rate:6.0f} tokens/s  MFU {mfu:5.1%}")
            for peer, own in (
                ("transformers, AdamW", "ours, AdamW"),
                ("transformers, DeepSpeed's Muon", "ours, MuonClip"),
                ("transformers, AdamW", "ours, MuonClip"),
            ):
                ratios = sorted(a / b for a, b in zip(seconds[peer], seconds[own], strict=True))
                spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
                print(f"  {own} against {peer}: {statistics.median(ratios):.2f}x {spread}", flush=True)


if __name__ == "__main__":
    main()
