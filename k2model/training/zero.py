"""Where DeepSpeed's ZeRO keeps this rank's pieces of the training state.

A piece is a flat range of one parameter: of its float32 master, of its momentum or moments, of its gradient. Over all
ranks the pieces of a kind cover each value once, whatever the stage. The places are private to DeepSpeed, whose version
is pinned; tests hold each stage to one process without it.

    stage 0: whole parameters in one process; several ranks hold the same and share out who writes what
    stage 1, 2: weights are whole; masters, moments and gradients lie in flat partitions, group by group
    stage 3: every parameter is cut over the ranks, and all of its state with it
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

Kind = Literal["master", "momentum_buffer", "exp_avg", "exp_avg_sq", "gradient"]
Piece = tuple[int, Tensor]  # where it begins in the parameter as this rank knows it, a flat view

MUON_STATE: tuple[Kind, ...] = ("momentum_buffer",)
ADAM_STATE: tuple[Kind, ...] = ("exp_avg", "exp_avg_sq")


def shape_of(param: Tensor) -> torch.Size:
    """A parameter's whole shape on this rank, which stage 3 takes from the tensor."""
    return torch.Size(getattr(param, "ds_shape", param.shape))


class Zero:
    """The optimizer of a DeepSpeed engine, of any stage.

    Args:
        optimizer: `engine.optimizer`; stages 1 to 3 have wrapped the given one.
        named: the parameters that it trains.
    """

    def __init__(self, optimizer: Any, stage: int, named: Mapping[str, nn.Parameter]) -> None:
        self.optimizer, self.stage, self.named = optimizer, stage, named
        self.base: torch.optim.Optimizer = optimizer.optimizer if stage else optimizer
        self.group_of: dict[nn.Parameter, int] = {}
        self._place: dict[nn.Parameter, int] = {}
        if stage in (1, 2):
            self.group_of = {p: i for i, params in enumerate(optimizer.bit16_groups) for p in params}
            for params in optimizer.params_in_partition:  # where a matrix begins in its partition's momenta
                starts = itertools.accumulate((p.numel() for p in params), initial=0)
                self._place |= dict(zip(params, starts, strict=False))
        elif stage == 3:  # which of its group's gradients is a parameter's
            self._place = {p: k for params in optimizer.fp16_groups for k, p in enumerate(params)}
        self._make_state()

    def set_lr(self, lr: float) -> None:
        """A step's learning rate; each group takes its own share."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["rate"]

    def kinds(self, param: nn.Parameter) -> tuple[Kind, ...]:
        """What is kept for a parameter from step to step."""
        return ("master", *(MUON_STATE if param.use_muon else ADAM_STATE))  # type: ignore[attr-defined]

    # ---- pieces ------------------------------------------------------------------------------------------------

    def pieces(self, param: nn.Parameter, kind: Kind) -> list[Piece]:
        """This rank's part of one kind of state. A gradient is that of the step to come, averaged over ranks."""
        if self.stage == 0:
            return [(0, self._whole(param, kind))]
        return self._of_stage_3(param, kind) if self.stage == 3 else self._of_partition(param, kind)

    def targets(self, param: nn.Parameter, kind: Kind) -> list[Piece]:
        """What has to be filled when state is read: under stages 1 and 2 a partition holds whole momenta."""
        if self.stage in (1, 2) and kind == "momentum_buffer" and param._hp_mapping is not None:  # type: ignore[attr-defined]
            return [(0, self._momentum(param, self._state(self._flat(param))["momentum_buffer"]))]
        return self.pieces(param, kind)

    def _whole(self, param: nn.Parameter, kind: Kind) -> Tensor:
        if kind == "master":
            return param.data.view(-1)
        if kind == "gradient":
            grad = torch.zeros_like(param) if param.grad is None else param.grad
            return grad.reshape(-1)
        return self._state(param)[kind].view(-1)

    def _of_partition(self, param: nn.Parameter, kind: Kind) -> list[Piece]:
        where = param._hp_mapping  # type: ignore[attr-defined]
        if where is None:
            return []
        start, count = where.lp_fragment_address.start, where.lp_fragment_address.numel
        if kind == "master":
            return [(start, where.hp_fragment)]
        flat = self._flat(param)
        at = where.hp_fragment_address.start
        if kind == "gradient":
            if param.use_muon:  # type: ignore[attr-defined]
                return [(start, self._muon_gradient(param)[start : start + count])]
            parts = self.optimizer.averaged_gradients[self.group_of[param]]
            partition = torch.cat([part.reshape(-1) for part in parts])
            return [(start, partition[at : at + count])]
        if kind == "momentum_buffer":
            return [(start, self._momentum(param, self._state(flat)[kind])[start : start + count])]
        return [(start, self._state(flat)[kind][at : at + count])]

    def _momentum(self, param: nn.Parameter, buffer: Tensor) -> Tensor:
        """The whole momentum of a matrix that this rank's partition touches."""
        at = self._place[param]
        return buffer[at : at + param.numel()]

    def _muon_gradient(self, param: nn.Parameter) -> Tensor:
        # Muon has run inside the backward pass: momentum M' = μ M + G waits to be committed by the step.
        staged, flat = self.optimizer._muon_pending_momentum[self.group_of[param]]
        beta = self.base.param_groups[self.group_of[param]]["momentum"]
        committed = self._momentum(param, self._state(flat)["momentum_buffer"])
        return self._momentum(param, staged) - beta * committed

    def _of_stage_3(self, param: nn.Parameter, kind: Kind) -> list[Piece]:
        opt = self.optimizer
        group, offset, _ = opt.grad_position[opt.get_param_id(param)]
        each = param.partition_numel()  # type: ignore[attr-defined]
        start = dist.get_rank(param.ds_process_group) * each  # type: ignore[attr-defined]
        count = max(0, min(each, param.ds_numel - start))  # type: ignore[attr-defined]
        if not count:
            return []
        if kind == "gradient":
            return [(start, opt.averaged_gradients[group][self._place[param]].reshape(-1)[:count])]
        flat = opt.fp32_partitioned_groups_flat[group]
        whole = flat if kind == "master" else self._state(flat)[kind]
        return [(start, whole.view(-1)[offset : offset + count])]

    # ---- weights -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def rescale(self, param: nn.Parameter, rows: Tensor, rounded_to: torch.dtype) -> None:
        """Multiplies the rows of a matrix, master and working copy, each rank its own part: no communication."""
        scale = rows.repeat_interleave(shape_of(param)[1])
        for start, piece in self.pieces(param, "master"):
            piece.mul_(scale[start : start + piece.numel()].to(piece))
        if self.stage in (1, 2):
            param.data.mul_(rows[:, None].to(param))
        self.publish([param], rounded_to)

    @torch.no_grad()
    def publish(self, params: Iterable[nn.Parameter], rounded_to: torch.dtype) -> None:
        """Stage 3: makes working copies the masters' values, rounded to a type however they are stored."""
        if self.stage != 3:
            return
        for param in params:
            for _, piece in self.pieces(param, "master"):
                param.ds_tensor.data[: piece.numel()].copy_(piece.to(rounded_to))  # type: ignore[attr-defined]

    def weights_from_masters(self, rounded_to: torch.dtype, whole: Mapping[nn.Parameter, Tensor]) -> None:
        """After masters were read. `whole`: under stages 1 and 2 every parameter's values, which all ranks need."""
        for param, values in whole.items():
            param.data.copy_(values.view_as(param))
            for start, piece in self.pieces(param, "master"):
                piece.copy_(values[start : start + piece.numel()])
        self.publish(self.named.values(), rounded_to)

    # ---- optimizer state ---------------------------------------------------------------------------------------

    def _flat(self, param: nn.Parameter) -> Tensor:
        flat: Tensor = self.optimizer.single_partition_of_fp32_groups[self.group_of[param]]
        return flat

    def _state(self, key: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.base.state[key]
        return state

    def _make_state(self) -> None:
        """Makes the tensors that the optimizers make at their first step, so that they can be read into and written."""
        for flat, muon, shape in self._owners():
            state = self._state(flat)
            for kind in MUON_STATE if muon else ADAM_STATE:
                state.setdefault(kind, torch.zeros(shape, dtype=torch.float32, device=flat.device))
            if not muon:
                state.setdefault("step", torch.zeros((), dtype=torch.float32, device=flat.device))

    def _owners(self) -> Iterator[tuple[Tensor, bool, Sequence[int]]]:
        """(key of the optimizer's state, whether Muon's, shape of one kind)."""
        opt = self.optimizer
        if self.stage == 0:
            for param in self.named.values():
                yield param, param.use_muon, param.shape  # type: ignore[attr-defined]
        elif self.stage == 3:
            for flat, group in zip(opt.fp32_partitioned_groups_flat, opt.fp16_groups, strict=True):
                yield flat, group[0].use_muon, flat.shape
        else:
            for i, flat in enumerate(opt.single_partition_of_fp32_groups):
                muon = opt.bit16_groups[i][0].use_muon
                touched = sum(param.numel() for param in opt.params_in_partition[i])
                yield flat, muon, (touched,) if muon else flat.shape

    def set_steps(self, steps: int) -> None:
        """How many steps AdamW's bias correction counts."""
        for flat, muon, _ in self._owners():
            if not muon:
                self._state(flat)["step"].fill_(steps)

    def reset(self) -> None:
        """Forgets momenta and moments; weights and masters stay."""
        for flat, _, _ in self._owners():
            for value in self._state(flat).values():
                value.zero_()

    # ---- gradients ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def grad_squares(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(a parameter, sum of squares of this rank's part of averaged gradients, float32).

        AdamW's partitions of stages 1 and 2 are summed as a whole, under their first parameter.
        """
        if self.stage not in (1, 2):
            for param in self.named.values():
                for _, piece in self.pieces(param, "gradient"):
                    yield param, torch.linalg.vector_norm(piece, dtype=torch.float32).square()
            return
        for group, params in enumerate(self.optimizer.bit16_groups):
            if not params[0].use_muon:
                parts = self.optimizer.averaged_gradients[group]
                norms = [torch.linalg.vector_norm(part, dtype=torch.float32) for part in parts]
                yield params[0], torch.stack(norms).square().sum()
                continue
            for param in params:
                for _, piece in self.pieces(param, "gradient"):
                    yield param, torch.linalg.vector_norm(piece).square()

    def drop_gradients(self, engine: Any) -> None:
        """What DeepSpeed does at an overflow: no gradient stays, no momentum has moved."""
        opt = self.optimizer
        if self.stage in (1, 2):
            opt.zero_grad(set_to_none=True)
            opt._release_preflattened_grad_buffers()
            for group in opt.averaged_gradients:
                opt.averaged_gradients[group] = opt.all_grad_tensors[group] = None
            opt.micro_step_id = -1
        elif self.stage == 3:
            opt._overflow_clean_up(opt.loss_scale)
        else:
            engine.zero_grad()
        engine.micro_steps += 1
