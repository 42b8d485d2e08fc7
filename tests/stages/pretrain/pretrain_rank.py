"""One rank of a tiny pre-training run."""

from pathlib import Path

import torch
import torch.distributed as dist

from stages.harness.hooks import Hooks
from stages.pretrain.loop import PretrainJob, train
from stages.pretrain.params import PretrainParams
from tests.stages.optimizers import ONE_PROCESS, muonclip

PARAMS = {
    **ONE_PROCESS,
    "steps": 8, "sequence_length": 16, "global_batch_tokens": 128, "micro_batch_tokens": 32,
    "optimizer": muonclip(0.1, lr=0.01, bias_rate=0.001, tau=0.05),
    "wsd": {"warmup_steps": 2, "decay_steps": 2, "final_lr": 0.001},
    "annealing": {"steps": 2, "final_lr": 0.0005},
    "long_context": {"steps": 2, "sequence_length": 32, "yarn_factor": 2.0},
    "checkpoint": {"every_steps": 2, "keep": 3},
    "guard": {"policy": "stop", "window": 16, "z": 50.0, "max_rollbacks": 2},
}  # fmt: skip


def run(folder: Path, rank: int, ranks: int, zero: int, spread: int, store: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    params = PretrainParams.model_validate({**PARAMS, "ranks": ranks, "zero": zero, "expert_parallel": spread})
    work = folder / "work"
    work.mkdir(exist_ok=True)
    job = PretrainJob(params, folder.parent / "base", frozenset(), 2, 1, folder.parent / "tokens", work)
    train(job, Hooks(say=lambda line: print(line, flush=True)))
