"""A rank's part of all that training goes on from: what it writes into a checkpoint, and what it reads out of one."""

import math
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.expert_parallel import ExpertParallel
from k2model.training.options import Layout
from k2model.training.process_group import device, init_ranks
from k2model.training.train_state import CheckpointReader, key_of
from k2model.training.zero import Zero, shape_of

BUFFER = "buffer"


class RankState:
    """Weights, masters, moments and buffers, under names that do not depend on how they are spread.

    Args:
        buffers: by name, the same on every rank.
    """

    def __init__(
        self, zero: Zero, layout: Layout, parallel: ExpertParallel | None, buffers: Mapping[str, Tensor]
    ) -> None:
        self.zero, self.layout, self.parallel, self.buffers = zero, layout, parallel, buffers
        self.rank, self.ranks = init_ranks()

    def pieces(self) -> dict[str, Tensor]:
        """By `key_of`: views, which the next step changes."""
        pieces: dict[str, Tensor] = {}
        for name, param in self.zero.named.items():
            first = self._first(param)
            for kind in self.zero.kinds(param):
                for start, piece in self.zero.pieces(param, kind):
                    start, piece = self._own(param, start, piece)
                    if piece.numel():
                        pieces[key_of(kind, name, first + start, first + start + piece.numel())] = piece
        if self.rank == 0:
            pieces |= {key_of(BUFFER, name, 0, b.numel()): b.flatten() for name, b in self.buffers.items()}
        return pieces

    @torch.no_grad()
    def fill(self, reader: CheckpointReader, weight_dtype: torch.dtype) -> None:
        """Takes this rank's part out of a checkpoint, whatever the ranks and the layout were that wrote it."""
        whole: dict[nn.Parameter, Tensor] = {}
        for name, param in self.zero.named.items():
            first = self._first(param)
            for kind in self.zero.kinds(param):
                if kind == "master" and self.layout.zero in (1, 2):
                    whole[param] = torch.empty(param.numel(), device=device())
                    reader.fill(kind, name, first, whole[param])
                    continue
                for start, piece in self.zero.targets(param, kind):
                    reader.fill(kind, name, first + start, piece)
        self.zero.weights_from_masters(weight_dtype, whole)
        for name, buffer in self.buffers.items():
            reader.fill(BUFFER, name, 0, buffer.view(-1))

    def _own(self, param: nn.Parameter, start: int, piece: Tensor) -> tuple[int, Tensor]:
        """Stage 0: ranks that hold the same share out who writes what."""
        if self.layout.zero:
            return start, piece
        expert = not getattr(param, "allreduce", True)
        sharing = dist.get_world_size(self.parallel.replicas) if self.parallel and expert else self.ranks
        part = dist.get_rank(self.parallel.replicas) if self.parallel and expert else self.rank
        low, high = piece.numel() * part // sharing, piece.numel() * (part + 1) // sharing
        return start + low, piece[low:high]

    def _first(self, param: nn.Parameter) -> int:
        """Where this rank's part of a parameter begins in the whole one."""
        if self.parallel is None or getattr(param, "allreduce", True):
            return 0
        return self.parallel.rank * math.prod(shape_of(param))
