"""A dense feed-forward network → a shared expert and fine-grained routed experts, the same function at the start.

The neurons that matter most make the shared expert, the others are dealt out to `slices`; each slice stands in
`copies` experts. All slices of a copy have the same router row, so the top k = `slices` are one whole copy, each with
the weight 1/k, which `routed_scaling_factor` = k makes 1: the sum is the dense layer. (Granular upcycling, Megatron
Core's `upcycling_utils.py`, does the like for softmax routers.)

Axes: F dense neurons, I width of an expert, E experts, C hidden width, T tokens, N copies.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from k2model.formats.dense import DenseModel
from k2model.formats.quant import GROUP
from k2model.formats.upcycle.calibrate import LayerStatistics

CLUSTER_ROUNDS = 15
BALANCE_ROUNDS = 400
BALANCE_RATE = 0.02
LOGIT_STD = 2.0  # of a router's logits over the calibration's tokens


@dataclass(frozen=True)
class ExpertSizes:
    """`slices` are chosen per token, out of `slices` × `copies` experts; `shared` more run for every token."""

    slices: int
    copies: int
    shared: int

    def width(self, ffn: int) -> int:
        """Neurons of an expert: what divides the dense ones, in whole groups of the INT4 format."""
        exact = -(-ffn // (self.slices + self.shared))
        return -(-exact // GROUP) * GROUP


def split_dense(dense: DenseModel, layer: int) -> dict[str, Tensor]:
    """The tensors of a layer that stays dense, by their names below `mlp.`."""
    gate, up = dense.weights.gate_up[layer].chunk(2)
    return {"gate_proj.weight": gate, "up_proj.weight": up, "down_proj.weight": dense.weights.down[layer]}


@torch.no_grad()
def convert_experts(
    dense: DenseModel, layer: int, statistics: LayerStatistics, sizes: ExpertSizes, generator: torch.Generator
) -> dict[str, Tensor]:
    """The tensors of one MoE layer, by their names below `mlp.`; the experts' are stacked [E, …]."""
    width, ffn = sizes.width(dense.config.ffn), dense.config.ffn
    order_F = statistics.importance_F.argsort(descending=True, stable=True)
    shared = sizes.shared * width
    neuron_SI = torch.full((sizes.slices, width), ffn)  # ffn stands for a neuron that isn't there
    for part in range(sizes.slices):
        own = order_F[shared:][part :: sizes.slices]
        neuron_SI[part, : len(own)] = own
    gate, up = (F.pad(weight, (0, 0, 0, 1)) for weight in dense.weights.gate_up[layer].chunk(2))
    down = F.pad(dense.weights.down[layer], (0, 1))
    # A missing neuron has random incoming weights, so that it can learn, and no outgoing ones.
    absent = neuron_SI == ffn
    tensors = {
        "experts.gate_proj": gate[neuron_SI],
        "experts.up_proj": up[neuron_SI],
        "experts.down_proj": down[:, neuron_SI].movedim(0, 1),
    }
    for name in ("experts.gate_proj", "experts.up_proj"):
        noise = torch.randn(int(absent.sum()), gate.shape[1], generator=generator).to(gate.dtype)
        tensors[name][absent] = noise * gate.std()
    tensors = {name: weight.repeat(sizes.copies, 1, 1) for name, weight in tensors.items()}
    if sizes.shared:
        first_I = order_F[:shared]
        tensors["shared_experts.gate_proj.weight"] = gate[first_I]
        tensors["shared_experts.up_proj.weight"] = up[first_I]
        tensors["shared_experts.down_proj.weight"] = down[:, first_I]
    rows_NC, bias_N = router(statistics.router_TC, sizes.copies, generator)
    tensors["gate.weight"] = rows_NC.repeat_interleave(sizes.slices, dim=0)
    tensors["gate.e_score_correction_bias"] = bias_N.repeat_interleave(sizes.slices)
    return tensors


def router(input_TC: Tensor, copies: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(rows_NC, bias_N): a router row for each copy, and biases that balance the load over the given inputs.

    Rows are centres of spherical k-means of the inputs without their mean direction, scaled to logits of a set spread.
    """
    mean_C = F.normalize(input_TC.mean(0), dim=0)
    beside_TC = F.normalize(input_TC - (input_TC @ mean_C)[:, None] * mean_C, dim=1)
    centre_NC = beside_TC[torch.randperm(len(beside_TC), generator=generator)[:copies]]
    for _ in range(CLUSTER_ROUNDS):
        nearest_T = (beside_TC @ centre_NC.T).argmax(1)
        means = [beside_TC[nearest_T == n].sum(0) for n in range(copies)]
        centre_NC = torch.stack(
            [F.normalize(mean, dim=0) if mean.any() else old for mean, old in zip(means, centre_NC, strict=True)]
        )
    rows_NC = centre_NC - centre_NC.mean(0)
    logits_TN = input_TC @ rows_NC.T
    spread = float(logits_TN.std()) if copies > 1 else 1.0
    scale = LOGIT_STD / max(spread, 1e-9)
    rows_NC, scores_TN = rows_NC * scale, (logits_TN * scale).sigmoid()
    bias_N = torch.zeros(copies, dtype=torch.float64)
    rate = BALANCE_RATE
    for _ in range(BALANCE_ROUNDS):
        load_N = torch.bincount((scores_TN + bias_N).argmax(1), minlength=copies).double()
        bias_N += rate * (load_N.mean() - load_N) / load_N.mean()
        rate *= 0.99
    return rows_NC, bias_N - bias_N.mean()
