"""One gloo rank that opens a model and takes a step, layout after layout: `peak_rank.py RANK RANKS STORE FOLDER`."""

import gc
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from k2model.training.engine import TrainEngine
from k2model.training.options import Layout
from tests.k2model.training.train_ranks import MUON, loss_fn

LAYOUTS = {"zero 1": Layout(zero=1), "zero 3": Layout(zero=3), "zero 3 ep 2": Layout(zero=3, expert_parallel=2)}


def resident(peak: bool) -> int:
    """Bytes of this process in memory, now or at most since the last `forget`."""
    key = "VmHWM:" if peak else "VmRSS:"
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def forget() -> int:
    """Starts the maximum afresh; what is in memory now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return resident(peak=False)


def main() -> None:
    rank, ranks, store, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    found = {}
    tokens = torch.arange(ranks * 33).view(ranks, 1, 33)
    for name, layout in LAYOUTS.items():
        # The first step of a kind imports modules and makes the kernels that the others find.
        tiny = TrainEngine(folder / "tiny", MUON, micro_batches=ranks, layout=layout)
        tiny.apply(tiny.accumulate(loss_fn, tokens), lr=0.01)
        del tiny
        before = forget()
        engine = TrainEngine(folder / "start", MUON, micro_batches=ranks, layout=layout)
        opened = resident(peak=True) - before
        engine.apply(engine.accumulate(loss_fn, tokens), lr=0.01)
        found[name] = [opened, resident(peak=True) - before]
        del engine
    (folder / f"peaks-{rank}.json").write_text(json.dumps(found))
    dist.barrier()


if __name__ == "__main__":
    main()
