"""The training engine of pretrain, sft, rl and qat: one CPU process or many ranks, the same code.

    engine = TrainEngine(Path("models/pretrain"), options, micro_batches=4, checkpoints=stage.work / "checkpoints")
    state = engine.resume()                      # what the last `save` was given, or None
    loss = engine.accumulate(loss_fn, micros)    # all micro-batches of the step: the engine takes this rank's
    report = engine.apply(loss, lr=3e-4)
    engine.save(step, {"position": 12})          # in the background
    engine.settle()                              # until that is on disk
    loss = engine.led(lambda model: held_loss(model))  # what rank 0 measures, on every rank

DeepSpeed runs forward, backward, accumulation, all-reduce, sharding (ZeRO 0 to 3) and expert parallelism (AutoEP); its
Muon has K2's rule (`k2model.training.muon`). After each step come QK-Clip and the routers' correction bias, both from
numbers reduced over micro-batches and ranks.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.attention import MLA
from k2model.config import K2Config
from k2model.errors import ConfigError, NotFiniteError
from k2model.expert_parallel import ExpertParallel
from k2model.formats.checkpoint import stored_tensors, unstacked, widen_biases
from k2model.formats.quant import set_fake_quant
from k2model.model import K2Model
from k2model.training.layout import deepspeed_config, stored_dtype, value_dtype
from k2model.training.lockstep import in_lockstep, spread_network, whole_network
from k2model.training.muon import make_optimizer, parameter_groups
from k2model.training.opening import open_model
from k2model.training.options import Layout, OptimizerOptions
from k2model.training.process_group import (
    device,
    experts_over,
    from_rank_0,
    gather_parts,
    init_ranks,
    load_deepspeed,
    to_device,
)
from k2model.training.qk_clip import MaxLogit, clip_factors, row_factors
from k2model.training.rank_state import RankState
from k2model.training.rates import freeze, limit_rows
from k2model.training.step import Accumulated, Batches, LossFn, StepReport
from k2model.training.train_state import CheckpointReader, CheckpointWriter, newest_intact
from k2model.training.zero import Zero

MicroBatch = TypeVar("MicroBatch")
Item = TypeVar("Item")
Made = TypeVar("Made")


class TrainEngine:
    """A K2 model, its optimizer, the DeepSpeed engine around both, and where their state is kept.

    A training step is `accumulate` (forward and backward over this rank's micro-batches), then either `apply` or
    `discard`. The first gives the global loss before anything has changed, so that a bad batch can be dropped.

    Args:
        start: a model folder to go on from, of which a rank reads its own experts; or a model on the CPU, whose
            parameters are moved and converted.
        micro_batches: micro-batches of a step, over all ranks.
        layout: type, ZeRO stage, expert parallel size, recomputation.
        fake_quant: forward passes use the INT4 values of the routed experts; what is saved are the weights behind them.
        checkpoints: where `save` and `resume` keep the state of the training; `keep` of them stay.

    Raises:
        CheckpointError: the model folder is missing, incomplete or corrupted.
        ConfigError: a layout that can't be; ranks that don't divide the micro-batches; experts that don't divide;
            `fake_quant` with a width that groups of 32 don't divide.
        NotFiniteError: a weight of the model isn't finite.

    Attributes:
        weight_dtype: of the working weights' values, and so of a checkpoint that keeps all of them.
        problems: one line for every corrupted checkpoint that `resume` skipped.
        state: this rank's part of what a checkpoint holds.
    """

    def __init__(
        self,
        start: Path | K2Model,
        options: OptimizerOptions,
        *,
        micro_batches: int,
        layout: Layout | None = None,
        fake_quant: bool = False,
        checkpoints: Path | None = None,
        keep: int = 1,
    ) -> None:
        self.rank, self.ranks = init_ranks()
        self.layout = layout = layout or Layout()
        layout.check(options.matrices, options.clip_norm, self.ranks)
        if micro_batches % self.ranks:
            raise ConfigError(f"{self.ranks} ranks don't divide the {micro_batches} micro-batches of a step")
        self.options, self.micro_batches, self.weight_dtype = options, micro_batches, value_dtype(layout)
        self.device = device()
        self.parallel: ExpertParallel | None = experts_over(layout.expert_parallel)
        each = deepspeed_config(
            layout, stored_dtype(layout, self.device), micro_batches // self.ranks, options.clip_norm
        )
        self.model = open_model(start, layout, self.parallel, self.device, each)
        self.fake_quant = fake_quant
        if fake_quant:
            set_fake_quant(self.model, True)
        freeze(self.model, options.rates)
        if options.vocabulary_rows is not None:
            limit_rows(self.model, options.vocabulary_rows)
        stored = stored_tensors(self.model)
        named = {name: p for name, p, _ in stored if isinstance(p, nn.Parameter) and p.requires_grad}
        groups = parameter_groups(
            named,
            matrices=options.matrices,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            betas=options.betas,
            eps=options.eps,
            rates=options.rates,
        )
        self.engine, *_ = load_deepspeed().initialize(
            model=self.model, config=each, optimizer=lambda _: make_optimizer(groups)
        )
        widen_biases(self.model)
        self._stored = list(stored_tensors(self.model))
        self.zero = Zero(self.engine.optimizer, layout.zero, named)
        buffers = {name: tensor for name, tensor, _ in self._stored if not isinstance(tensor, nn.Parameter)}
        self.state = RankState(self.zero, layout, self.parallel, buffers)
        self.steps = 0
        self._sum: Accumulated | None = None
        self._network: K2Model | None = None  # for generation, where weights are spread
        c = self.model.config
        attentions = {k: f"model.layers.{k}.self_attn" for k in range(c.num_hidden_layers)}
        names = {k: (f"{at}.{c.query_projection}.weight", f"{at}.kv_b_proj.weight") for k, at in attentions.items()}
        self._clippable = {k: (named[q], named[kv]) for k, (q, kv) in names.items() if {q, kv} <= named.keys()}
        self.problems: Sequence[str] = ()
        self._checkpoints = checkpoints
        self._writer = None if checkpoints is None else CheckpointWriter(checkpoints, keep=keep)

    # ---- a step ------------------------------------------------------------------------------------------------

    def accumulate(self, loss_fn: LossFn[MicroBatch], micro_batches: Batches[MicroBatch]) -> float:
        """Forward and backward over this rank's share of a step's micro-batches; gradients are the mean over all.

        Args:
            loss_fn: gets a micro-batch on this rank's device.
            micro_batches: of the whole step, the same on every rank; this rank reads every `ranks`-th one, no other.

        Returns:
            The loss of the global batch (mean over micro-batches and ranks); NaN stays NaN.
        """
        if len(micro_batches) != self.micro_batches:
            raise ValueError(f"{len(micro_batches)} micro-batches, the engine was built for {self.micro_batches}")
        config = self.model.config
        logits = MaxLogit(config.num_hidden_layers, config.num_attention_heads, self.device)
        done = Accumulated(torch.zeros((), device=self.device), logits)
        self.engine.train()
        for number in range(self.rank, self.micro_batches, self.ranks):
            if done.count:
                self.engine.step()  # not a boundary: counts the micro-batch, changes nothing
            loss, output = loss_fn(self.engine, to_device(micro_batches[number], self.device))
            self.engine.backward(loss)
            done.loss += loss.detach().float()
            done.logits.update(output.max_logit_LH)
            load = output.expert_load_LE
            done.load_LE = load if done.load_LE is None else done.load_LE + load
            done.count += 1
        self._sum = done
        total = done.loss / done.count
        if self.ranks > 1:
            dist.all_reduce(total)
            total /= self.ranks
        return float(total)

    def grad_norm(self) -> float:
        """The norm of the averaged gradients that `accumulate` left, before any clip. All ranks call it."""
        assert self._sum is not None
        if self._sum.grad_norm is None:
            self._sum.grad_norm = self._norm()
        return self._sum.grad_norm

    @torch.no_grad()
    def _norm(self) -> float:
        square = torch.zeros((), device=self.device)
        shared = torch.zeros_like(square)  # what stage 0 has on more than one rank
        for param, part in self.zero.grad_squares():
            if self.layout.zero or (self.parallel and not getattr(param, "allreduce", True)):
                square += part
            else:
                shared += part
        if self.layout.zero == 0 and self.parallel:
            square /= self.ranks // self.parallel.size
        if self.ranks > 1 and (self.layout.zero or self.parallel):
            dist.all_reduce(square)
        return float((square + shared).sqrt())

    def apply(self, loss: float, *, lr: float, bias_rate: float = 0.0) -> StepReport:
        """One optimizer step, QK-Clip, and the correction biases.

        Args:
            loss: what `accumulate` returned, for the report.
            lr: learning rate of this step.
            bias_rate: Moonlight's u, 0 freezes the biases.

        Raises:
            NotFiniteError: the loss or a gradient isn't finite (nothing has changed then), or a weight after the step.
            ConfigError: a bias rate for routers without biases (nothing has changed then).
        """
        self.model.config.check_bias_rate(bias_rate)
        if not math.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss}; no step was taken")
        norm = self.grad_norm()
        if not math.isfinite(norm):
            raise NotFiniteError(f"the gradient{self._bad_gradient()} is not finite; no step was taken")
        done, self._sum = self._sum, None
        assert done is not None and done.load_LE is not None
        self.zero.set_lr(lr)
        self.engine.step()
        self.steps += 1
        max_logit_LH = done.logits.reduce()
        clipped = self._qk_clip(max_logit_LH) if self.options.tau > 0 else 0
        if self.weight_dtype != stored_dtype(self.layout, self.device):
            self.zero.publish(self.zero.named.values(), self.weight_dtype)
        load_LE = done.load_LE
        if self.ranks > 1:
            dist.all_reduce(load_LE)
        if bias_rate > 0:
            self.model.update_expert_biases(load_LE, bias_rate)
        self._check((name, piece) for name, _, piece in self._pieces("master"))
        return StepReport(loss, norm, max_logit_LH.cpu(), clipped, load_LE.cpu())

    def _qk_clip(self, max_logit_LH: Tensor) -> int:
        gamma_LH = clip_factors(max_logit_LH.float(), self.options.tau)
        clipped = 0
        for layer, (query, key) in self._clippable.items():
            heads = int((gamma_LH[layer] < 1).sum())
            if heads:
                for param, rows in zip((query, key), row_factors(gamma_LH[layer], self.model.config), strict=True):
                    self.zero.rescale(param, rows, self.weight_dtype)
            clipped += heads
        return clipped

    @torch.no_grad()
    def _check(self, named: Iterable[tuple[str, Tensor]]) -> None:
        """Raises NotFiniteError, on every rank, when a tensor of any rank is NaN or infinite."""
        tensors = list(named)
        norms = torch._foreach_norm([tensor.detach() for _, tensor in tensors]) if tensors else []
        fine = not norms or bool(torch.stack([norm.float() for norm in norms]).isfinite().all())
        bad = None if fine else next((name for name, tensor in tensors if not bool(tensor.isfinite().all())), None)
        if found := next(filter(None, self.gather(bad)), None):
            raise NotFiniteError(f"the weight of {found} is not finite")

    def _bad_gradient(self) -> str:
        """` of` the first parameter whose gradient isn't finite; empty when the norm alone is beyond float32."""
        bad = next((name for name, _, piece in self._pieces("gradient") if not bool(piece.isfinite().all())), None)
        found = next(filter(None, self.gather(bad)), None)
        return f" of {found}" if found else ""

    def _pieces(self, kind: Any) -> Iterator[tuple[str, int, Tensor]]:
        for name, param in self.zero.named.items():
            for start, piece in self.zero.pieces(param, kind):
                yield name, start, piece

    def discard(self) -> None:
        """Drops the accumulated gradients; no weight and no state changes."""
        self._sum = None
        self.zero.drop_gradients(self.engine)

    def reset_optimizer(self) -> None:
        """Forgets momenta and moments; weights stay (RL resets at each iteration, K1.5 §2.3.2)."""
        self.steps = 0
        self.zero.reset()

    def set_config(self, config: K2Config) -> None:
        """Changes how the network sees positions (YaRN, longest sequence); every width must stay."""
        self.model.config = config
        self.model._rope = None
        for module in self.model.modules():
            if isinstance(module, MLA):
                module.config = config

    # ---- weights for others ------------------------------------------------------------------------------------

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name in a checkpoint, whole tensor): every rank's part put together one parameter at a time.

        All ranks must iterate to the end.
        """
        gathered = load_deepspeed().zero.GatheredParameters
        for name, tensor, held in self._stored:
            with gathered([tensor], enabled=hasattr(tensor, "ds_id")):
                value = tensor.detach()
                if held is not None and self.parallel:
                    value, held = self.parallel.gather(value), range(self.model.config.n_routed_experts)
                yield from unstacked(name, value, held)

    def attend(self) -> None:
        """What the other ranks do while one saves what `tensors` gives."""
        deque(self.tensors(), maxlen=0)

    # ---- ranks -------------------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which records, judges and writes for all."""
        return self.rank == 0

    def shared(self, items: Sequence[Item], work: Callable[[K2Model, Sequence[Item]], Sequence[Made]]) -> list[Made]:
        """What `work` makes of every item with the network, in their order: each rank works on its share.

        All ranks call it.
        """
        with self._together() as network:
            made = work(network, items[self.rank :: self.ranks])
        parts = self.gather(made)
        return [parts[number % self.ranks][number // self.ranks] for number in range(len(items))]

    def led(self, make: Callable[[K2Model], Made]) -> Made:
        """What rank 0 makes with the network, on every rank: decisions and figures that all must share.

        All ranks call it.
        """
        with self._together() as network:
            made = make(network) if self.leads else None
        return from_rank_0(made)  # type: ignore[return-value]

    @contextmanager
    def _together(self) -> Iterator[K2Model]:
        """The network, to generate and score with on any rank, however often."""
        self.model.eval()
        if not self.layout.spread:
            yield self.model
            return
        if self.ranks == 1 and not self.fake_quant:
            yield whole_network(self.model, self.tensors(), stored_dtype(self.layout, self.device), self.device).eval()
            return
        if self._network is None:
            self._network = spread_network(self.model, self.device)
        self._network.config, self._network._rope = self.model.config, None
        self._network.eval()
        offload = getattr(self.engine.optimizer, "parameter_offload", None)
        coordinator = None if offload is None else offload.get_param_coordinator()
        with in_lockstep(self._network, coordinator):
            yield self._network

    def gather(self, part: Made) -> list[Made]:
        """Every rank's part, in the order of ranks, on every rank. All ranks call it."""
        return gather_parts(part)

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Takes a checkpoint, written in the background while training goes on; `state` is JSON, rank 0's counts.

        Raises:
            NotFiniteError: a tensor holds NaN or infinity; nothing is written.
            OSError, CheckpointError: what went wrong with the checkpoint before.
        """
        assert self._writer is not None
        self._writer.save(step, self.state.pieces(), {"state": state, "optimizer_steps": self.steps})

    @torch.no_grad()
    def resume(self) -> dict[str, Any] | None:
        """Goes to the newest intact checkpoint and returns its state; None when there is none. All ranks call it.

        Whatever the ranks, the ZeRO stage and the expert parallel size were that wrote it. What is frozen isn't in it.
        """
        assert self._checkpoints is not None
        newest, self.problems = newest_intact(self._checkpoints, self.rank, self.ranks, self.gather)
        if newest is None:
            return None
        reader = CheckpointReader(newest)
        self.state.fill(reader, self.weight_dtype)
        self.steps = int(reader.state["optimizer_steps"])
        self.zero.set_steps(self.steps)
        state: dict[str, Any] = reader.state["state"]
        return state

    def settle(self) -> None:
        """Until the checkpoint in flight is on disk, of all ranks."""
        assert self._writer is not None
        self._writer.wait()
        if self.ranks > 1:
            dist.barrier()
