"""The routed experts' SwiGLU of many rows on a CPU: forward and backward one expert at a time.

`F.grouped_mm` makes each product for all experts before the next begins. In between stand [rows, width] tensors of many
megabytes: every element-wise step streams them through memory, and most are fresh pages. Here the steps of one expert
follow each other while its rows lie in a core's cache; only gate and up are kept, for the backward pass. Products are
the same nine (three forward, six backward).

Axes: T tokens, S rows (token × chosen expert) sorted by expert, N rows of one expert, C hidden width, I expert width, E
experts.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_ROWS = 64  # per expert on average; below it a loop in Python costs more than it saves


def expert_mlp_reference(
    x_TC: Tensor,
    weight_S: Tensor,
    gate_EIC: Tensor,
    up_EIC: Tensor,
    down_ECI: Tensor,
    token_S: Tensor,
    load_E: Tensor,
) -> Tensor:
    """The definition, in the type of x: Σ over a token's rows of weight · down(silu(gate x) · up x).

    Also what runs where no gradient is wanted: an expert's weights of another type are converted when its turn comes.
    """
    out_TC = torch.zeros_like(x_TC)
    for e, (lo, hi) in enumerate(pairwise([0, *load_E.cumsum(0).tolist()])):
        gate_IC, up_IC, down_CI = (weight[e].to(x_TC.dtype) for weight in (gate_EIC, up_EIC, down_ECI))
        x_NC = x_TC.index_select(0, token_S[lo:hi])
        y_NC = (F.silu(x_NC @ gate_IC.T) * (x_NC @ up_IC.T)) @ down_CI.T
        out_TC.index_add_(0, token_S[lo:hi], y_NC * weight_S[lo:hi, None])
    return out_TC


class _ExpertMLP(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x_TC: Tensor,
        weight_S: Tensor,
        gate_EIC: Tensor,
        up_EIC: Tensor,
        down_ECI: Tensor,
        token_S: Tensor,
        load_E: Tensor,
    ) -> Tensor:
        edges = [0, *load_E.cumsum(0).tolist()]
        gate_SI = x_TC.new_empty(len(token_S), gate_EIC.shape[1])
        up_SI = torch.empty_like(gate_SI)
        out_TC = torch.zeros_like(x_TC)
        for e, (lo, hi) in enumerate(pairwise(edges)):
            token_N = token_S[lo:hi]
            x_NC, gate_NI, up_NI = x_TC.index_select(0, token_N), gate_SI[lo:hi], up_SI[lo:hi]
            torch.mm(x_NC, gate_EIC[e].T, out=gate_NI)
            torch.mm(x_NC, up_EIC[e].T, out=up_NI)
            y_NC = F.silu(gate_NI).mul_(up_NI) @ down_ECI[e].T
            out_TC.index_add_(0, token_N, y_NC.mul_(weight_S[lo:hi, None]))
        ctx.save_for_backward(x_TC, weight_S, gate_EIC, up_EIC, down_ECI, token_S, gate_SI, up_SI)
        ctx.edges = edges
        return out_TC

    @staticmethod
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x_TC, weight_S, gate_EIC, up_EIC, down_ECI, token_S, gate_SI, up_SI = ctx.saved_tensors
        dx_TC, dweight_S = torch.zeros_like(x_TC), torch.empty_like(weight_S)
        weights = gate_EIC, up_EIC, down_ECI
        dgate_EIC, dup_EIC, ddown_ECI = (
            torch.empty_like(w) if needed else None
            for w, needed in zip(weights, ctx.needs_input_grad[2:5], strict=True)
        )
        for e, (lo, hi) in enumerate(pairwise(ctx.edges)):
            token_N = token_S[lo:hi]
            x_NC, grad_NC = x_TC.index_select(0, token_N), grad_TC.index_select(0, token_N)
            gate_NI, up_NI, weight_N1 = gate_SI[lo:hi], up_SI[lo:hi], weight_S[lo:hi, None]
            silu_NI = F.silu(gate_NI)
            h_NI = silu_NI * up_NI
            dh_NI = grad_NC @ down_ECI[e]
            # grad · y = grad · (h downᵀ) = (grad down) · h: the expert's output isn't needed.
            dweight_S[lo:hi] = (h_NI * dh_NI).sum(-1)
            if ddown_ECI is not None:
                torch.mm(grad_NC.mul_(weight_N1).T, h_NI, out=ddown_ECI[e])
            dh_NI.mul_(weight_N1)
            dup_NI = silu_NI.mul_(dh_NI)
            dgate_NI = torch.ops.aten.silu_backward(dh_NI.mul_(up_NI), gate_NI)
            if dgate_EIC is not None:
                torch.mm(dgate_NI.T, x_NC, out=dgate_EIC[e])
            if dup_EIC is not None:
                torch.mm(dup_NI.T, x_NC, out=dup_EIC[e])
            dx_TC.index_add_(0, token_N, torch.addmm(dgate_NI @ gate_EIC[e], dup_NI, up_EIC[e]))
        return dx_TC, dweight_S, dgate_EIC, dup_EIC, ddown_ECI, None, None


def expert_mlp(
    x_TC: Tensor,
    weight_S: Tensor,
    gate_EIC: Tensor,
    up_EIC: Tensor,
    down_ECI: Tensor,
    token_S: Tensor,
    load_E: Tensor,
) -> Tensor:
    """`expert_mlp_reference` with its own backward pass; all floating tensors of one type, on the CPU.

    Where no gradient is wanted the experts' weights may be of another type.

    Args:
        weight_S: what each row's output is multiplied by.
        token_S: which token a row is, rows sorted by expert.
        load_E: rows of each expert; they add up to S.
    """
    floats = x_TC, weight_S, gate_EIC, up_EIC, down_ECI
    if not torch.is_grad_enabled() or not any(one.requires_grad for one in floats):
        return expert_mlp_reference(*floats, token_S, load_E)
    return _ExpertMLP.apply(*floats, token_S, load_E)
