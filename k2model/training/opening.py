"""The network that a training starts from, as this rank keeps it."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from k2model.errors import ConfigError, NotFiniteError
from k2model.expert_parallel import ExpertParallel
from k2model.formats.checkpoint import load_checkpoint
from k2model.model import K2Model
from k2model.training.layout import stored_dtype, value_dtype
from k2model.training.options import Layout
from k2model.training.process_group import gather_parts, load_deepspeed


def open_model(
    start: Path | K2Model,
    layout: Layout,
    parallel: ExpertParallel | None,
    device: torch.device,
    config: dict[str, Any],
) -> K2Model:
    """Reads a model folder, or takes a network in memory, parameter by parameter. All ranks call it.

    Each becomes the layout's numbers on this rank's device; under stage 3 only this rank's piece of it stays.

    Args:
        parallel: of a folder only this rank's experts are read.
        config: DeepSpeed's.

    Raises:
        CheckpointError: the folder is missing, incomplete or corrupted.
        ConfigError: a network in memory under expert parallelism; experts that the ranks don't divide.
        NotFiniteError: a weight isn't finite, on any rank.
    """
    stored = stored_dtype(layout, device)
    cut = load_deepspeed().zero.Init(config_dict_or_path=config, dtype=stored) if layout.zero == 3 else None
    bad: list[str] = []

    @torch.no_grad()
    def place(name: str, param: nn.Parameter) -> None:
        if not bool(param.isfinite().all()):
            bad.append(name)
        param.data = param.data.to(value_dtype(layout)).to(stored).to(device)
        if cut is not None:
            cut._convert_to_zero_parameters([param])

    if isinstance(start, Path):
        model = load_checkpoint(start, dtype=value_dtype(layout), parallel=parallel, filled=place)
    elif parallel:
        raise ConfigError("expert_parallel: a network in memory isn't spread over ranks, a folder is")
    else:
        model = start
        for name, param in model.named_parameters():
            place(name, param)
    if found := next(filter(None, gather_parts(next(iter(bad), None))), None):
        raise NotFiniteError(f"the weight of {found} is not finite")
    model.recompute = layout.recompute
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    return model
