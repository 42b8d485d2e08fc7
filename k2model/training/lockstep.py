"""Generation and scoring on weights that are spread over ranks, without a copy of them.

A layer's weights are fetched (ZeRO-3), or its tokens travel (expert parallelism), only while all ranks call it. So
before each call of the network the ranks agree on whose turn it is, and those without such a call make a small one.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.formats.checkpoint import named_tensors, widen_biases
from k2model.inference.cached_model import CachedModel
from k2model.model import Call, K2Model
from k2model.training.process_group import load_deepspeed


class LockstepRanks:
    """What `K2Model.lockstep` is where weights are spread; see there."""

    def __init__(self, model: K2Model, device: torch.device) -> None:
        self.model, self.device = model, device
        self._aside: CachedModel | None = None
        self._helping = False

    def turn(self, call: Call) -> None:
        if self._helping:
            return
        while (agreed := self._agree(call)) is not call:
            self._help(agreed)

    def gathered(self, *weights: nn.Parameter) -> AbstractContextManager[Any]:
        spread = [weight for weight in weights if hasattr(weight, "ds_id")]
        made: AbstractContextManager[Any] = load_deepspeed().zero.GatheredParameters(spread, enabled=bool(spread))
        return made

    def _agree(self, call: Call) -> Call:
        """The call of highest number that a rank wants; `Call.NONE` when no rank wants any more."""
        wanted = torch.tensor(call.value, device=self.device)
        dist.all_reduce(wanted, dist.ReduceOp.MAX)
        return Call(int(wanted))

    @torch.no_grad()
    def _help(self, call: Call) -> None:
        """The smallest call of a kind, whose result nobody reads."""
        self._helping = True
        if call is Call.HEAD:
            width, weight = self.model.config.hidden_size, self.model.lm_head.weight
            self.model.logits(torch.zeros(1, width, dtype=weight.dtype, device=self.device))
        elif call is Call.HIDDEN:
            self.model.hidden(torch.zeros(1, 1, dtype=torch.int64, device=self.device))
        else:
            if self._aside is None:
                self._aside = CachedModel(self.model, 1, 2)
            self._aside.read([[0] if call is Call.TOKEN else [0, 0]], [0], [0])
        self._helping = False


def spread_network(model: K2Model, device: torch.device) -> K2Model:
    """The same network for calls that any rank makes, any number of times, without gradients.

    It shares all parts but the outermost module: what stage 3 does when that is called belongs to a training step.
    """
    with torch.device("meta"):
        network = K2Model(model.config)
    network.model, network.lm_head = model.model, model.lm_head
    network.lockstep = LockstepRanks(network, device)
    return network


@torch.no_grad()
def whole_network(
    model: K2Model, tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype, device: torch.device
) -> K2Model:
    """A copy of the network for a rank that is alone, whose pieces stage 3 would put together for each call.

    Args:
        tensors: all of the checkpoint's, by name.
    """
    with torch.device("meta"):
        whole = K2Model(model.config).to(dtype)
    whole.to_empty(device=device)
    widen_biases(whole)
    targets = dict(named_tensors(whole))
    for name, tensor in tensors:
        targets.pop(name).copy_(tensor)
    assert not targets
    return whole


@contextmanager
def in_lockstep(network: K2Model, coordinator: Any) -> Iterator[None]:
    """Any rank may call the network, which `spread_network` made; all ranks enter and leave.

    Args:
        coordinator: stage 3's, which would otherwise take these calls for a part of its plan of the training step.
    """
    assert network.lockstep is not None
    if coordinator is not None and not coordinator.is_invalid_trace():
        coordinator._invalidate_trace()
    yield
    network.lockstep.turn(Call.NONE)
