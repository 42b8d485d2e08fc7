"""The sparse feed-forward layer: router, routed experts, shared expert.

Axes: T tokens (batch × positions), C hidden width, E routed experts, K experts per token, I width of an expert,
S rows sorted by expert (T × K and padding).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.linear import Linear
from kernels import few_rows
from kernels.decode import choose_experts
from kernels.expert_mlp import LEAST_ROWS, expert_mlp
from kernels.fake_quant import GROUP

FakeQuant = Callable[[Tensor], Tensor]


def only_expert(tokens: int) -> tuple[Tensor, Tensor]:
    """(expert_T1, weight_T1) by which a feed-forward layer is one expert that every token takes."""
    return torch.zeros(tokens, 1, dtype=torch.int64), torch.ones(tokens, 1)


class MLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) · up(x))."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, inner)
        self.up_proj = Linear(width, inner)
        self.down_proj = Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        linears = self.gate_proj, self.up_proj, self.down_proj
        weights = [linear.weight for linear in linears if isinstance(linear, Linear)]  # not of those in 8 bits
        few = x.numel() < few_rows.WIDENED_ROWS * x.shape[-1]
        # What ZeRO-3 spreads is whole only once the module that it belongs to is called.
        if few and weights and not hasattr(weights[0], "ds_id") and few_rows.usable(x, *weights):
            x_TC = x.flatten(0, -2)
            return few_rows.experts(x_TC, *only_expert(len(x_TC)), *(w[None] for w in weights)).view_as(x)
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Gate(nn.Module):
    """Chooses `num_experts_per_tok` experts for each token, as transformers' DeepseekV3 and DeepseekV2 do.

    Scores are sigmoids (`noaux_tc`) or a softmax, in float32. The correction bias of the first takes part in the choice
    only, never in the weights; it is a float32 buffer that `update_expert_bias` moves instead of an auxiliary loss. Of
    the groups of experts those with the largest sum of two choices are kept, with softmax scores the largest maximum.
    """

    e_score_correction_bias: Tensor | None

    def __init__(self, config: K2Config) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        bias = torch.zeros(config.n_routed_experts, dtype=torch.float32) if config.has_expert_bias else None
        self.register_buffer("e_score_correction_bias", bias)

    def forward(self, x_TC: Tensor) -> tuple[Tensor, Tensor]:
        """(expert_TK int64, weight_TK float32)."""
        c, bias_E = self.config, self.e_score_correction_bias
        assert c.routed_scaling_factor is not None
        if bias_E is not None and c.n_group == 1 and few_rows.usable(x_TC, self.weight):
            logit_TE = few_rows.linear(x_TC.float(), self.weight)
            return choose_experts(logit_TE, bias_E, c.num_experts_per_tok, c.norm_topk_prob, c.routed_scaling_factor)
        logit_TE = F.linear(x_TC.float(), self.weight.float())
        score_TE = logit_TE.softmax(-1) if bias_E is None else logit_TE.sigmoid()
        choice_TE = score_TE.detach() if bias_E is None else score_TE.detach() + bias_E
        if c.n_group > 1:
            choice_TGE = choice_TE.unflatten(-1, (c.n_group, -1))
            group_TG = choice_TGE.amax(-1) if bias_E is None else choice_TGE.topk(2, dim=-1).values.sum(-1)
            best_TG = group_TG.topk(c.topk_group, dim=-1, sorted=False).indices
            keep_TG = torch.zeros_like(group_TG, dtype=torch.bool).scatter_(1, best_TG, True)
            choice_TE = choice_TGE.masked_fill(~keep_TG[..., None], float("-inf")).flatten(-2)
        expert_TK = choice_TE.topk(c.num_experts_per_tok, dim=-1, sorted=False).indices
        weight_TK = score_TE.gather(1, expert_TK)
        if c.norm_topk_prob:
            weight_TK = weight_TK / (weight_TK.sum(-1, keepdim=True) + 1e-20)
        return expert_TK, weight_TK * c.routed_scaling_factor


def update_expert_bias(bias_E: Tensor, load_E: Tensor, rate: float, *, centred: bool) -> None:
    """Moves the selection bias in place towards equal load, after a step.

    DeepSeek-V3: b += u·sign(e) with e = mean load − load. Moonlight §3.3 subtracts the mean of the signs, which
    leaves the choice as it is and keeps the bias from drifting.
    """
    sign_E = torch.sign(load_E.float().mean() - load_E.float())
    bias_E += rate * (sign_E - sign_E.mean() if centred else sign_E)


class Experts(nn.Module):
    """All routed experts of a layer, stacked: each [rows, columns] matrix is one of a batch that Muon orthogonalises.

    `fake_quant`, when set, is applied to each stacked weight in the forward pass (quantization-aware training).

    Args:
        held: the numbers of those that are here; None is all.
    """

    def __init__(self, config: K2Config, held: range | None = None) -> None:
        super().__init__()
        self.count = config.n_routed_experts
        self.held = range(self.count) if held is None else held
        e, c, i = len(self.held), config.hidden_size, config.moe_intermediate_size
        self.gate_proj = nn.Parameter(torch.empty(e, i, c))
        self.up_proj = nn.Parameter(torch.empty(e, i, c))
        self.down_proj = nn.Parameter(torch.empty(e, c, i))
        self.fake_quant: FakeQuant | None = None

    def forward(self, x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Σ_k weight · expert(x), [T, C]."""
        many = x_TC.device.type == "cpu" and expert_TK.numel() >= LEAST_ROWS * self.count
        if not many and few_rows.usable(x_TC, self.gate_proj, self.up_proj, self.down_proj):
            return few_rows.experts(x_TC, expert_TK, weight_TK, *self._weights())
        top_k = expert_TK.shape[1]
        flat_S = expert_TK.flatten()
        order_S = flat_S.argsort(stable=True)
        load_E = torch.bincount(flat_S, minlength=self.count)
        token_S = order_S.div(top_k, rounding_mode="floor")
        if many:
            weight_S = weight_TK.flatten()[order_S].to(x_TC.dtype)
            return expert_mlp(x_TC, weight_S, *self._weights(), token_S, load_E)
        # x[token] would add up gradients with atomics: other bits at every run of two threads, and five times as slow.
        x_SC = x_TC.index_select(0, token_S)
        out_SC = self._compute(x_SC, load_E.cumsum(0).to(torch.int32))
        weighted_SC = out_SC * weight_TK.flatten()[order_S, None].to(out_SC.dtype)
        return torch.zeros_like(x_TC).index_add(0, token_S, weighted_SC)

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gate, up and down as the forward pass uses them."""
        gate, up, down = self.gate_proj, self.up_proj, self.down_proj
        if self.fake_quant is None:
            return gate, up, down
        return self.fake_quant(gate), self.fake_quant(up), self.fake_quant(down)

    def _compute(self, x_SC: Tensor, offsets_E: Tensor) -> Tensor:
        """SwiGLU of the rows, sorted by held expert."""
        gate, up, down = self._weights()
        inner_SI = F.silu(_grouped(x_SC, gate, offsets_E)) * _grouped(x_SC, up, offsets_E)
        return _grouped(inner_SI, down, offsets_E)


def _grouped(x_SX: Tensor, w_EYX: Tensor, offsets_E: Tensor) -> Tensor:
    """Rows offsets[e−1]..offsets[e]−1 of `x` times the transpose of `w[e]`, [S, Y].

    Every row belongs to an expert: `grouped_mm` leaves rows past the last offset uninitialised. It also refuses
    strides that are no multiple of 16 bytes, so odd widths are padded with zeros and the result is cut.
    """
    step = 16 // x_SX.element_size()
    pad_x, pad_y = -x_SX.shape[1] % step, -w_EYX.shape[1] % step
    if pad_x or pad_y:
        padded_SY = F.grouped_mm(
            F.pad(x_SX, (0, pad_x)), F.pad(w_EYX, (0, pad_x, 0, pad_y)).transpose(-1, -2), offs=offsets_E
        )
        return padded_SY[:, : w_EYX.shape[1]]
    return F.grouped_mm(x_SX, w_EYX.transpose(-1, -2), offs=offsets_E)


def check_widths(config: K2Config) -> None:
    """Raises ConfigError naming the width that groups of 32 don't divide."""
    for name in ("hidden_size", "moe_intermediate_size"):
        width = getattr(config, name)
        if width % GROUP:
            raise ConfigError(f"{name}: {width} is not divisible by {GROUP}, the group size of INT4 experts")


class MoE(nn.Module):
    """Routed experts plus the shared expert, which is not scaled."""

    def __init__(self, config: K2Config) -> None:
        super().__init__()
        self.gate = Gate(config)
        self.experts = Experts(config)
        shared = config.n_shared_experts * config.moe_intermediate_size
        self.shared_experts = MLP(config.hidden_size, shared) if shared else None

    def forward(self, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Output [B, L, C] and how many tokens chose each expert [E], float32."""
        expert_TK, weight_TK = self.gate(x_BLC.flatten(0, 1))
        load_E = torch.bincount(expert_TK.flatten(), minlength=self.gate.config.n_routed_experts).float()
        return self.mix(x_BLC, expert_TK, weight_TK), load_E

    def mix(self, x_BLC: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The chosen experts' sum, and the shared expert's output."""
        x_TC = x_BLC.flatten(0, 1)
        out_TC = self.experts(x_TC, expert_TK, weight_TK)
        if self.shared_experts is not None:
            out_TC = out_TC + self.shared_experts(x_TC)
        return out_TC.view_as(x_BLC)
