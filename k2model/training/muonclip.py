"""MuonClip's optimizer half: Muon for every hidden matrix, AdamW for the rest, state sharded by owner.

The rule (Kimi K2 report, Algorithm 1; Liu et al. 2025, §2.2), for a matrix W [n, m] with gradient G:

    M ← μ M + G,   O = NewtonSchulz(μ M + G) · 0.2 √max(n, m),   W ← W − η (O + λ W)

and AdamW with the same η and λ for embeddings, head, norms and biases. Weight decay applies to everything.

Each unit of the parameters (`k2model.training.sharding`) is one rank's own. Gradients arrive averaged on every rank
(DeepSpeed's all-reduce); the owner alone keeps the unit's state, computes its update and the new weights are gathered.
What a rank receives are the owner's bits, so ranks can't drift apart.

Axes: N matrices of one shape, m short side, n long side.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from k2model.errors import CheckpointError, ConfigError
from k2model.expert_parallel import ExpertParallel
from k2model.training.sharding import Gather, Kind, Unit, assign_owners, split_units
from kernels.newton_schulz import newton_schulz
from kernels.no_compiler import keep_out

UPDATE_RMS = 0.2
# Each starts with a dot: a name that only ends alike is another parameter.
MUON_MATRICES = (
    ".q_a_proj.weight",
    ".q_b_proj.weight",
    ".q_proj.weight",
    ".kv_a_proj_with_mqa.weight",
    ".kv_b_proj.weight",
    ".o_proj.weight",
    ".gate_proj.weight",
    ".up_proj.weight",
    ".down_proj.weight",
    ".mlp.gate.weight",
)
MUON_EXPERTS = (".experts.gate_proj", ".experts.up_proj", ".experts.down_proj")
ADAMW_MATRICES = (".embed_tokens.weight", ".lm_head.weight")
NS_BATCH_BYTES = 256 * 2**20


def kind_of(name: str, ndim: int) -> Kind:
    """Which rule a parameter follows.

    Raises:
        ConfigError: a matrix that neither rule knows; it never falls to AdamW silently.
    """
    if ndim <= 1 or (ndim == 2 and f".{name}".endswith(ADAMW_MATRICES)):
        return "adamw"
    if ndim == 2 and f".{name}".endswith(MUON_MATRICES):
        return "muon"
    if ndim == 3 and f".{name}".endswith(MUON_EXPERTS):
        return "muon"
    raise ConfigError(f"{name}: a parameter with {ndim} axes that MuonClip has no rule for")


class _Bucket:
    """The owned matrices of one shape: one momentum tensor, one batched Newton–Schulz."""

    def __init__(self, units: list[Unit], like: Tensor, keep_master: bool) -> None:
        self.units = units
        self.m, self.n = units[0].shape
        self.momentum_Nmn = torch.zeros(len(units), self.m, self.n, dtype=torch.float32, device=like.device)
        self.master_Nmn = torch.empty_like(self.momentum_Nmn) if keep_master else None

    def view(self, unit: Unit, flat: Tensor) -> Tensor:
        """A unit's range as [m, n], transposed where the matrix is tall."""
        matrix = flat[unit.lo : unit.hi].view(unit.rows, unit.cols)
        return matrix.mT if unit.rows > unit.cols else matrix


class MuonClip(torch.optim.Optimizer):
    """Muon and AdamW under one learning rate and one weight decay, with owner-sharded state.

    Args:
        named_parameters: every trainable parameter of the model, under its full name.
        matrices: the rule of the hidden matrices; under `adamw` it has all parameters. Liu et al. 2025, §3.5, found
            no gain from Muon where AdamW pre-trained.
        lr, weight_decay: η and λ, shared by both rules.
        momentum: μ.
        betas, eps: AdamW's.
        clip_norm: gradients are scaled down to this global norm before momentum; 0 leaves them.
        parallel: how experts are spread over ranks; all other parameters are the same on every rank.
        rate: share of `lr` at which the parameter with a name learns; None is all of it.
        rounded_to: the type whose values the parameters take after a step, whatever type they are stored in; unless it
            is float32, the optimizer keeps float32 masters. By default the type they are stored in.
        orthogonalise: Newton–Schulz, [N, m, n] → [N, m, n].

    Raises:
        ConfigError: an unexpected matrix, a parameter listed twice, mixed parameter types, masters of matrices under
            AdamW on several ranks.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, torch.nn.Parameter]],
        *,
        lr: float,
        matrices: Kind = "muon",
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        clip_norm: float = 0.0,
        parallel: ExpertParallel | None = None,
        rate: Callable[[str], float] | None = None,
        rounded_to: torch.dtype | None = None,
        orthogonalise: Callable[[Tensor], Tensor] = newton_schulz,
    ) -> None:
        self.named = _checked(named_parameters)
        kinds: dict[str, Kind] = {name: kind_of(name, param.ndim) for name, param in self.named.items()}
        self.kinds = kinds if matrices == "muon" else dict.fromkeys(kinds, matrices)
        self.beta1, self.beta2, self.eps, self.clip_norm = *betas, eps, clip_norm
        self.momentum, self.orthogonalise = momentum, orthogonalise
        self.rates = dict.fromkeys(self.named, 1.0) if rate is None else {name: rate(name) for name in self.named}
        self.steps = 0
        self.grad_norm = torch.tensor(0.0)
        self._norm_known = False  # whether `grad_norm` is that of the gradients of the next step
        self._discard = False
        groups: list[dict[str, Any]] = [
            {"params": [p for n, p in self.named.items() if self.kinds[n] == kind], "kind": kind}
            for kind in ("muon", "adamw")
        ]
        keep_out()
        super().__init__([g for g in groups if g["params"]], {"lr": lr, "weight_decay": weight_decay})
        self._gathers: list[tuple[Gather, list[str]]] = []
        self.muon_units: list[Unit] = []
        self.adamw_units: list[Unit] = []
        self.parallel = parallel
        self._experts = {n for n, p in self.named.items() if p.ndim == 3} if parallel else set()
        self._shard([name for name in self.named if name not in self._experts], None)
        if parallel:
            self._shard([name for name in self.named if name in self._experts], parallel.replicas)
        some = next(iter(self.named.values()))
        self.rounded_to = rounded_to or some.dtype
        self._keep_master = self.rounded_to != torch.float32
        if matrices == "adamw" and self._keep_master and self._gathers:
            raise ConfigError(
                "matrices: adamw with float32 masters runs on one rank, since QK-Clip rescales whole ones"
            )
        self._buckets = self._make_buckets(some)
        size = sum(unit.numel for unit in self.adamw_units)
        self._exp_avg = torch.zeros(size, dtype=torch.float32, device=some.device)
        self._exp_avg_sq = torch.zeros_like(self._exp_avg)
        self._adamw_master = torch.empty_like(self._exp_avg) if self._keep_master else None
        self.masters_from_parameters()

    @property
    def flat(self) -> dict[str, Tensor]:
        """Every parameter's data as one axis; asked for anew each time, since an engine may move parameters."""
        return {name: param.data.view(-1) for name, param in self.named.items()}

    def _shard(self, names: list[str], group: dist.ProcessGroup | None) -> None:
        spread = dist.is_initialized() and dist.get_world_size(group) > 1
        ranks, rank = (dist.get_world_size(group), dist.get_rank(group)) if spread else (1, 0)
        cut = {name: split_units(name, self.named[name], self.kinds[name], ranks) for name in names}
        owned = assign_owners([u for n in names if self.kinds[n] == "muon" for u in cut[n]], ranks)
        flat_ranges = [[cut[n][r] for n in names if self.kinds[n] == "adamw"] for r in range(ranks)]
        self.muon_units += owned[rank]
        self.adamw_units += flat_ranges[rank]
        if spread:
            self._gathers.append((Gather([a + b for a, b in zip(owned, flat_ranges, strict=True)], group), names))

    def _make_buckets(self, like: Tensor) -> list[_Bucket]:
        by_shape: dict[tuple[int, int], list[Unit]] = {}
        for unit in sorted(self.muon_units, key=lambda u: (u.name, u.lo)):
            by_shape.setdefault(unit.shape, []).append(unit)
        buckets = []
        for (m, n), units in sorted(by_shape.items()):
            most = max(1, NS_BATCH_BYTES // (4 * m * n))
            for at in range(0, len(units), most):
                buckets.append(_Bucket(units[at : at + most], like, self._keep_master))
        return buckets

    @torch.no_grad()
    def masters_from_parameters(self) -> None:
        """Sets the float32 masters, where there are any, to the parameters' present values."""
        if not self._keep_master:
            return
        flat = self.flat
        for bucket in self._buckets:
            assert bucket.master_Nmn is not None
            for k, unit in enumerate(bucket.units):
                bucket.master_Nmn[k] = bucket.view(unit, flat[unit.name])
        for unit, _, _, master in self._adamw_state():
            assert master is not None
            master.copy_(flat[unit.name][unit.lo : unit.hi])

    def set_lr(self, lr: float) -> None:
        """One learning rate for both rules."""
        for group in self.param_groups:
            group["lr"] = lr

    def discard_next(self) -> None:
        """Makes the next `step` drop its gradients: nothing changes, no state, no weight."""
        self._discard = True

    @torch.no_grad()
    def reset_state(self) -> None:
        """Forgets momenta and moments; weights and masters stay (RL resets at each iteration, K1.5 §2.3.2)."""
        self.steps = 0
        for bucket in self._buckets:
            bucket.momentum_Nmn.zero_()
        self._exp_avg.zero_()
        self._exp_avg_sq.zero_()

    def state_bytes(self) -> int:
        """Bytes of optimizer state on this rank (momenta, moments, masters)."""
        tensors = [self._exp_avg, self._exp_avg_sq, self._adamw_master]
        tensors += [t for b in self._buckets for t in (b.momentum_Nmn, b.master_Nmn)]
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)

    def copies(self, name: str) -> list[Tensor]:
        """A parameter's working copy and this rank's part of its master: what QK-Clip has to rescale.

        The master is given only by the rank that owns the matrix.
        """
        copies = [self.named[name].data]
        for bucket in self._buckets:
            for k, unit in enumerate(bucket.units):
                if unit.name == name and bucket.master_Nmn is not None:
                    master = bucket.master_Nmn[k]
                    copies.append(master.mT if unit.rows > unit.cols else master)
        for unit, _, _, master in self._adamw_state():
            if unit.name == name and master is not None:
                copies.append(master.view_as(copies[0]))
        return copies

    def _adamw_state(self) -> Iterator[tuple[Unit, Tensor, Tensor, Tensor | None]]:
        """AdamW's units, each with its part of both moments and of the masters, where there are any."""
        at = 0
        for unit in self.adamw_units:
            here = slice(at, at + unit.numel)
            at += unit.numel
            master = None if self._adamw_master is None else self._adamw_master[here]
            yield unit, self._exp_avg[here], self._exp_avg_sq[here], master

    @torch.no_grad()
    def round_parameters(self, names: Iterable[str]) -> None:
        """Rounds parameters that something else than `step` has changed to their type's values."""
        for name in names:
            param = self.named[name]
            if param.dtype != self.rounded_to:
                param.copy_(param.to(self.rounded_to))

    @torch.no_grad()
    def compute_grad_norm(self) -> Tensor:
        """The global gradient norm, the same bits on every rank; under expert parallelism all ranks must call.

        The next `step` doesn't compute it again.
        """
        grads = {name: p.grad for name, p in self.named.items() if p.grad is not None}
        norms = {name: torch.linalg.vector_norm(grad, dtype=torch.float32) for name, grad in grads.items()}
        dense = [norm for name, norm in norms.items() if name not in self._experts]
        if self.parallel:
            zero = torch.zeros((), device=next(iter(self.named.values())).device)
            square = sum((norm.square() for name, norm in norms.items() if name in self._experts), zero)
            dist.all_reduce(square)  # each expert is there once per replica
            dense.append((square / dist.get_world_size(self.parallel.replicas)).sqrt())
        self.grad_norm = torch.linalg.vector_norm(torch.stack(dense)) if dense else torch.tensor(0.0)
        self._norm_known = True
        return self.grad_norm

    def forget_grad_norm(self) -> None:
        """Has the norm computed anew, since the gradients are others."""
        self._norm_known = False

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients in `.grad`, which must be equal on all ranks of a group."""
        if self._discard:
            self._discard = False
            return
        self.steps += 1
        norm = self.grad_norm if self._norm_known else self.compute_grad_norm()
        self._norm_known = False
        scale = torch.clamp(self.clip_norm / (norm + 1e-6), max=1.0) if self.clip_norm > 0 else None
        grads = {name: None if p.grad is None else p.grad.reshape(-1) for name, p in self.named.items()}
        flat = self.flat
        for bucket in self._buckets:
            self._muon(bucket, flat, grads, scale)
        self._adamw(flat, grads, scale)
        for gather, names in self._gathers:
            gather({name: flat[name] for name in names})

    def _muon(
        self, bucket: _Bucket, flat: Mapping[str, Tensor], grads: Mapping[str, Tensor | None], scale: Tensor | None
    ) -> None:
        lr, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        grad_Nmn = torch.zeros_like(bucket.momentum_Nmn)
        for k, unit in enumerate(bucket.units):
            grad = grads[unit.name]
            if grad is not None:
                grad_Nmn[k] = bucket.view(unit, grad)
        if scale is not None:
            grad_Nmn *= scale
        bucket.momentum_Nmn.mul_(self.momentum).add_(grad_Nmn)
        update_Nmn = self.orthogonalise(grad_Nmn.add_(bucket.momentum_Nmn, alpha=self.momentum))
        for k, unit in enumerate(bucket.units):
            weight = bucket.view(unit, flat[unit.name])
            own_lr = lr * self.rates[unit.name]
            master = weight if bucket.master_Nmn is None else bucket.master_Nmn[k]
            master.mul_(1 - own_lr * decay).add_(update_Nmn[k], alpha=-own_lr * UPDATE_RMS * math.sqrt(bucket.n))
            if master is not weight:
                weight.copy_(master.to(self.rounded_to))

    def _adamw(self, flat: Mapping[str, Tensor], grads: Mapping[str, Tensor | None], scale: Tensor | None) -> None:
        lr, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        correct1, correct2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        # One unit after the other, so that no temporary is larger than a parameter.
        for unit, exp_avg, exp_avg_sq, own_master in self._adamw_state():
            whole = grads[unit.name]
            grad = torch.zeros_like(exp_avg) if whole is None else whole[unit.lo : unit.hi].float()
            if scale is not None:
                grad = grad * scale
            exp_avg.lerp_(grad, 1 - self.beta1)
            exp_avg_sq.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
            update = exp_avg / (exp_avg_sq / correct2).sqrt_().add_(self.eps)
            weight = flat[unit.name][unit.lo : unit.hi]
            own_lr = lr * self.rates[unit.name]
            master = weight if own_master is None else own_master
            master.mul_(1 - own_lr * decay).add_(update, alpha=-own_lr / correct1)
            if master is not weight:
                weight.copy_(master.to(self.rounded_to))

    def _pieces(self) -> Iterable[tuple[str, Unit, Tensor]]:
        """Every piece of state on this rank: its kind, whose it is, and a view of it in the unit's own layout."""
        for bucket in self._buckets:
            for k, unit in enumerate(bucket.units):
                for kind, stack in (("momentum", bucket.momentum_Nmn), ("master", bucket.master_Nmn)):
                    if stack is not None:
                        yield kind, unit, stack[k].mT if unit.rows > unit.cols else stack[k]
        for unit, exp_avg, exp_avg_sq, master in self._adamw_state():
            for kind, part in (("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq), ("master", master)):
                if part is not None and unit.numel:
                    yield kind, unit, part

    def _first(self, name: str) -> int:
        """Where this rank's part of a parameter begins in the whole one."""
        return self.parallel.rank * self.named[name].numel() if self.parallel and name in self._experts else 0

    def state_tensors(self) -> dict[str, Tensor]:
        """This rank's state, copied: `kind|parameter|lo|hi` → flat float32 tensor. Any number of ranks can load it."""
        tensors = {}
        for kind, unit, view in self._pieces():
            first = self._first(unit.name)
            tensors[f"{kind}|{unit.name}|{first + unit.lo}|{first + unit.hi}"] = view.reshape(-1).clone()
        return tensors

    @torch.no_grad()
    def load_state_tensors(self, pieces: Mapping[str, Tensor], steps: int) -> None:
        """Takes this rank's part out of the union of all ranks' `state_tensors`, however they were sharded.

        Raises:
            CheckpointError: a part of the state is missing.
        """
        by_name: dict[tuple[str, str], list[tuple[int, int, Tensor]]] = {}
        for key, tensor in pieces.items():
            kind, name, first, last = key.split("|")
            by_name.setdefault((kind, name), []).append((int(first), int(last), tensor))
        for kind, unit, view in self._pieces():
            flat = torch.empty(unit.numel, dtype=torch.float32)
            filled, start = 0, self._first(unit.name) + unit.lo
            for lo, hi, tensor in by_name.get((kind, unit.name), []):
                a, b = max(lo, start), min(hi, start + unit.numel)
                if a < b:
                    flat[a - start : b - start] = tensor[a - lo : b - lo]
                    filled += b - a
            if filled != unit.numel:
                raise CheckpointError(f"optimizer state {kind} of {unit.name}: {filled} of {unit.numel} values found")
            view.copy_(flat.view(view.shape))
        self.steps = steps


def _checked(named: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, torch.nn.Parameter]:
    trainable: dict[str, torch.nn.Parameter] = {}
    seen: set[int] = set()
    for name, param in named:
        if name in trainable or id(param) in seen:
            raise ConfigError(f"{name}: the parameter is listed twice")
        seen.add(id(param))
        if param.requires_grad:
            trainable[name] = param
    if len({param.dtype for param in trainable.values()}) > 1:
        raise ConfigError("MuonClip wants parameters of one type")
    return trainable
