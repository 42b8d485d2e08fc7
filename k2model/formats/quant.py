"""INT4 of K2 Thinking: which weights, the training switch, the `quantization_config`, and the sizes.

Only the routed experts' gate, up and down projections are INT4, symmetric, groups of 32 along the input
(`kernels.fake_quant` has the rule); everything else stays bfloat16.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch

from k2model.config import K2Config
from k2model.formats.checkpoint import FLOAT32_NAMES
from k2model.inference.eight_bits import in_eight_bits, linear_bytes
from k2model.model import K2Model
from k2model.moe import Experts, check_widths
from kernels.fake_quant import GROUP, fake_quant, fake_quant_reference

EXPERT_WEIGHT = re.compile(r"\.mlp\.experts\.\d+\.(gate|up|down)_proj\.weight$")


def set_fake_quant(model: K2Model, enabled: bool) -> int:
    """Switches quantization-aware forward passes on or off; returns how many sparse layers there are.

    Raises:
        ConfigError: a width that groups of 32 don't divide.
    """
    check_widths(model.config)
    layers = [module for module in model.modules() if isinstance(module, Experts)]
    for experts in layers:
        experts.fake_quant = fake_quant if enabled else None
    return len(layers)


@torch.no_grad()
def round_to_nearest(model: K2Model) -> None:
    """Replaces the routed experts' weights by their INT4 values, in place: post-training quantization."""
    check_widths(model.config)
    for module in model.modules():
        if isinstance(module, Experts):
            for weight in (module.gate_proj, module.up_proj, module.down_proj):
                weight.copy_(fake_quant_reference(weight))


def to_bfloat16(model: K2Model, stored: torch.dtype = torch.bfloat16) -> K2Model:
    """The same model with weights rounded to bfloat16; the routers' correction biases stay float32.

    Args:
        stored: the type that holds the rounded values, and so that of the products.
    """
    for param in model.parameters():
        param.data = param.data.to(torch.bfloat16).to(stored)
    return model


def quantization_config() -> dict[str, Any]:
    """What K2 Thinking's `config.json` says, word for word."""
    weights: dict[str, Any] = {
        "actorder": None,
        "block_structure": None,
        "dynamic": False,
        "group_size": GROUP,
        "num_bits": 4,
        "observer": "minmax",
        "observer_kwargs": {},
        "strategy": "group",
        "symmetric": True,
        "type": "int",
    }
    group = {"input_activations": None, "output_activations": None, "targets": ["Linear"], "weights": weights}
    return {
        "config_groups": {"group_0": group},
        "format": "pack-quantized",
        "ignore": [
            "lm_head",
            "re:.*self_attn.*",
            "re:.*shared_experts.*",
            "re:.*mlp\\.(gate|up|gate_up|down)_proj.*",
        ],
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }


@dataclass(frozen=True)
class Sizes:
    """Bytes of a network's tensors.

    total_*: of a checkpoint. active_*: read to decode one token (the embedding counts as one row), `_dense8` with
    attention, shared experts, dense layers and head in 8 bits.
    routed_share: of the active bfloat16 bytes, those of the routed experts.
    """

    total_bf16: int
    total_int4: int
    active_bf16: int
    active_int4: int
    active_int4_dense8: int
    routed_share: float

    @property
    def decode_ceiling(self) -> float:
        """How much faster INT4 can decode at best when reading weights is all there is."""
        return self.active_bf16 / self.active_int4

    @property
    def dense8_ceiling(self) -> float:
        """The same with all dense parts in 8 bits."""
        return self.active_bf16 / self.active_int4_dense8


def int4_bytes(n: int, k: int) -> int:
    """Bytes of one [n, k] linear as stored: codes, scales, and the two int32 of its shape."""
    return n * k // 2 + n * k // GROUP * 2 + 8


def sizes(config: K2Config) -> Sizes:
    """Computed from the configuration alone. Raises ConfigError for a width that groups of 32 don't divide."""
    check_widths(config)
    with torch.device("meta"):
        model = K2Model(config)
    stored = {name: t.numel() for name, t in model.state_dict().items() if ".mlp.experts." not in name}
    rest = sum(n * (4 if name.endswith(FLOAT32_NAMES) else 2) for name, n in stored.items())
    embedding = config.vocab_size * config.hidden_size * 2
    c, i = config.hidden_size, config.moe_intermediate_size
    bf16 = 3 * 2 * c * i
    int4 = 2 * int4_bytes(i, c) + int4_bytes(c, i)
    total = config.num_moe_layers * config.n_routed_experts
    active = config.num_moe_layers * config.num_experts_per_tok
    active_rest = rest - embedding + config.hidden_size * 2
    active_bf16 = active_rest + active * bf16
    shapes = [linear.weight.shape for _, _, linear in in_eight_bits(model)]
    narrowed = sum(2 * n * k - linear_bytes(n, k) for n, k in shapes)
    return Sizes(
        total_bf16=rest + total * bf16,
        total_int4=rest + total * int4,
        active_bf16=active_bf16,
        active_int4=active_rest + active * int4,
        active_int4_dense8=active_rest - narrowed + active * int4,
        routed_share=active * bf16 / active_bf16,
    )
