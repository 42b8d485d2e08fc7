"""Routed experts that stay INT4 in memory, in the place of `k2model.moe.Experts` for generation.

Axes: T tokens, C hidden width, E experts, K experts per token, I width of an expert.
"""

import torch
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.model import K2Model
from k2model.moe import MoE, check_widths
from kernels.fake_quant import GROUP, pack_quantize
from kernels.int4 import native
from kernels.int4.mlp import Int4Weight, Precision, expert_mlp
from kernels.int4.words import ROWS, interleave


class Int4Experts(nn.Module):
    """The checkpoint's own words, transposed within blocks of sixteen rows; there is no second copy.

    The buffers are not part of a state dict: `k2model.formats.int4_checkpoint` fills them. `precision`
    may be changed at any time: `w4a16` is exact, `w4a8` also rounds activations to 8 bits.
    """

    def __init__(self, config: K2Config, precision: Precision = "w4a16") -> None:
        super().__init__()
        self.precision = precision
        self.width, self.inner, self.count = config.hidden_size, config.moe_intermediate_size, config.n_routed_experts
        for short in ("gate_proj", "up_proj", "down_proj"):
            n, k = self.shape(short)
            words = native.huge_pages((self.count, n // ROWS, k // 8, ROWS), torch.int32)
            scale = native.huge_pages((self.count, n // ROWS, k // GROUP, ROWS), torch.bfloat16)
            self.register_buffer(f"{short}_words", words, persistent=False)
            self.register_buffer(f"{short}_scale", scale, persistent=False)

    def shape(self, short: str) -> tuple[int, int]:
        """(outputs, inputs) of `gate_proj`, `up_proj` or `down_proj`."""
        return (self.width, self.inner) if short == "down_proj" else (self.inner, self.width)

    def put(self, short: str, expert: int, packed_NW: Tensor, scale_NG: Tensor) -> None:
        """Stores one expert's linear as a checkpoint holds it."""
        self.get_buffer(f"{short}_words")[expert] = interleave(packed_NW)
        self.get_buffer(f"{short}_scale")[expert] = interleave(scale_NG)

    def weight(self, short: str) -> Int4Weight:
        return Int4Weight(self.get_buffer(f"{short}_words"), self.get_buffer(f"{short}_scale"))

    def forward(self, x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Σ_k weight · expert(x), [T, C], in the type of x."""
        gate, up, down = self.weight("gate_proj"), self.weight("up_proj"), self.weight("down_proj")
        return expert_mlp(x_TC, expert_TK, weight_TK, gate, up, down, self.precision)


def set_precision(model: K2Model, precision: Precision) -> K2Model:
    """The same network, whose INT4 experts multiply so from now on."""
    for module in model.modules():
        if isinstance(module, Int4Experts):
            module.precision = precision
    return model


def int4_twin(model: K2Model) -> K2Model:
    """A network for rollouts during training: INT4 experts as `model` has them now, every other tensor shared.

    After an optimizer step `refresh_experts` brings the experts up to date; the rest is live. With fake quantization
    in training, the rollouts come from the very weights that are trained.

    Raises:
        ConfigError: a width that groups of 32 don't divide.
    """
    check_widths(model.config)
    with torch.device("meta"):
        twin = K2Model(model.config)
    for module in twin.modules():
        if isinstance(module, MoE):
            module.experts = Int4Experts(model.config)  # type: ignore[assignment]
    shared = {name: tensor for name, tensor in model.state_dict().items() if ".mlp.experts." not in name}
    twin.load_state_dict(shared, assign=True)
    refresh_experts(twin, model)
    return twin.eval()


@torch.no_grad()
def refresh_experts(twin: K2Model, model: K2Model) -> None:
    """Quantizes the routed experts of `model` into its twin."""
    pairs = zip(twin.model.layers, model.model.layers, strict=True)
    for mine, theirs in ((twin_layer.mlp, layer.mlp) for twin_layer, layer in pairs):
        if isinstance(mine, MoE) and isinstance(theirs, MoE):
            assert isinstance(mine.experts, Int4Experts)
            for short in ("gate_proj", "up_proj", "down_proj"):
                words_ENW, scale_ENG = pack_quantize(getattr(theirs.experts, short))
                mine.experts.get_buffer(f"{short}_words").copy_(interleave(words_ENW))
                mine.experts.get_buffer(f"{short}_scale").copy_(interleave(scale_ENG))
