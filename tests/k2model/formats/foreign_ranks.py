"""One gloo rank that loads folders under expert parallelism: `foreign_ranks.py RANK RANKS STORE OUT FOLDER...`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from k2model.expert_parallel import ExpertParallel
from k2model.formats import shards
from k2model.formats.checkpoint import load_checkpoint, named_tensors
from k2model.training.process_group import experts_over

READ_TENSOR, SHA256_FILE = shards.read_tensor, shards.sha256_file


def load(folder: Path, parallel: ExpertParallel, out: Path) -> None:
    """Writes the experts and logits of the loaded network, and what was read, hashed and said for it."""
    facts: dict[str, Any] = {"read": [], "hashed": [], "said": [], "problem": ""}

    def read_counted(handle: Any, name: str, path: Path) -> torch.Tensor:
        facts["read"].append(name)
        return READ_TENSOR(handle, name, path)

    def hash_counted(path: Path) -> str:
        facts["hashed"].append(path.name)
        return SHA256_FILE(path)

    shards.read_tensor, shards.sha256_file = read_counted, hash_counted
    tensors: dict[str, torch.Tensor] = {}
    try:
        model = load_checkpoint(folder, parallel=parallel, say=facts["said"].append)
        tensors = {name: t.clone() for name, t in named_tensors(model) if ".mlp.experts." in name}
        with torch.no_grad():
            tensors["logits"] = model(torch.arange(24)[None]).logits_BLV
    except ValueError as error:
        facts["problem"] = str(error)
    torch.save(tensors, out / f"{folder.name}-{parallel.rank}.pt")
    (out / f"{folder.name}-{parallel.rank}.json").write_text(json.dumps(facts))


def main() -> None:
    rank, ranks, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    parallel = experts_over(ranks)
    assert parallel is not None
    for folder in sys.argv[5:]:
        load(Path(folder), parallel, out)
    dist.barrier()


if __name__ == "__main__":
    main()
