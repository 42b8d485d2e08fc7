"""Expert parallelism: each rank of a group holds a part of every layer's experts, and tokens travel to them.

DeepSpeed's AutoEP brings the way there and back (`AutoEPMoELayer`: all-to-all over any back-end, DeepEP on GPUs, its
own data-parallel groups under ZeRO). Router and experts in it are the network's own, since AutoEP's router multiplies
in the weights' type, and its experts know no fake quantization.

Axes: T tokens, C hidden width, K experts per token, E routed experts, F experts of this rank, S rows sorted by expert.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.errors import ConfigError
from k2model.model import K2Model
from k2model.moe import Experts, Gate


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

    def local(self, experts: int) -> range:
        """Which of a layer's experts this rank holds.

        Raises:
            ConfigError: the ranks don't divide them.
        """
        if experts % self.size:
            raise ConfigError(f"expert_parallel: {self.size} does not divide n_routed_experts {experts}")
        each = experts // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def gather(self, part_F: Tensor) -> Tensor:
        """A tensor over all experts, [E, …], from every rank's part of it; all ranks of the group must call."""
        whole_E = part_F.new_empty(self.size * part_F.shape[0], *part_F.shape[1:])
        dist.all_gather_single(whole_E, part_F.contiguous(), group=self.group)
        return whole_E


class CountingGate(Gate):
    """The router with the results that AutoEP wants; keeps how many tokens chose each expert in its last pass."""

    load_E: Tensor

    def forward(self, x_TC: Tensor, _: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        expert_TK, weight_TK = super().forward(x_TC)
        self.load_E = torch.bincount(expert_TK.flatten(), minlength=self.config.n_routed_experts)
        return weight_TK, expert_TK, self.load_E


class HeldExperts(Experts):
    """This rank's experts, for rows that have arrived."""

    def forward(self, x_SC: Tensor, load_F: Tensor) -> Tensor:  # type: ignore[override]
        # AutoEP's buffer is longer than what has arrived; grouped products would leave its end uninitialised.
        arrived = int(load_F.sum())
        out_SC = self._compute(x_SC[:arrived], load_F.cumsum(0).to(torch.int32))
        return torch.cat([out_SC, out_SC.new_zeros(len(x_SC) - arrived, out_SC.shape[1])])


def spread_experts(model: K2Model, parallel: ExpertParallel) -> None:
    """Gives every sparse layer of a network without memory this rank's part of the experts and AutoEP's exchange.

    Raises:
        ConfigError: the ranks don't divide the experts.
    """
    from deepspeed.module_inject.auto_ep import AutoEP
    from deepspeed.module_inject.auto_ep_config import parse_autoep_config

    c = model.config
    preset = {"preset_model": "deepseek_v3", "expert_w1": "gate_proj", "expert_w3": "up_proj", "expert_w2": "down_proj"}
    # The router's own figures are put in to satisfy AutoEP's checks; its router is replaced.
    own = {"top_k": c.num_experts_per_tok, "route_norm": c.norm_topk_prob, "route_scale": c.routed_scaling_factor}
    settings = parse_autoep_config({"enabled": True, "autoep_size": parallel.size, **preset, **own})
    held = parallel.local(c.n_routed_experts)
    for found in AutoEP(model, settings).ep_parser():
        layer = model.get_submodule(found.moe_module_name.rpartition(".")[0])
        with torch.device("meta"):
            layer.mlp = _layer_class()(found, layer.mlp, parallel.size, parallel.rank, settings)
            layer.mlp.router, layer.mlp.experts = CountingGate(c), HeldExperts(c, held)
        layer.mlp.set_deepspeed_parallelism()


def mark_experts(model: nn.Module, parallel: ExpertParallel) -> None:
    """Tells DeepSpeed which parameters are one rank's own, and over whom they are averaged and cut."""
    for module in model.modules():
        if isinstance(module, HeldExperts):
            for weight in module.parameters():
                weight.allreduce, weight.group_name = False, parallel.name  # type: ignore[attr-defined]
                weight.ds_zero_placement_family = "autoep_expert"  # type: ignore[attr-defined]
                weight.ds_zero_partition_group_name = parallel.name  # type: ignore[attr-defined]
                weight.ds_zero_partition_process_group = parallel.replicas  # type: ignore[attr-defined]


@functools.cache
def _layer_class() -> Any:
    from deepspeed.module_inject.auto_ep_layer import AutoEPMoELayer

    class SpreadMoE(AutoEPMoELayer):  # type: ignore[misc]
        """`k2model.moe.MoE` over several ranks; a checkpoint knows its router as `gate`."""

        @property
        def gate(self) -> Gate:
            return self.router  # type: ignore[no-any-return]

        def forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
            out_BLC: Tensor = super().forward(x_BLC)
            return out_BLC, self.router.load_E.float()

    return SpreadMoE
