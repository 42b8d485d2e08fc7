"""Weights on a grid of few bits: to the nearest point, and with the error passed on (GPTQ, Frantar et al. 2023).

The grid is K2 Thinking's (kernels/fake_quant.py), for any number of bits and any group: symmetric, absmax scales
rounded to bfloat16 first. Axes: N outputs, K inputs, G groups, E experts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2model.linear import Linear
from k2model.model import K2Model
from k2model.moe import Experts
from kernels.fake_quant import SCALE_MIN

DAMP = 0.01  # of the mean of the Hessian's diagonal, as in the paper


@dataclass(frozen=True)
class Grid:
    """Which weights are rounded, and to what: routed experts, with `every_linear` attention and dense layers too.

    Embedding, head, norms and routers stay as they are.
    """

    bits: int
    group: int
    every_linear: bool

    @property
    def top(self) -> int:
        """The largest code."""
        return 2 ** (self.bits - 1) - 1


def scales(w_NK: Tensor, grid: Grid) -> Tensor:
    """float32 [..., N, G] with values of bfloat16. Raises ValueError where groups don't divide the width."""
    if w_NK.shape[-1] % grid.group:
        raise ValueError(f"a width of {w_NK.shape[-1]} is not divisible into groups of {grid.group}")
    amax_NG = w_NK.to(torch.bfloat16).float().unflatten(-1, (-1, grid.group)).abs().amax(-1)
    return (amax_NG / grid.top).clamp_min(SCALE_MIN).to(torch.bfloat16).float()


def nearest(w_NK: Tensor, grid: Grid) -> Tensor:
    """Every weight at its nearest point, float32 with values of bfloat16; for 4 bits in groups of 32 K2's own rule."""
    scale_NG1 = scales(w_NK, grid)[..., None]
    groups_NGX = w_NK.to(torch.bfloat16).float().unflatten(-1, (-1, grid.group))
    code_NGX = (groups_NGX / scale_NG1).round().clamp(-grid.top, grid.top)
    return (code_NGX * scale_NG1).flatten(-2).to(torch.bfloat16).float()


def gptq(w_ENK: Tensor, hessian_EKK: Tensor, grid: Grid) -> Tensor:
    """Column after column is rounded, and its error is taken out of the columns that follow (paper, algorithm 1).

    Args:
        hessian_EKK: Σ x xᵀ of the inputs of each matrix; an input that was never met keeps the nearest point.
    """
    h_EKK = hessian_EKK.double()
    diagonal_EK = h_EKK.diagonal(dim1=-2, dim2=-1)
    damp_E = DAMP * diagonal_EK.mean(-1).clamp_min(1e-12)
    h_EKK = h_EKK + damp_E[:, None, None] * torch.eye(h_EKK.shape[-1], dtype=h_EKK.dtype)
    # The upper factor of the inverse: its rows are what the paper takes from the inverse step by step.
    # By Cholesky: MKL's LU of such matrices fails on two threads ("Parameter 6 was incorrect on entry to DLASWP").
    inverse_EKK = torch.cholesky_inverse(torch.linalg.cholesky(h_EKK))
    upper_EKK = torch.linalg.cholesky(inverse_EKK, upper=True).float()
    left_ENK, out_ENK = w_ENK.float().clone(), torch.empty_like(w_ENK, dtype=torch.float32)
    scale_EN1 = scales(left_ENK[..., : grid.group], grid)
    for k in range(w_ENK.shape[-1]):
        if k % grid.group == 0:
            scale_EN1 = scales(left_ENK[..., k : k + grid.group], grid)
        column_EN1 = left_ENK[..., k : k + 1]
        out_ENK[..., k : k + 1] = (column_EN1 / scale_EN1).round().clamp(-grid.top, grid.top) * scale_EN1
        error_EN1 = (column_EN1 - out_ENK[..., k : k + 1]) / upper_EKK[:, None, k, k, None]
        left_ENK[..., k + 1 :] -= error_EN1 * upper_EKK[:, k, None, k + 1 :]
    return out_ENK.to(torch.bfloat16).float()


def rounded_weights(model: K2Model, grid: Grid) -> dict[str, nn.Parameter]:
    """The weights that the grid is for, by name."""
    found: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules():
        if isinstance(module, Experts):
            found |= {f"{name}.{key}": getattr(module, key) for key in ("gate_proj", "up_proj", "down_proj")}
        elif grid.every_linear and isinstance(module, Linear) and name != "lm_head":
            found[f"{name}.weight"] = module.weight
    return found


@torch.no_grad()
def round_weights(model: K2Model, grid: Grid) -> None:
    """Every weight of the grid at its nearest point, in place."""
    for weight in rounded_weights(model, grid).values():
        weight.copy_(nearest(weight, grid))


@contextmanager
def on_grid(model: K2Model, grid: Grid | None) -> Iterator[None]:
    """The weights at their nearest points inside, and as they were after: a step's straight-through gradient."""
    kept = {name: w.detach().clone() for name, w in rounded_weights(model, grid).items()} if grid else {}
    if grid:
        round_weights(model, grid)
    try:
        yield
    finally:
        if grid:
            for name, weight in rounded_weights(model, grid).items():
                weight.data.copy_(kept[name])


@torch.no_grad()
def round_with_errors_passed_on(model: K2Model, grid: Grid, calibrate: Callable[[], None]) -> None:
    """GPTQ in place, with the inputs that the network as it was has on the calibration text.

    Args:
        calibrate: runs the network over that text.

    Raises:
        ValueError: a weight's inputs were never seen.
    """
    hessians: dict[str, Tensor] = {}

    def add(name: str, x_SK: Tensor) -> None:
        hessians[name] = hessians.get(name, torch.zeros(x_SK.shape[-1], x_SK.shape[-1])) + x_SK.T @ x_SK

    def linear_hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, args: add(name, args[0].flatten(0, -2))

    def experts_hook(name: str) -> Callable[[Experts, tuple[Tensor, ...]], None]:
        def hook(module: Experts, args: tuple[Tensor, ...]) -> None:
            x_TC, expert_TK, _ = args
            for expert in range(module.count):
                own_SC = x_TC[(expert_TK == expert).any(-1)]
                gate, up = (own_SC @ weight[expert].T for weight in (module.gate_proj, module.up_proj))
                add(f"{name}.{expert}.in", own_SC)
                add(f"{name}.{expert}.down", F.silu(gate) * up)

        return hook

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, Experts):
            hooks.append(module.register_forward_pre_hook(experts_hook(name)))
        elif isinstance(module, Linear) and f"{name}.weight" in rounded_weights(model, grid):
            hooks.append(module.register_forward_pre_hook(linear_hook(name)))
    try:
        calibrate()
    finally:
        for hook in hooks:
            hook.remove()
    for name, module in model.named_modules():
        if isinstance(module, Experts):
            for key in ("gate_proj", "up_proj", "down_proj"):
                side = "down" if key == "down_proj" else "in"
                hessian_EKK = torch.stack([hessians[f"{name}.{expert}.{side}"] for expert in range(module.count)])
                getattr(module, key).copy_(gptq(getattr(module, key), hessian_EKK, grid))
    for name, weight in rounded_weights(model, grid).items():
        if name.endswith(".weight"):
            inner = name.removesuffix(".weight")
            if inner not in hessians:
                raise ValueError(f"{inner}: the calibration text never reached it")
            weight.copy_(gptq(weight[None], hessians[inner][None], grid)[0])
