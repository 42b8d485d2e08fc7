"""INT4 checkpoints in compressed-tensors' `pack-quantized` layout, as K2 Thinking publishes them.

`k2model.formats.encodings` has the layout.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from k2model.errors import CheckpointError
from k2model.formats.checkpoint import (
    FLOAT32_NAMES,
    Stored,
    allocate,
    check_finite,
    meta_model,
    named_tensors,
    open_stored,
    widen_biases,
    write_checkpoint,
)
from k2model.formats.encodings import Int4Words
from k2model.formats.quant import EXPERT_WEIGHT, quantization_config
from k2model.inference.decode import prepare, read_in_place
from k2model.inference.eight_bits import eight_bit_dense
from k2model.inference.int4_experts import Int4Experts, set_precision
from k2model.model import K2Model
from k2model.moe import MoE, check_widths
from kernels.fake_quant import dequantize, fake_quant_reference, quantize
from kernels.int4 import native
from kernels.int4.words import pack, unpack, uses_lowest_code
from kernels.processor import fast_dtype, products_in


def _quantized_tensors(model: K2Model) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in named_tensors(model):
        if not EXPERT_WEIGHT.search(name):
            wanted = torch.float32 if name.endswith(FLOAT32_NAMES) else torch.bfloat16
            saved = tensor.detach().to("cpu", wanted).contiguous().clone()
            check_finite(name, saved)
            yield name, saved
            continue
        # From the weight as it is trained, not from a rounded copy: these are the codes of the training forward.
        codes_NK, scale_NG = quantize(tensor.detach().cpu())
        if not bool(scale_NG.isfinite().all()):
            raise CheckpointError(f"tensor {name} holds NaN or infinity; it can't be quantized")
        yield f"{name}_packed", pack(codes_NK)
        yield f"{name}_scale", scale_NG.contiguous()
        yield f"{name}_shape", torch.tensor(tensor.shape, dtype=torch.int32)


@torch.no_grad()
def save_int4_checkpoint(
    model: K2Model, path: Path, *, max_shard_bytes: int = 4 * 2**30, files: Mapping[str, str] | None = None
) -> None:
    """Writes `model` with INT4 routed experts; stock transformers, vLLM and SGLang read it. Same model, same bytes.

    Args:
        files: names and texts of what else the folder holds.

    Raises:
        ConfigError: a width that groups of 32 don't divide.
        CheckpointError, NotFiniteError: a weight that isn't finite; nothing is written.
    """
    check_widths(model.config)
    config = model.config.to_hf_dict() | {"dtype": "bfloat16", "quantization_config": quantization_config()}
    write_checkpoint(path, _quantized_tensors(model), config, max_shard_bytes=max_shard_bytes, files=files)


def load_int4_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    say: Callable[[str], None] = print,
) -> K2Model:
    """Loads an INT4 checkpoint tensor by tensor for generation: the routed experts stay INT4 (`Int4Experts`).

    `load_checkpoint` gives the weights bfloat16(q · s), ready to train or to compare.

    Args:
        dtype: of everything else in memory; by default what the processor multiplies bfloat16 values fast in.
        say: is told in one line what is left out, and by how much the weights changed where codes of the absmax/7.5
            rule (compressed-tensors' own, which uses −8) were quantized again by absmax/7.

    Raises:
        CheckpointError: another format, a missing, extra or misshapen tensor, a scale that isn't finite.
        ConfigError: a configuration that can't be.
    """
    stored = open_stored(path, say=say)
    if not isinstance(stored.encoding, Int4Words):
        raise CheckpointError(f"{path}: not quantized to INT4; load it with k2model.formats.checkpoint")
    return _with_int4_experts(stored, stored.encoding, dtype or fast_dtype(), say)


@torch.no_grad()
def _with_int4_experts(stored: Stored, encoding: Int4Words, dtype: torch.dtype, say: Callable[[str], None]) -> K2Model:
    check_widths(stored.config)
    path, model = stored.path, meta_model(stored.config, stored.path)
    experts = {name for name, _ in named_tensors(model) if EXPERT_WEIGHT.search(name)}
    if plain := [name for name in experts if len(stored.wanted[name]) == 1]:
        raise CheckpointError(f"{path}: tensor {min(plain)}_packed is missing; generation needs all experts in INT4")
    for module in model.modules():
        if isinstance(module, MoE):
            module.experts = nn.Module()  # type: ignore[assignment]
    allocate(model, path)
    model.to(dtype)
    for module in model.modules():
        if isinstance(module, MoE):
            module.experts = Int4Experts(stored.config)  # type: ignore[assignment]
    widen_biases(model)
    targets, changes = dict(named_tensors(model)), _Changes()
    for name, parts in stored.read(stored.wanted):
        if name in targets:
            encoding.decode(name, parts, targets[name])
            continue
        prefix, expert, short, _ = name.rsplit(".", 3)
        module = model.get_submodule(prefix)
        assert isinstance(module, Int4Experts)
        packed_NW, scale_NG = encoding.words(name, parts, module.shape(short))
        if uses_lowest_code(packed_NW):
            packed_NW, scale_NG = changes.requantize(packed_NW, scale_NG)
        module.put(short, int(expert), packed_NW, scale_NG)
    if changes.count:
        say(f"{path}: absmax/7.5 codes quantized again by absmax/7, relative weight change {changes.relative():.4f}")
    return model


class _Changes:
    """Quantizes linears again and adds up by how much that changes their weights."""

    def __init__(self) -> None:
        self.count, self.squares, self.total = 0, 0.0, 0.0

    def requantize(self, packed_NW: Tensor, scale_NG: Tensor) -> tuple[Tensor, Tensor]:
        before_NK = dequantize(unpack(packed_NW), scale_NG).float()
        self.count += 1
        self.squares += float((fake_quant_reference(before_NK) - before_NK).square().sum())
        self.total += float(before_NK.square().sum())
        codes_NK, scale_NG = quantize(before_NK)
        return pack(codes_NK), scale_NG

    def relative(self) -> float:
        return (self.squares / self.total) ** 0.5


def load_any(path: Path, *, dense_bits: int = 16, activation_bits: int = 16) -> K2Model:
    """A checkpoint for use, whatever its format: INT4 stays INT4 in memory, rearranged for decoding.

    Products are in types that the processor multiplies fast. Where that is not bfloat16, matrices of such a checkpoint
    stay as they are if there is a kernel that widens them as it reads, else they become float32.

    Args:
        dense_bits: 8 for attention, shared experts, dense layers and head in 8 bits (`eight_bit_dense`).
        activation_bits: 8 where what INT4 experts read is rounded to 8 bits (`w4a8`).

    Raises:
        CheckpointError: it can't be read, or `activation_bits` are of a checkpoint that is not INT4.
    """
    stored = open_stored(path)
    if isinstance(stored.encoding, Int4Words):
        model = _with_int4_experts(stored, stored.encoding, torch.bfloat16, say=print)
        set_precision(model, "w4a8" if activation_bits == 8 else "w4a16")
        return prepare(eight_bit_dense(model) if dense_bits == 8 else model)
    if activation_bits == 8:
        raise CheckpointError(f"{path}: activations of 8 bits are for INT4 experts; it has none (k2 qat makes some)")
    fast = products_in(stored.dtype)
    if fast != stored.dtype and native.isa() != "torch":
        model = stored.load(stored.dtype)
        return read_in_place(eight_bit_dense(model) if dense_bits == 8 else model)
    model = stored.load(fast)
    return eight_bit_dense(model) if dense_bits == 8 else model
