"""One gloo rank that goes through trainings of several layouts, one after the other."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.expert_parallel import HeldExperts
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model, Output
from k2model.training import muon
from k2model.training.engine import TrainEngine
from k2model.training.options import Layout, OptimizerOptions
from kernels.newton_schulz import newton_schulz
from tests.k2model.training import alone

MUON = OptimizerOptions(alone.DECAY, tau=alone.TAU)
PROMPTS = (3, 20, 1, 33, 18)
ADAMW = replace(MUON, matrices="adamw", clip_norm=0.5)


class Counted:
    """Newton–Schulz that counts the matrices it is given, one by one or stacked."""

    matrices = 0

    def __call__(self, moved: Tensor) -> Tensor:
        self.matrices += 1 if moved.ndim == 2 else len(moved)
        return newton_schulz(moved)


@dataclass(frozen=True)
class Task:
    """Trains `steps` steps from `start`, or from what `checkpoints` holds, where it saves at the end if asked."""

    layout: Layout
    start: Path
    out: Path
    steps: int = 3
    options: OptimizerOptions = MUON
    checkpoints: Path | None = None
    save: bool = False


def loss_fn(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Output]:
    output = model(tokens[:, :-1], tokens[:, 1:])
    return output.loss, output


def run(rank: int, ranks: int, store: str, tasks: list[Task]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    for task in tasks:
        _run(task, rank)
        gc.collect()
    dist.barrier()


def _run(task: Task, rank: int) -> None:
    engine = TrainEngine(
        task.start, task.options, micro_batches=alone.MICRO, layout=task.layout, checkpoints=task.checkpoints
    )
    first = 0
    if task.checkpoints is not None and not task.save:
        found = engine.resume()
        assert found is not None, engine.problems
        first = found["step"]
    rows: list[list[float]] = []
    muon.newton_schulz = counted = Counted()
    for step in range(first, task.steps):
        loss = engine.accumulate(loss_fn, alone.data(step))
        before = state_bytes(engine)
        report = engine.apply(loss, lr=alone.LR, bias_rate=alone.BIAS_RATE)
        rows.append([loss, report.grad_norm, report.clipped_heads])
        if step == first:  # between two steps, which must not see it
            engine.shared([2], sampled)
    if task.save:
        engine.save(task.steps, {"step": task.steps})
        engine.settle()
    held = {len(m.held) for m in engine.model.modules() if isinstance(m, HeldExperts)}
    facts: dict[str, Any] = {"calls": counted.matrices, "held": held, "load": report.load_LE.sum().item()}
    facts["bytes"] = state_bytes(engine) | {"gradients": before["gradients"]}
    weights = {name: tensor.clone() for name, tensor in engine.tensors()}
    facts["sampled"] = engine.shared(PROMPTS, sampled)
    facts["logp"] = engine.led(scored)
    torch.save((rows, weights if rank == 0 else {}, facts), f"{task.out}.{rank}")


def sampled(model: K2Model, lengths: Sequence[int]) -> list[list[int]]:
    """What a rank continues its share of the prompts with; ranks need different numbers of calls.

    The prompts begin alike, and each rank reuses what it has read itself.
    """
    sampler = Engine(model, max_batch=2, max_length=48, prefill_chunk=4, reuse_prefixes=True)
    prompts = [alone.data(0)[0, 0, :length].tolist() for length in lengths]
    return [made.ids for made in sampler.generate([Request(ids, 4 + len(ids) % 3, temperature=0.0) for ids in prompts])]


@torch.no_grad()
def scored(model: K2Model) -> Tensor:
    tokens = alone.data(0)[0]
    scores = model(tokens[:, :-1], tokens[:, 1:]).logp_BL
    assert scores is not None
    return scores


def state_bytes(engine: TrainEngine) -> dict[str, int]:
    """Bytes of this rank's tensors by kind, each storage once."""
    seen: set[int] = set()
    sizes = dict.fromkeys(("weights", "gradients", "master", "moments"), 0)

    def add(kind: str, tensor: Any) -> None:
        if not isinstance(tensor, Tensor) or tensor.is_meta:
            return
        storage = tensor.untyped_storage()
        if storage.nbytes() and storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            sizes[kind] += storage.nbytes()

    stage, opt = engine.layout.zero, engine.engine.optimizer
    for param in engine.model.parameters():
        add("weights", param.data)
        add("weights", getattr(param, "ds_tensor", None))
    for param in engine.model.parameters():
        add("gradients", param.grad)
    if stage:
        for kept in (getattr(opt, "averaged_gradients", {}), getattr(opt, "all_grad_tensors", {})):
            for tensors in kept.values():
                for tensor in tensors or []:
                    add("gradients", tensor)
        add("gradients", getattr(opt, "grad_partitions_flat_buffer", None))
        for flat in opt.single_partition_of_fp32_groups if stage < 3 else opt.fp32_partitioned_groups_flat:
            add("master", flat)
    for state in engine.zero.base.state.values():
        for tensor in state.values():
            add("moments", tensor)
    return sizes
