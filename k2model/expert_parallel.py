"""Expert parallelism: each rank of a group holds a part of every layer's experts, and tokens travel to them.

Axes: S rows (a token once per expert that it chose), C hidden width, E routed experts, F experts of this rank,
R ranks of the group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from k2model.errors import ConfigError


class _Exchange(torch.autograd.Function):
    """`all_to_all_single` of rows; the gradient travels the same ways back."""

    @staticmethod
    def forward(ctx: Any, x_SC: Tensor, send: list[int], receive: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.send, ctx.receive, ctx.group = send, receive, group
        out_SC = x_SC.new_empty(sum(receive), x_SC.shape[1])
        dist.all_to_all_single(out_SC, x_SC.contiguous(), receive, send, group=group)
        return out_SC

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        grad_SC = grads[0].new_empty(sum(ctx.send), grads[0].shape[1])
        dist.all_to_all_single(grad_SC, grads[0].contiguous(), ctx.send, ctx.receive, group=ctx.group)
        return grad_SC, None, None, None


@dataclass(frozen=True)
class ExpertParallel:
    """Where a rank stands.

    rank, size: in the group whose ranks together hold all experts, consecutive ranks of the job.
    group: that group. replicas: the ranks that hold the same experts as this one.
    """

    rank: int
    size: int
    group: dist.ProcessGroup
    replicas: dist.ProcessGroup

    @property
    def name(self) -> str:
        """DeepSpeed's name for the two groups."""
        return f"ep_size_{self.size}"

    def local(self, experts: int) -> slice:
        """Which of a layer's experts this rank holds.

        Raises:
            ConfigError: the ranks don't divide them.
        """
        if experts % self.size:
            raise ConfigError(f"expert_parallel: {self.size} does not divide n_routed_experts {experts}")
        each = experts // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def gather(self, part_F: Tensor) -> Tensor:
        """A tensor over all experts, [E, …], from every rank's part of it; all ranks of the group must call."""
        whole_E = part_F.new_empty(self.size * part_F.shape[0], *part_F.shape[1:])
        dist.all_gather_single(whole_E, part_F.contiguous(), group=self.group)
        return whole_E

    def run(self, x_SC: Tensor, load_E: Tensor, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Sends rows to the ranks of their experts, computes there, and brings the results back in the same order.

        Args:
            x_SC: rows sorted by expert.
            load_E: rows of each expert, int64.
            compute: (rows sorted by local expert, end of each expert's rows as int32 [F]) → rows.
        """
        load_RF = load_E.view(self.size, -1)
        arriving_RF = torch.empty_like(load_RF)
        dist.all_to_all_single(arriving_RF, load_RF, group=self.group)
        send, receive = load_RF.sum(1).tolist(), arriving_RF.sum(1).tolist()
        arrived_SC = _Exchange.apply(x_SC, send, receive, self.group)
        # Rows arrive by source, then by expert; the grouped products want each expert's rows in one piece.
        local_F = torch.arange(load_RF.shape[1], device=x_SC.device)
        order_S = local_F.repeat(self.size).repeat_interleave(arriving_RF.flatten()).argsort(stable=True)
        out_SC = compute(arrived_SC[order_S], arriving_RF.sum(0).cumsum(0).to(torch.int32))
        returned: Tensor = _Exchange.apply(out_SC[order_S.argsort()], receive, send, self.group)
        return returned
