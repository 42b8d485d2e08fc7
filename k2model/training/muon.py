"""MuonClip's optimizer half: Muon for every hidden matrix, AdamW for the rest, in DeepSpeed's optimizer.

The rule (Kimi K2 report, Algorithm 1; Liu et al. 2025, §2.2), for a matrix W [n, m] with gradient G:

    M ← μ M + G,   O = NewtonSchulz(μ M + G) · 0.2 √max(n, m),   W ← W − η (O + λ W)

and AdamW with the same η and λ for embeddings, head, norms and biases. Weight decay applies to everything.

DeepSpeed's `MuonWithAuxAdam` brings the distribution: under ZeRO-1 to 3 whole matrices are put together from their
pieces, each is orthogonalised by one rank, or by two where it lies on their border, and the momentum is kept in pieces.
What it computes for a matrix is `muon_update`, looked up at each call; this module puts K2's rule there, see
docs/decisions.md.
"""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from k2model.errors import ConfigError
from k2model.training.options import Rates, Rule
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


def rule_of(name: str, ndim: int) -> Rule:
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


@torch.no_grad()
def muon_update(grad: Tensor, momentum: Tensor, beta: float = 0.95, **_: Any) -> Tensor:
    """K2's update of a matrix [n, m] or of a stack [E, n, m]; moves `momentum`.

    Takes what DeepSpeed passes; the number of steps and the form of Newton–Schulz are the kernel's.
    """
    momentum.mul_(beta).add_(grad)
    moved = grad.add(momentum, alpha=beta)
    tall = moved.size(-2) > moved.size(-1)
    update = newton_schulz(moved.mT if tall else moved)
    scaled = (update.mT if tall else update) * (UPDATE_RMS * math.sqrt(max(grad.shape[-2:])))
    return scaled.to(grad.dtype)


def parameter_groups(
    named: Mapping[str, nn.Parameter],
    *,
    matrices: Rule,
    momentum: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    rates: Rates,
) -> list[dict[str, Any]]:
    """Groups of one rule and one rate each; a group's learning rate is the step's times its `rate`.

    Raises:
        ConfigError: a matrix that neither rule knows.
    """
    groups: dict[tuple[Rule, float, bool], dict[str, Any]] = {}
    for name, param in named.items():
        axes = len(getattr(param, "ds_shape", param.shape))  # stage 3 takes the shape from the tensor
        rule: Rule = rule_of(name, axes) if matrices == "muon" else matrices
        # DeepSpeed reads these marks.
        param.use_muon, param.is_expert_group = rule == "muon", axes == 3  # type: ignore[attr-defined]
        rate, spread = rates.of(name), not getattr(param, "allreduce", True)
        made = {"params": [], "rate": rate, "use_muon": rule == "muon", "lr": 0.0, "weight_decay": weight_decay}
        made |= {"momentum": momentum} if rule == "muon" else {"betas": betas, "eps": eps}
        # The name is DeepSpeed's, of the ranks that hold the same experts.
        made |= {"moe": True, "name": param.group_name} if spread else {"name": f"{rule}-{rate:g}"}  # type: ignore[attr-defined]
        groups.setdefault((rule, rate, spread), made)["params"].append(param)
    return list(groups.values())


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW, without the fence around its step that imports torch's compiler."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, lr=0.0, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        inspect.unwrap(torch.optim.Adam.step)(self, closure)


def make_optimizer(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """DeepSpeed's optimizer with K2's rule; torch's AdamW where no matrix is Muon's."""
    keep_out()
    if not any(group["use_muon"] for group in groups):
        return AdamW(groups)
    from deepspeed.runtime import compiler

    # Its own kernels, which aren't used, are marked for torch's compiler, and the mark imports it.
    compiler.compile = lambda: compiler.dummy_decorator
    from deepspeed.runtime.zero.muon import muon_optimizer, original_muon

    original_muon.muon_update = muon_optimizer.muon_update = muon_update
    optimizer: torch.optim.Optimizer = muon_optimizer.MuonWithAuxAdam(groups, adam_optimizer=AdamW)
    return optimizer
