"""A bfloat16 or INT4 network rearranged for decoding on a CPU: every large product reads its weight as one stream.

`prepare` replaces linears, routers, feed-forward layers and bfloat16 experts by modules on the same weights in the
kernels' order; the old ones are freed, so there is no second copy. What they compute differs from torch's only in the
order of float32 sums, and in that what lies between a block's products stays in float32.

Axes: T tokens, C hidden width, K experts per token.
"""

import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.linear import Linear
from k2model.model import K2Model
from k2model.moe import MLP, Experts, Gate, MoE, only_expert
from kernels.decode import OUTPUTS, choose_experts
from kernels.fake_quant import GROUP
from kernels.int4 import native
from kernels.int4.mlp import Bf16Weight, expert_mlp, linear
from kernels.int4.words import ROWS
from kernels.processor import at_least, products_in


class BlockLinear(nn.Module):
    """A bfloat16 linear for generation; `words` is int32 [1, N/16, K/2, 16] and not part of a state dict."""

    words: Tensor

    def __init__(self, weight_NK: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", _stream(weight_NK.detach()[None]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y_TN = linear(x.flatten(0, -2), Bf16Weight(self.words))
        return y_TN.view(*x.shape[:-1], -1).to(x.dtype)


class BlockExperts(nn.Module):
    """Bfloat16 routed experts for generation, one call per layer; buffers are not part of a state dict."""

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        for short in ("gate_proj", "up_proj", "down_proj"):
            self.register_buffer(short, _stream(getattr(experts, short).detach()), persistent=False)

    def forward(self, x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Σ_k weight · expert(x), [T, C]."""
        gate, up, down = (Bf16Weight(self.get_buffer(short)) for short in ("gate_proj", "up_proj", "down_proj"))
        return expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down)


class BlockMLP(nn.Module):
    """A bfloat16 feed-forward layer for generation in one call: an expert that every token takes."""

    def __init__(self, mlp: MLP) -> None:
        super().__init__()
        for short in ("gate_proj", "up_proj", "down_proj"):
            self.register_buffer(short, _stream(getattr(mlp, short).weight.detach()[None]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x_TC = x.flatten(0, -2)
        gate, up, down = (Bf16Weight(self.get_buffer(short)) for short in ("gate_proj", "up_proj", "down_proj"))
        return expert_mlp(x_TC, *only_expert(len(x_TC)), gate, up, down).view_as(x)


class BlockGate(nn.Module):
    """A bfloat16 router for generation: products of bfloat16 are exact in float32, where they are summed."""

    e_score_correction_bias: Tensor

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.config = gate.config
        self.register_buffer("words", _stream(gate.weight.detach()[None]), persistent=False)
        self.register_buffer("e_score_correction_bias", gate.e_score_correction_bias)

    def forward(self, x_TC: Tensor) -> tuple[Tensor, Tensor]:
        """(expert_TK int64, weight_TK float32)."""
        c = self.config
        logits_TE = linear(x_TC, Bf16Weight(self.get_buffer("words")))
        assert c.routed_scaling_factor is not None
        bias_E = self.e_score_correction_bias
        return choose_experts(logits_TE, bias_E, c.num_experts_per_tok, c.norm_topk_prob, c.routed_scaling_factor)


def _stream(w_ENK: Tensor) -> Tensor:
    words = Bf16Weight.from_rows(w_ENK).words
    return native.huge_pages(tuple(words.shape), torch.int32).copy_(words)


def _fits(weight: Tensor) -> bool:
    return weight.dtype == torch.bfloat16 and weight.shape[-2] % ROWS == 0 and weight.shape[-1] % GROUP == 0


def _is_plain(config: K2Config) -> bool:
    """Whether the kernel has this router: K2's, without groups."""
    return config.has_expert_bias and config.n_group == 1


@torch.no_grad()
def prepare(model: K2Model) -> K2Model:
    """Rearranges the model in place and returns it; it can generate, but neither train nor be saved any more.

    Weights that aren't bfloat16 or whose widths don't fit the kernels stay as they are, and so does everything where
    the kernels can't run. `kv_b_proj` stays: the cache's absorbed form reads it as a matrix. What stays is stored in
    the type that the processor multiplies fast, and so is what flows between the layers.

    A processor without bfloat16 products reads the weights as they lie (`kernels.few_rows`).
    """
    if native.isa() == "torch" or model.device.type != "cpu":
        return model
    model.requires_grad_(False)
    if not at_least("avx512_bf16"):  # no bfloat16 products
        return read_in_place(model)
    for module in list(model.modules()):
        for short, child in list(module.named_children()):
            weights = list(child.parameters()) if isinstance(child, MLP) else []  # none where its linears are of 8 bits
            if weights and all(_fits(weight) for weight in weights):
                setattr(module, short, BlockMLP(child))
            elif isinstance(child, Gate) and _is_plain(child.config) and _fits(child.weight):
                setattr(module, short, BlockGate(child))
    for module in list(model.modules()):  # what no larger block took in
        for short, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and short != "kv_b_proj" and _fits(child.weight):
                setattr(module, short, BlockLinear(child.weight))
        if isinstance(module, MoE) and isinstance(module.experts, Experts):
            stacks = (module.experts.gate_proj, module.experts.up_proj, module.experts.down_proj)
            if all(_fits(stack) for stack in stacks):
                module.experts = BlockExperts(module.experts)  # type: ignore[assignment]
    for param in model.parameters():
        param.data = param.data.to(products_in(param.dtype))
    return model


def read_in_place(model: K2Model) -> K2Model:
    """Leaves the matrices that `kernels.few_rows` reads as they are; all else is stored in what is multiplied fast.

    The model has the same weights under the same names, but can't be trained.
    """
    model.requires_grad_(False)
    for name, param in model.named_parameters():
        owner, _, _ = name.rpartition(".")
        module = model.get_submodule(owner)
        read = isinstance(module, (Linear, Gate)) and param.shape[-2] >= OUTPUTS and not owner.endswith("kv_b_proj")
        if isinstance(module, Experts):
            read = all(width % OUTPUTS == 0 for width in module.gate_proj.shape[1:])
        if not read:
            param.data = param.data.to(products_in(param.dtype))
    return model
