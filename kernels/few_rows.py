"""Products of few rows with float32, bfloat16 or 8-bit weights as they are stored, on a CPU: what decoding is made of.

A matrix product of torch's packs its weight first, which few rows don't pay back, and its second thread helps them
little. Here a weight is read once, in place, whoever else uses it: nothing has to be prepared, so a network in training
can generate. A row's result depends on that row alone. Sums are float32.

Axes: T tokens, C hidden width, E experts, K experts per token, I width of an expert, N outputs, X inputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.decode import FLOATS, OUTPUTS
from kernels.int4 import native
from kernels.processor import fast_dtype

MOST_ROWS = 64  # from which on torch's product is as fast
WIDENED_ROWS = 256  # from which on torch's product of a bfloat16 weight made float32 is faster


def usable(x: Tensor, *weights: Tensor) -> bool:
    """Whether `linear` (one weight) or `experts` (three) can take these, and should: never where a gradient is wanted.

    Bfloat16 weights are taken with any number of rows where the processor has no bfloat16 products, and then also with
    float32 inputs.
    """
    if torch.is_grad_enabled() and (x.requires_grad or any(w.requires_grad for w in weights)):
        return False
    width, dtype = x.shape[-1], weights[0].dtype
    if native.isa() == "torch" or x.device.type != "cpu" or x.dtype not in FLOATS or not x.numel():
        return False
    if dtype not in FLOATS or (x.dtype != dtype and dtype != torch.bfloat16):
        return False
    if x.numel() > MOST_ROWS * width and (dtype == torch.float32 or fast_dtype() == dtype):
        return False
    several = len(weights) > 1
    return all(w.dtype == dtype and w.is_contiguous() and _tiled(w, several) for w in weights)


def _tiled(weight: Tensor, whole: bool) -> bool:
    """Whether tiles of outputs fit into a weight, `whole`: without a rest. A weight spread by ZeRO-3 has no outputs."""
    outputs = weight.shape[-2] if weight.ndim > 1 else 0
    return outputs >= OUTPUTS and not (whole and outputs % OUTPUTS)


def linear(x: Tensor, weight_NX: Tensor, scale_N: Tensor | None = None) -> Tensor:
    """x · Wᵀ in the type of x, [..., N].

    Args:
        scale_N: float32, of an int8 weight: each output is multiplied with it.

    Raises:
        ValueError: widths that don't fit, or one of an int8 weight and its scale without the other.
    """
    outputs, width = weight_NX.shape
    if weight_NX.dtype == torch.bfloat16 and x.numel() >= WIDENED_ROWS * x.shape[-1]:
        return F.linear(x.float(), weight_NX.float()).to(x.dtype)
    if x.shape[-1] != width or (scale_N is None) != (weight_NX.dtype != torch.int8):
        raise ValueError(f"linear: x is {tuple(x.shape)}, the weight {weight_NX.dtype} [{outputs}, {width}]")
    library = native.library()
    assert library is not None
    x32 = x.float().contiguous()
    y = torch.empty(*x.shape[:-1], outputs)
    library.k2_few_linear(
        x32.data_ptr(),
        weight_NX.data_ptr(),
        None if scale_N is None else scale_N.data_ptr(),
        y.data_ptr(),
        x32.numel() // width,
        outputs,
        width,
        8 * weight_NX.itemsize,
        native.LEVEL[native.isa()],
        native.threads(y.numel() * width),
    )
    return y.to(x.dtype)


def experts(
    x_TC: Tensor, expert_TK: Tensor, weight_TK: Tensor, gate_EIC: Tensor, up_EIC: Tensor, down_ECI: Tensor
) -> Tensor:
    """Σ_k weight · down(silu(gate(x)) · up(x)) over a token's experts: [T, C] in the type of x.

    Raises:
        ValueError: widths that don't fit, or that tiles of four outputs don't divide.
    """
    (count, inner, width), top_k = gate_EIC.shape, expert_TK.shape[1]
    shapes = up_EIC.shape == gate_EIC.shape and down_ECI.shape == (count, width, inner) and x_TC.shape[1] == width
    if not shapes or inner % OUTPUTS or width % OUTPUTS:
        given = [tuple(tensor.shape) for tensor in (x_TC, gate_EIC, up_EIC, down_ECI)]
        raise ValueError("experts: x {}, gate {}, up {}, down {}".format(*given))
    library = native.library()
    assert library is not None
    x32_TC = x_TC.float().contiguous()
    expert_TK, weight_TK = expert_TK.long().contiguous(), weight_TK.float().contiguous()
    y_TC = torch.empty(x_TC.shape)
    outside = library.k2_few_experts(
        x32_TC.data_ptr(),
        expert_TK.data_ptr(),
        weight_TK.data_ptr(),
        gate_EIC.data_ptr(),
        up_EIC.data_ptr(),
        down_ECI.data_ptr(),
        y_TC.data_ptr(),
        len(x_TC),
        top_k,
        width,
        inner,
        count,
        gate_EIC.dtype == torch.float32,
        native.LEVEL[native.isa()],
        native.threads(3 * expert_TK.numel() * inner * width),
    )
    if outside:
        raise ValueError(f"experts: a token chose one that is none of the {count}")
    return y_TC.to(x_TC.dtype)
