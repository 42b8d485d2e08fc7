"""DeepSpeed's own Muon under ZeRO-1/2 against our owner-sharded MuonClip, in real gloo processes.

    python -m bench.zero_muon --preset smoke --ranks 1 2

Every arm trains the same network on the same tokens. DeepSpeed's `MuonWithAuxAdam` gets one parameter group per matrix
shape, so that its own factor √max(1, n/m) becomes K2's 0.2 √max(n, m); `zero1+ns` has our Newton–Schulz in it (float32
for short sides up to 64, DeepSpeed's is bfloat16). What is printed: the distance of the weights to a float64 reference
of the K2 rule as a share of the distance moved (median and largest over parameters), bytes of optimizer state and
float32 masters on the fullest rank, and the median time of a step after the first two.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.training.engine import ComputeType, OptimizerOptions, TrainEngine, set_compute_type
from k2model.training.muonclip import kind_of
from k2model.training.process_group import load_deepspeed
from k2model.training.qk_clip import AttentionWeights, MaxLogit, qk_clip_
from kernels.newton_schulz import newton_schulz, newton_schulz_reference

ARMS = ("ours", "zero1", "zero2", "zero1+ns")
LR, DECAY, MOMENTUM, BETAS, EPS, BIAS_RATE = 0.01, 0.1, 0.95, (0.9, 0.95), 1e-8, 0.001
MICRO, ROWS, LENGTH = 4, 2, 33  # micro-batches of a step over all ranks, rows and tokens of each
PARITY_STEPS = 4


def micro_batches(step: int, vocab: int) -> Tensor:
    data = torch.Generator().manual_seed(step)
    return torch.randint(0, vocab, (MICRO, ROWS, LENGTH), generator=data)


def attention_names(config: K2Config) -> list[tuple[str, str]]:
    layers = [f"model.layers.{k}.self_attn" for k in range(config.num_hidden_layers)]
    return [(f"{layer}.q_b_proj.weight", f"{layer}.kv_b_proj.weight") for layer in layers]


def weights_of(config: K2Config, q_b: Tensor, kv_b: Tensor) -> AttentionWeights:
    c = config
    return AttentionWeights([q_b], [kv_b], c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim)


def reference(preset: str, tau: float) -> dict[str, Tensor]:
    """K2 report, Algorithm 1, in float64; forward and backward run on the weights rounded to float32."""
    model = K2Model(K2Config.preset(preset), seed=1)
    weights = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(w) for name, w in weights.items()}
    second = {name: torch.zeros_like(w) for name, w in weights.items()}
    for step in range(PARITY_STEPS):
        top = MaxLogit(model.config.num_hidden_layers, model.config.num_attention_heads)
        load_LE: Tensor | float = 0.0
        model.zero_grad()
        for tokens in micro_batches(step, model.config.vocab_size):
            output = model(tokens[:, :-1], tokens[:, 1:])
            (output.loss / MICRO).backward()
            top.update(output.max_logit_LH)
            load_LE = load_LE + output.expert_load_LE
        for name, param in model.named_parameters():
            assert param.grad is not None
            grad, w, t = param.grad.double(), weights[name], step + 1
            if kind_of(name, param.ndim) == "adamw":
                first[name].lerp_(grad, 1 - BETAS[0])
                second[name].lerp_(grad * grad, 1 - BETAS[1])
                update = first[name] / (1 - BETAS[0] ** t) / ((second[name] / (1 - BETAS[1] ** t)).sqrt() + EPS)
            else:
                first[name].mul_(MOMENTUM).add_(grad)
                rms = 0.2 * math.sqrt(max(w.shape[-2:]))
                update = newton_schulz_reference(grad + MOMENTUM * first[name]) * rms
            w.sub_(LR * (update + DECAY * w))
        if tau > 0:
            names = attention_names(model.config)
            layers = [weights_of(model.config, weights[q], weights[kv]) for q, kv in names]
            qk_clip_(layers, top.reduce(), tau)
        assert isinstance(load_LE, Tensor)
        model.update_expert_biases(load_LE, BIAS_RATE)
        with torch.no_grad():
            for name, param in model.named_parameters():
                param.copy_(weights[name])
    return weights


class ZeroMuon:
    """A DeepSpeed engine around a client `MuonWithAuxAdam`; QK-Clip and correction biases come after its step."""

    def __init__(self, model: K2Model, arm: str, *, micro: int, compute: ComputeType, tau: float) -> None:
        deepspeed = load_deepspeed()
        from deepspeed.runtime.zero.muon import original_muon
        from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

        if arm.endswith("+ns"):
            original_muon.zeropower_via_newtonschulz5 = newton_schulz
        groups: dict[Any, dict[str, Any]] = {}
        for name, param in model.named_parameters():
            param.use_muon = kind_of(name, param.ndim) == "muon"  # type: ignore[attr-defined]
            rows, cols = param.shape[-2:] if param.use_muon else (0, 0)  # type: ignore[attr-defined]
            factor = 0.2 * math.sqrt(max(rows, cols)) / math.sqrt(max(1.0, rows / cols)) if cols else 1.0
            own: dict[str, Any] = {"lr": LR * factor, "weight_decay": DECAY / factor, "use_muon": bool(cols)}
            own |= {"momentum": MOMENTUM, "ns_method": "standard"} if cols else {"betas": BETAS, "eps": EPS}
            groups.setdefault((rows, cols), {"params": [], **own})["params"].append(param)
        config = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": micro,
            "gradient_clipping": 0.0,
            "zero_optimization": {"stage": int(arm[4])},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**9,
            "bf16": {"enabled": compute == "bfloat16"},
        }
        optimizer = MuonWithAuxAdam(list(groups.values()))
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        self.model, self.tau = model, tau
        self.names = dict(model.named_parameters())

    def step(self, batches: Tensor) -> None:
        from deepspeed.utils import safe_get_full_fp32_param, safe_set_full_fp32_param

        c = self.model.config
        top = MaxLogit(c.num_hidden_layers, c.num_attention_heads)
        load_LE: Tensor | float = 0.0
        for tokens in batches:
            output = self.engine(tokens[:, :-1], tokens[:, 1:])
            self.engine.backward(output.loss)
            top.update(output.max_logit_LH)
            load_LE = load_LE + output.expert_load_LE
            self.engine.step()
        max_logit_LH = top.reduce()
        if self.tau > 0 and bool((max_logit_LH > self.tau).any()):
            for (q, kv), max_logit_H in zip(attention_names(c), max_logit_LH, strict=True):
                full = [safe_get_full_fp32_param(self.names[name]) for name in (q, kv)]
                qk_clip_([weights_of(c, *full)], max_logit_H[None], self.tau)
                for name, value in zip((q, kv), full, strict=True):
                    safe_set_full_fp32_param(self.names[name], value)
                    self.names[name].data.copy_(value)
        assert isinstance(load_LE, Tensor)
        if dist.get_world_size() > 1:
            dist.all_reduce(load_LE)
        self.model.update_expert_biases(load_LE, BIAS_RATE)

    def state_bytes(self) -> int:
        zero = self.engine.optimizer
        tensors = list(zero.single_partition_of_fp32_groups)
        tensors += [t for state in zero.optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
        return sum(t.numel() * t.element_size() for t in {id(t): t for t in tensors}.values())


class OurSteps:
    def __init__(self, model: K2Model, *, micro: int, compute: ComputeType, tau: float) -> None:
        options = OptimizerOptions(DECAY, MOMENTUM, BETAS, EPS, tau=tau)
        self.train = TrainEngine(model, options, micro_batches=micro, compute=compute)

    def step(self, batches: Tensor) -> None:
        def loss_fn(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Any]:
            output = model(tokens[:, :-1], tokens[:, 1:])
            return output.loss, output

        self.train.apply(self.train.accumulate(loss_fn, batches), lr=LR, bias_rate=BIAS_RATE)

    def state_bytes(self) -> int:
        return self.train.optimizer.state_bytes()


def work(
    arm: str, preset: str, compute: ComputeType, tau: float, steps: int, rank: int, ranks: int, folder: Path
) -> None:
    """One rank of one arm."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    model = K2Model(K2Config.preset(preset), seed=1)
    trainer: OurSteps | ZeroMuon
    if arm == "ours":
        trainer = OurSteps(model, micro=MICRO // ranks, compute=compute, tau=tau)
    else:
        if compute == "bfloat16":
            set_compute_type(model, compute)
        trainer = ZeroMuon(model, arm, micro=MICRO // ranks, compute=compute, tau=tau)
    seconds = []
    for step in range(steps):
        batches = micro_batches(step, model.config.vocab_size)[rank::ranks]
        start = time.perf_counter()
        trainer.step(batches)
        seconds.append(time.perf_counter() - start)
        if step + 1 == PARITY_STEPS and rank == 0:
            save_file({n: p.detach().float().contiguous().clone() for n, p in model.named_parameters()}, folder / "w")
    metrics = {"bytes": trainer.state_bytes(), "seconds": statistics.median(seconds[2:])}
    (folder / f"found-{rank}.json").write_text(json.dumps(metrics))
    dist.barrier()


def measure(args: argparse.Namespace, arm: str, ranks: int, want: dict[str, Tensor]) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Compiling DeepSpeed's Newton–Schulz takes longer than this whole comparison.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_COMPILE_DISABLE": "1", "DS_ACCELERATOR": "cpu"}
        told = [arm, args.preset, args.compute, str(args.tau), str(args.steps)]
        command = [sys.executable, "-m", "bench.zero_muon", "--worker", *told]
        running = [subprocess.Popen([*command, str(r), str(ranks), name], env=env) for r in range(ranks)]
        try:
            if any(process.wait(timeout=600) for process in running):
                return f"{arm:8s} {ranks} ranks: failed"
        finally:
            for process in running:
                process.kill()
        got = load_file(folder / "w")
        per_rank = [json.loads((folder / f"found-{r}.json").read_text()) for r in range(ranks)]
    start = dict(K2Model(K2Config.preset(args.preset), seed=1).named_parameters())
    errors = dict(distances(got, want, start))
    worst = {kind: max(v for n, v in errors.items() if kind_of(n, want[n].ndim) == kind) for kind in ("muon", "adamw")}
    most, seconds = max(metrics["bytes"] for metrics in per_rank), max(metrics["seconds"] for metrics in per_rank)
    middle = statistics.median(errors.values())
    errors_text = f"median {middle:.4%}, worst Muon {worst['muon']:.4%}, AdamW {worst['adamw']:.4%}"
    return f"{arm:8s} {ranks} ranks: {errors_text}, {most / 2**20:.2f} MiB, {1000 * seconds:.0f} ms"


def distances(
    got: dict[str, Tensor], want: dict[str, Tensor], start: dict[str, nn.Parameter]
) -> Iterator[tuple[str, float]]:
    for name, value in want.items():
        moved = (value - start[name].detach().double()).norm()
        yield name, float((got[name].double() - value).norm() / moved)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        arm, preset, compute, tau, steps, rank, ranks, folder = sys.argv[2:]
        kind: ComputeType = "bfloat16" if compute == "bfloat16" else "float32"
        return work(arm, preset, kind, float(tau), int(steps), int(rank), int(ranks), Path(folder))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--compute", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--tau", type=float, default=0.05, help="far below what random weights give; 0: no clip")
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    want = reference(args.preset, args.tau)
    for ranks in args.ranks:
        for arm in args.arms:
            print(measure(args, arm, ranks, want), flush=True)


if __name__ == "__main__":
    main()
