"""The training engine of pretrain, sft, rl and qat: one CPU process or many ranks, the same code.

    engine = TrainEngine(Path("models/pretrain"), options, micro_batches=4, checkpoints=stage.work / "checkpoints")
    state = engine.resume()                      # what the last `save` was given, or None
    loss = engine.accumulate(loss_fn, micros)    # all micro-batches of the step: the engine takes this rank's
    report = engine.apply(loss, lr=3e-4)
    engine.save(step, {"position": 12})          # in the background
    engine.settle()                              # until that is on disk

DeepSpeed runs forward, backward, gradient accumulation and the all-reduce (ZeRO stage 0); `MuonClip` is its
optimizer and shards its own state by owner, see docs/decisions.md for why. After each step come QK-Clip and the
routers' correction bias, both from numbers reduced over micro-batches and ranks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from k2model.attention import MLA
from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError, NotFiniteError
from k2model.formats.checkpoint import load_checkpoint, named_tensors
from k2model.formats.quant import set_fake_quant
from k2model.model import K2Model, Output
from k2model.training.muonclip import MuonClip
from k2model.training.process_group import device, experts_over, from_rank_0, init_ranks, load_deepspeed, to_device
from k2model.training.qk_clip import AttentionWeights, MaxLogit, qk_clip_
from k2model.training.rates import Rates, limit_rows
from k2model.training.sharding import Kind
from k2model.training.train_state import (
    CheckpointWriter,
    Snapshot,
    load_state,
    load_tensors,
    newest_intact,
)
from kernels.processor import fast_dtype

Micro = TypeVar("Micro", contravariant=True)
MicroBatch = TypeVar("MicroBatch")
Made = TypeVar("Made")
MicroBatch_co = TypeVar("MicroBatch_co", covariant=True)
ComputeType = Literal["float32", "bfloat16"]


class LossFn(Protocol[Micro]):
    """Runs the model on one micro-batch: its mean loss, and the forward's output."""

    def __call__(self, model: nn.Module, micro: Micro, /) -> tuple[Tensor, Output]: ...


class Batches(Protocol[MicroBatch_co]):
    """The micro-batches of a step: a list, or what makes the one that is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> MicroBatch_co: ...


@dataclass(frozen=True)
class OptimizerOptions:
    """MuonClip's constants; `tau` 0 switches QK-Clip off, `clip_norm` 0 the gradient clip. Frozen layers keep theirs.

    matrices: the rule of the hidden matrices, see `MuonClip`.
    vocabulary_rows: the only rows of embedding and head that learn; None is all.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    clip_norm: float = 0.0
    tau: float = 100.0
    matrices: Kind = "muon"
    rates: Rates = field(default_factory=Rates)
    vocabulary_rows: Sequence[int] | None = None


@dataclass(frozen=True)
class StepReport:
    """What one optimizer step was like.

    max_logit_LH: the largest logit of each head over the global batch, before the clip.
    load_LE: tokens per expert over the global batch.
    """

    loss: float
    grad_norm: float
    max_logit_LH: Tensor
    clipped_heads: int
    load_LE: Tensor

    @property
    def max_logit(self) -> float:
        return float(self.max_logit_LH.max())

    @property
    def load_cv(self) -> float:
        """Coefficient of variation of the expert load, the mean over layers; 0 is perfect balance."""
        if self.load_LE.numel() == 0:
            return 0.0
        return float((self.load_LE.std(dim=1, correction=0) / self.load_LE.mean(dim=1).clamp_min(1e-9)).mean())


def set_compute_type(model: nn.Module, compute: ComputeType) -> None:
    """Makes the parameters the working copies of training; buffers keep their types.

    `bfloat16`: weights of bfloat16 values, gradients accumulated in float32, masters in the optimizer. The weights are
    stored, and so multiplied, in bfloat16 where the processor has instructions for it, else in float32.
    """
    for param in model.parameters():
        if compute == "float32":
            param.data = param.data.float()
        else:
            param.data = param.data.to(torch.bfloat16).to(fast_dtype(param.device))
            param.grad_dtype = torch.float32


@dataclass
class _Accumulated:
    """Sums over the micro-batches of one step."""

    loss: Tensor
    load_LE: Tensor | None = None
    count: int = 0
    logits: MaxLogit | None = field(default=None)


class TrainEngine:
    """A K2 model, its MuonClip, the DeepSpeed engine around both, and where their state is kept.

    A training step is `accumulate` (forward and backward over this rank's micro-batches), then either `apply` or
    `discard`. The first gives the global loss before anything has changed, so that a bad batch can be dropped.

    Args:
        start: a model folder to go on from, or a model on the CPU, whose parameters are moved and converted.
        micro_batches: micro-batches of a step, over all ranks.
        compute: type of the working weights, see `set_compute_type`.
        fake_quant: forward passes use the INT4 values of the routed experts; what is saved are the weights behind them.
        expert_parallel: so many neighbouring ranks share the experts of a model folder.
        checkpoints: where `save` and `resume` keep the state of the training; `keep` of them stay.

    Raises:
        CheckpointError: the model folder is missing, incomplete or corrupted.
        ConfigError: ranks that don't divide the micro-batches or are no multiple of `expert_parallel`; `fake_quant`
            with a width that groups of 32 don't divide.
        NotFiniteError: a weight of the model isn't finite.

    Attributes:
        weight_dtype: of the working weights' values, and so of a checkpoint that keeps all of them.
        problems: one line for every corrupted checkpoint that `resume` skipped.
    """

    def __init__(
        self,
        start: Path | K2Model,
        options: OptimizerOptions,
        *,
        micro_batches: int,
        compute: ComputeType = "float32",
        fake_quant: bool = False,
        expert_parallel: int = 1,
        checkpoints: Path | None = None,
        keep: int = 1,
    ) -> None:
        self.rank, self.ranks = init_ranks()
        if micro_batches % self.ranks:
            raise ConfigError(f"{self.ranks} ranks don't divide the {micro_batches} micro-batches of a step")
        model = start if isinstance(start, K2Model) else load_checkpoint(start, parallel=experts_over(expert_parallel))
        if fake_quant:
            set_fake_quant(model, True)
        self.model, self.options, self.micro_batches = model, options, micro_batches
        self.device = device()
        model.to(self.device)
        set_compute_type(model, compute)
        options.rates.freeze(model)
        if options.vocabulary_rows is not None:
            limit_rows(model, options.vocabulary_rows)
        self.weight_dtype = torch.bfloat16 if compute == "bfloat16" else torch.float32
        self.optimizer = MuonClip(
            model.named_parameters(),
            lr=0.0,
            matrices=options.matrices,
            weight_decay=options.weight_decay,
            momentum=options.momentum,
            betas=options.betas,
            eps=options.eps,
            clip_norm=options.clip_norm,
            parallel=model.parallel,
            rate=options.rates.of,
            rounded_to=self.weight_dtype,
        )
        config = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": micro_batches // self.ranks,
            "gradient_clipping": 0.0,  # unset means 1.0, which would scale Muon's update by its own norm
            "zero_optimization": {"stage": 0},
            "communication_data_type": "fp32",
            "steps_per_print": 10**9,
            "zero_allow_untested_optimizer": True,
        }
        self.engine, *_ = load_deepspeed().initialize(model=model, optimizer=self.optimizer, config=config)
        # DeepSpeed looks for its own layer classes; ours carry the same marks on their parameters.
        self.engine.has_moe_layers = model.parallel is not None
        self._sum: _Accumulated | None = None
        self.check_weights()
        c = model.config
        attentions = {k: f"model.layers.{k}.self_attn" for k in range(c.num_hidden_layers)}
        names = {k: (f"{at}.{c.query_projection}.weight", f"{at}.kv_b_proj.weight") for k, at in attentions.items()}
        self._layers = {k: both for k, both in names.items() if self.optimizer.named.keys() >= set(both)}
        self.problems: Sequence[str] = ()
        self._checkpoints = checkpoints
        self._writer = None
        if checkpoints is not None:
            self._writer = CheckpointWriter(checkpoints, keep=keep, rank=self.rank, ranks=self.ranks)

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
        self.optimizer.forget_grad_norm()
        done = _Accumulated(torch.zeros((), device=self.device))
        done.logits = MaxLogit(config.num_hidden_layers, config.num_attention_heads, self.device)
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
        """The norm of the averaged gradients that `accumulate` left."""
        return float(self.optimizer.compute_grad_norm())

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
        if not math.isfinite(self.grad_norm()):
            raise NotFiniteError(f"the gradient{self._first_bad(gradients=True)} is not finite; no step was taken")
        done, self._sum = self._sum, None
        assert done is not None and done.logits is not None and done.load_LE is not None
        self.optimizer.set_lr(lr)
        self.engine.step()
        max_logit_LH = done.logits.reduce()
        clipped = 0
        if self.options.tau > 0 and self._layers:
            clipped = qk_clip_(self._attention(), max_logit_LH[list(self._layers)], self.options.tau)
            if clipped:
                self.optimizer.round_parameters(name for names in self._layers.values() for name in names)
        load_LE = done.load_LE
        if self.ranks > 1:
            dist.all_reduce(load_LE)
        if bias_rate > 0:
            self.model.update_expert_biases(load_LE, bias_rate)
        self.check_weights()
        return StepReport(loss, float(self.optimizer.grad_norm), max_logit_LH.cpu(), clipped, load_LE.cpu())

    @torch.no_grad()
    def check_weights(self) -> None:
        """Raises NotFiniteError when a weight of this rank is NaN or infinite."""
        norms = torch._foreach_norm([param.detach() for param in self.model.parameters()])
        if not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()) and (bad := self._first_bad()):
            raise NotFiniteError(f"the weight{bad} is not finite")

    def _first_bad(self, *, gradients: bool = False) -> str:
        """` of` the first parameter with a value that isn't finite; empty when the norm alone is beyond float32."""
        for name, param in self.model.named_parameters():
            values = param.grad if gradients else param.detach()
            if values is not None and not bool(values.isfinite().all()):
                return f" of {name}"
        return ""

    def discard(self) -> None:
        """Drops the accumulated gradients; no weight and no state changes."""
        self._sum = None
        self.optimizer.discard_next()
        self.engine.step()

    def _attention(self) -> list[AttentionWeights]:
        c = self.model.config
        copies = self.optimizer.copies
        return [
            AttentionWeights(copies(q_b), copies(kv_b), c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim)
            for q_b, kv_b in self._layers.values()
        ]

    def set_config(self, config: K2Config) -> None:
        """Changes how the network sees positions (YaRN, longest sequence); every width must stay."""
        self.model.config = config
        self.model._rope = None
        for module in self.model.modules():
            if isinstance(module, MLA):
                module.config = config

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Takes a checkpoint, written in the background while training goes on; `state` is JSON, rank 0's counts.

        Raises:
            NotFiniteError: a tensor holds NaN or infinity; nothing is written.
            OSError, CheckpointError: what went wrong with the checkpoint before.
        """
        assert self._writer is not None
        tensors: dict[str, Mapping[str, Tensor]] = {"optimizer": self.optimizer.state_tensors()}
        if weights := self.model_tensors():
            tensors["model"] = weights
        kept = {"state": state, "optimizer_steps": self.optimizer.steps, "ranks": self.ranks}
        self._writer.save(step, Snapshot(tensors, kept if self.rank == 0 else None))

    def resume(self) -> dict[str, Any] | None:
        """Goes to the newest intact checkpoint and returns its state; None when there is none. All ranks call it."""
        assert self._checkpoints is not None
        folder = self._checkpoints
        newest, self.problems = self.led(lambda: newest_intact(folder))
        if newest is None:
            return None
        checkpoint = folder / newest.name
        saved = load_state(checkpoint)
        model, optimizer = (load_tensors(checkpoint, name, int(saved["ranks"])) for name in ("model", "optimizer"))
        self._load(model, optimizer, int(saved["optimizer_steps"]))
        state: dict[str, Any] = saved["state"]
        return state

    def led(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes, on every rank: decisions and figures that all must share. All ranks call it."""
        return from_rank_0(make() if self.rank == 0 else None)  # type: ignore[return-value]

    def gather(self, part: Made) -> list[Made]:
        """Every rank's part, in the order of ranks, on every rank. All ranks call it."""
        if self.ranks == 1:
            return [part]
        parts: list[Any] = [None] * self.ranks
        dist.all_gather_object(parts, part)
        return parts

    def settle(self) -> None:
        """Until the checkpoint in flight is on disk, of all ranks."""
        assert self._writer is not None
        self._writer.wait()
        if self.ranks > 1:
            dist.barrier()

    def model_tensors(self) -> dict[str, Tensor]:
        """What this rank adds to a checkpoint of working weights and buffers, experts as one matrix each.

        Rank 0 has everything, or under expert parallelism everything but the experts of the other ranks; those are
        given by the first rank that holds them.
        """
        if self.rank == 0:
            return dict(named_tensors(self.model))
        first = self.model.parallel is not None and self.rank < self.model.parallel.size
        return {name: tensor for name, tensor in named_tensors(self.model) if first and ".mlp.experts." in name}

    @torch.no_grad()
    def _load(
        self, model_tensors: dict[str, Tensor], optimizer_tensors: dict[str, Tensor], optimizer_steps: int
    ) -> None:
        """Puts back what all ranks' `model_tensors` and `state_tensors` gave, in place, for any spread over ranks.

        Raises:
            CheckpointError: a part of the state is missing.
        """
        for name, tensor in named_tensors(self.model):
            if name not in model_tensors:
                raise CheckpointError(f"training checkpoint: tensor {name} is missing")
            tensor.copy_(model_tensors[name])
        self.optimizer.load_state_tensors(optimizer_tensors, optimizer_steps)
