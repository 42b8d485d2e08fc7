"""The processes that train together, their devices, and DeepSpeed: one CPU process or many ranks, the same calls."""

import dataclasses
import logging
import os
import sys
import warnings
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from k2model.errors import ConfigError
from k2model.expert_parallel import ExpertParallel

T = TypeVar("T")


def init_ranks() -> tuple[int, int]:
    """Joins the process group that torchrun or another launcher described, or makes one of a single process.

    Returns:
        rank, number of ranks.
    """
    if not dist.is_initialized():
        if _on_gpu():
            torch.cuda.set_device(device())  # what NCCL sends objects from
        if "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            dist.init_process_group("nccl" if _on_gpu() else "gloo")
        else:
            # A store in memory: no port to find, nothing listens.
            dist.init_process_group("nccl" if _on_gpu() else "gloo", store=dist.HashStore(), rank=0, world_size=1)
    return dist.get_rank(), dist.get_world_size()


def experts_over(size: int) -> ExpertParallel | None:
    """Groups of `size` consecutive ranks that share the experts; None for 1. All ranks must call it.

    Raises:
        ConfigError: `size` doesn't divide the number of ranks.
    """
    rank, ranks = init_ranks()
    if ranks % size:
        raise ConfigError(f"expert_parallel: {size} does not divide the {ranks} ranks")
    if size == 1:
        return None
    load_deepspeed().init_distributed(dist_backend="nccl" if _on_gpu() else "gloo", verbose=False)
    from deepspeed.utils import groups

    # DeepSpeed keeps these groups by name: it broadcasts and averages the experts within them.
    groups._create_expert_and_data_parallel(size)
    name = f"ep_size_{size}"
    group, replicas = groups._get_expert_parallel_group(name), groups._get_expert_data_parallel_group(name)
    return ExpertParallel(rank % size, size, group, replicas)


def device() -> torch.device:
    """This rank's device."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if _on_gpu() else torch.device("cpu")


def _on_gpu() -> bool:
    return torch.cuda.is_available() and os.environ.get("DS_ACCELERATOR") != "cpu"


def load_deepspeed() -> Any:
    """DeepSpeed, silent, without the CPU communication op that it would compile for seconds at first use."""
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ.setdefault("LOCAL_RANK", "0")
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # DeepSpeed still calls torch's collectives by their old names, many times a step.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    # Its autotuner, which nothing here uses, takes MLflow where it is installed: two seconds of import.
    hidden = sys.modules.setdefault("mlflow", None) is None  # type: ignore[arg-type]
    import deepspeed

    if hidden:
        del sys.modules["mlflow"]
    deepspeed.utils.logger.setLevel(logging.ERROR)
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def from_rank_0(value: T) -> T:
    """What rank 0 gives, on every rank; all must call it."""
    if init_ranks()[1] == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, 0)
    return box[0]


def gather_parts(part: T) -> list[T]:
    """Every rank's part, in the order of ranks, on every rank; all must call it."""
    ranks = init_ranks()[1]
    if ranks == 1:
        return [part]
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, part)
    return parts


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device: a tensor, or a dataclass, tuple or list of such."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        moved = {f.name: to_device(getattr(batch, f.name), device) for f in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **moved)
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(one, device) for one in batch)
    return batch
