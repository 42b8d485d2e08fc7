"""INT4 checkpoints in compressed-tensors' `pack-quantized` layout, as K2 Thinking publishes them.

Each routed expert's `X_proj.weight` [N, K] becomes `X_proj.weight_packed` int32 [N, K/8], `X_proj.weight_scale`
bfloat16 [N, K/32] and `X_proj.weight_shape` int32 [2]; the rest is bfloat16.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from k2model.errors import CheckpointError
from k2model.formats.checkpoint import (
    FLOAT32_NAMES,
    MANIFEST,
    STORED,
    allocate,
    check_finite,
    check_names,
    check_tensors,
    load_checkpoint,
    load_config,
    meta_model,
    named_tensors,
    open_shard,
    read_tensor,
    shard_files,
    stored_dtype,
    verify_manifest,
    write_checkpoint,
)
from k2model.formats.quant import EXPERT_WEIGHT, quantization_config
from k2model.inference.decode import prepare
from k2model.inference.int4_experts import Int4Experts
from k2model.model import K2Model
from k2model.moe import Experts, MoE, check_widths
from kernels.fake_quant import GROUP, dequantize, fake_quant_reference, quantize
from kernels.int4.words import unpack, uses_lowest_code
from kernels.processor import fast_dtype, products_in


def _quantized_tensors(model: K2Model) -> Iterator[tuple[str, Tensor]]:
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32  # seconds to import

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
        yield f"{name}_packed", pack_to_int32(codes_NK, 4)
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


def check_quantization_config(value: dict[str, Any], path: Path) -> None:
    """Raises CheckpointError naming the first key that isn't K2 Thinking's format."""

    def need(where: str, actual: Any, *allowed: Any) -> None:
        if actual not in allowed or (isinstance(actual, bool) != isinstance(allowed[0], bool) and actual is not None):
            wanted = " or ".join(map(repr, allowed))
            raise CheckpointError(f"{path}: quantization_config.{where}: {actual!r:.80}; only {wanted} can be read")

    def part(where: str, actual: Any) -> dict[str, Any]:
        if not isinstance(actual, dict):
            raise CheckpointError(f"{path}: quantization_config.{where}: {actual!r:.80} is no object")
        return actual

    need("quant_method", value.get("quant_method"), "compressed-tensors")
    need("format", value.get("format"), "pack-quantized")
    need("quantization_status", value.get("quantization_status", "compressed"), "compressed", "frozen")
    for key in ("kv_cache_scheme", "sparsity_config", "transform_config"):
        if value.get(key):
            need(key, value[key], None)
    groups = part("config_groups", value.get("config_groups"))
    need("config_groups", len(groups), 1)
    name, group = next(iter(groups.items()))
    where = f"config_groups.{name:.40}"
    weights = part(f"{where}.weights", part(where, group).get("weights"))
    wanted = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    for key, only in wanted.items():
        need(f"{where}.weights.{key}", weights.get(key), only)
    need(f"{where}.weights.dynamic", weights.get("dynamic", False), False)
    need(f"{where}.weights.actorder", weights.get("actorder"), None, False)
    for key in ("input_activations", "output_activations"):
        need(f"{where}.{key}", group.get(key), None)
    need(f"{where}.format", group.get("format", "pack-quantized"), "pack-quantized", None)


@dataclass
class _Linear:
    """The parts of one expert's linear that have been read; they may lie in different shards."""

    packed: Tensor | None = None
    scale: Tensor | None = None
    shape: Tensor | None = None


def _checked(name: str, part: _Linear, n: int, k: int, *, convert: bool) -> tuple[Tensor, Tensor]:
    assert part.packed is not None and part.scale is not None and part.shape is not None
    if part.shape.tolist() != [n, k]:
        raise CheckpointError(f"tensor {name}_shape says {part.shape.tolist()}, the network has [{n}, {k}]")
    for suffix, tensor, dtype, shape in (
        ("packed", part.packed, torch.int32, (n, k // 8)),
        ("scale", part.scale, torch.bfloat16, (n, k // GROUP)),
    ):
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            actual = f"{tensor.dtype} {tuple(tensor.shape)}".removeprefix("torch.")
            wanted = f"{dtype} {shape}".removeprefix("torch.")
            raise CheckpointError(f"tensor {name}_{suffix} is {actual}, packing along the input needs {wanted}")
    if not bool(part.scale.isfinite().all()):
        raise CheckpointError(f"tensor {name}_scale holds NaN or infinity")
    if not convert and uses_lowest_code(part.packed):
        raise CheckpointError(
            f"tensor {name}_packed uses code −8: quantized by the absmax/7.5 rule, this project's is absmax/7; "
            "load it with convert=True to quantize it again"
        )
    return part.packed, part.scale


@torch.no_grad()
def load_int4_checkpoint(
    path: Path,
    *,
    runtime: bool = False,
    dtype: torch.dtype | None = None,
    convert: bool = False,
    say: Callable[[str], None] = print,
) -> K2Model:
    """Loads an INT4 checkpoint tensor by tensor.

    Args:
        runtime: False gives weights bf16(q·s), ready to train or to compare; True keeps the routed experts in INT4
            (`Int4Experts`) for generation.
        dtype: of everything else in memory; by default what the processor multiplies bfloat16 values fast in.
        convert: accepts codes of the absmax/7.5 rule and quantizes q·s again by absmax/7; `say` is told by how much
            the weights changed.

    Raises:
        CheckpointError: another format, a missing, extra or misshapen tensor, a scale that isn't finite.
        ConfigError: a configuration that can't be.
    """
    path = Path(path)
    stored = load_config(path)
    if stored.quantization_config is None:
        raise CheckpointError(f"{path}: not quantized; load it with k2model.formats.checkpoint")
    check_quantization_config(stored.quantization_config, path)
    check_widths(stored)
    if (path / MANIFEST).exists():
        verify_manifest(path)
    config = stored.replace(quantization_config=None)
    files = shard_files(path)
    check_names(path, config, files)
    model = meta_model(config, path)
    check_tensors(path, files, dict(_wanted(model)))
    if runtime:
        for module in model.modules():
            if isinstance(module, MoE):
                module.experts = nn.Module()  # type: ignore[assignment]
    allocate(model, path)
    model.to(dtype or fast_dtype())
    if runtime:
        for module in model.modules():
            if isinstance(module, MoE):
                module.experts = Int4Experts(config)  # type: ignore[assignment]
    for gate in model.gates():
        gate.e_score_correction_bias = gate.e_score_correction_bias.float()
    fill = _Filler(model, convert)
    for file, inside in files.items():
        with open_shard(path / file) as handle:
            for name in inside:
                fill.take(name, read_tensor(handle, name, path / file))
    if fill.changed:
        say(f"{path}: absmax/7.5 codes quantized again by absmax/7, relative weight change {fill.change():.4f}")
    return model


def _wanted(model: K2Model) -> Iterator[tuple[str, tuple[tuple[int, ...], tuple[str, ...]]]]:
    """Name, shape and safetensors types of each tensor in the file of `model`; an expert's parts come to `_checked`."""
    for name, tensor in named_tensors(model):
        if EXPERT_WEIGHT.search(name):
            yield f"{name}_packed", ((), ())
            yield f"{name}_scale", ((), ())
            yield f"{name}_shape", ((2,), ("I32", "I64"))
        else:
            yield name, (tuple(tensor.shape), tuple(STORED))


class _Filler:
    """Copies a checkpoint's tensors into a model, waiting for the three parts of each expert's linear."""

    def __init__(self, model: K2Model, convert: bool) -> None:
        self.convert = convert
        self.plain = dict(named_tensors(model))
        self.modules = dict(model.named_modules())
        self.pending: dict[str, _Linear] = {}
        self.changed, self.squares, self.total = 0, 0.0, 0.0

    def take(self, name: str, tensor: Tensor) -> None:
        base, _, part = name.rpartition("_")
        if not EXPERT_WEIGHT.search(base):
            self.plain[name].copy_(tensor)
            return
        linear = self.pending.setdefault(base, _Linear())
        setattr(linear, part, tensor)
        if None not in (linear.packed, linear.scale, linear.shape):
            self._expert(base, self.pending.pop(base))

    def _expert(self, name: str, linear: _Linear) -> None:
        prefix, expert, short, _ = name.rsplit(".", 3)
        module: nn.Module = self.modules[prefix]
        assert isinstance(module, (Experts, Int4Experts))
        n, k = module.shape(short) if isinstance(module, Int4Experts) else getattr(module, short).shape[1:]
        packed_NW, scale_NG = _checked(name, linear, n, k, convert=self.convert)
        if self.convert and uses_lowest_code(packed_NW):
            packed_NW, scale_NG = self._requantized(packed_NW, scale_NG)
        if isinstance(module, Int4Experts):
            module.put(short, int(expert), packed_NW, scale_NG)
        else:
            getattr(module, short)[int(expert)].copy_(dequantize(unpack(packed_NW), scale_NG))

    def _requantized(self, packed_NW: Tensor, scale_NG: Tensor) -> tuple[Tensor, Tensor]:
        from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32  # seconds to import

        before_NK = dequantize(unpack(packed_NW), scale_NG).float()
        self.changed += 1
        self.squares += float((fake_quant_reference(before_NK) - before_NK).square().sum())
        self.total += float(before_NK.square().sum())
        codes_NK, scale_NG = quantize(before_NK)
        return pack_to_int32(codes_NK, 4), scale_NG

    def change(self) -> float:
        return (self.squares / self.total) ** 0.5


def load_any(path: Path) -> K2Model:
    """A checkpoint for use, whatever its format: INT4 stays INT4 in memory, rearranged for decoding.

    Products are in types that the processor multiplies fast: bfloat16 becomes float32 where it would be emulated.
    """
    if load_config(path).quantization_config is not None:
        return prepare(load_int4_checkpoint(path, runtime=True, dtype=torch.bfloat16))
    return load_checkpoint(path, dtype=products_in(stored_dtype(path)))
