"""How a folder's tensors are stored: as they are, as FP8 with a scale for each block, or as packed INT4.

DeepSeek-V3 and Kimi K2 publish `X.weight` in float8 e4m3 with `X.weight_scale_inv`, float32 of each 128 × 128 block.
K2 Thinking publishes the routed experts' `X_proj.weight` [N, K] as `X_proj.weight_packed` int32 [N, K/8],
`X_proj.weight_scale` bfloat16 [N, K/32] and `X_proj.weight_shape` int32 [2] (compressed-tensors' `pack-quantized`).
Which tensors are stored so is seen by their names.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from k2model.errors import CheckpointError
from k2model.formats.shards import StoredTensor, read_tensors
from kernels.fake_quant import GROUP, dequantize
from kernels.int4.words import unpack

STORED = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}  # by their names in safetensors
FP8 = "F8_E4M3"
SCALES = "_scale_inv", "_scale"
CODES = "_packed", "_shape"
ROWS = 128  # of a matrix that are decoded at once: they stay in the processor's cache

Wanted = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]  # shape and types of each stored part; empty: any
Parts = dict[str, Tensor]


class Plain:
    """Every tensor as it is."""

    def parts(self, name: str, shape: tuple[int, ...], stored: Collection[str]) -> Wanted:
        """What of `stored` makes up the network's tensor `name`."""
        return {name: (shape, tuple(STORED))}

    def decode(self, name: str, parts: Parts, out: Tensor) -> None:
        """Writes the values of a tensor to `out`, which has its shape and any type."""
        out.copy_(parts[name])


@dataclass(frozen=True)
class Fp8Blocks(Plain):
    """Weights w · s with one s for each block of `block` (rows, columns); the last of a row or column may be cut."""

    block: tuple[int, int]

    def parts(self, name: str, shape: tuple[int, ...], stored: Collection[str]) -> Wanted:
        scale = f"{name}_scale_inv"
        if scale not in stored or len(shape) != 2:
            return super().parts(name, shape, stored)
        blocks = tuple(-(-width // each) for width, each in zip(shape, self.block, strict=True))
        return {name: (shape, (FP8,)), scale: (blocks, tuple(STORED))}

    def decode(self, name: str, parts: Parts, out: Tensor) -> None:
        if len(parts) == 1:
            return super().decode(name, parts, out)
        byte_NK, scale_IJ = parts[name].view(torch.int8), parts[f"{name}_scale_inv"].float()
        if not bool(scale_IJ.isfinite().all()):
            raise CheckpointError(f"tensor {name}_scale_inv holds NaN or infinity")
        if bool((byte_NK & 127).max() == 127):
            raise CheckpointError(f"tensor {name} holds NaN")
        rows, columns = self.block
        for index, scale_J in enumerate(scale_IJ):  # a row of blocks at a time: it stays in the processor's cache
            scale_K = scale_J.repeat_interleave(columns)[: byte_NK.shape[1]]
            piece = slice(index * rows, (index + 1) * rows)
            out[piece].copy_(_e4m3(byte_NK[piece]).mul_(scale_K))
        return None


def _e4m3(byte_NK: Tensor) -> Tensor:
    """float32 values of e4m3 bytes without NaN, five times as fast as torch's cast.

    The exponent and mantissa of e4m3 are also those of a float16, but for its larger bias: the value is 2⁸ too small.
    """
    bits_NK = (byte_NK.to(torch.int16) << 7) & -0x4080  # the sign and the seven bits below the exponent's first
    return bits_NK.view(torch.float16).float().mul_(256)


class Int4Words(Plain):
    """Weights q · s with one s for each group of 32 along the input, rounded to bfloat16."""

    def parts(self, name: str, shape: tuple[int, ...], stored: Collection[str]) -> Wanted:
        wanted: Wanted = {f"{name}_packed": ((), ()), f"{name}_scale": ((), ())}
        wanted[f"{name}_shape"] = (2,), ("I32", "I64")
        return wanted if any(part in stored for part in wanted) else super().parts(name, shape, stored)

    def decode(self, name: str, parts: Parts, out: Tensor) -> None:
        if len(parts) == 1:
            return super().decode(name, parts, out)
        packed_NW, scale_NG = self.words(name, parts, tuple(out.shape))
        for packed, scale, rows in zip(packed_NW.split(ROWS), scale_NG.split(ROWS), out.split(ROWS), strict=True):
            rows.copy_(dequantize(unpack(packed), scale))
        return None

    def words(self, name: str, parts: Parts, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """(packed_NW, scale_NG) of a weight of `shape`, checked."""
        if parts[f"{name}_shape"].tolist() != list(shape):
            stated = parts[f"{name}_shape"].tolist()
            raise CheckpointError(f"tensor {name}_shape says {stated}, the network has {list(shape)}")
        if len(shape) != 2 or shape[1] % GROUP:
            raise CheckpointError(f"tensor {name}: {list(shape)} is not divisible into groups of {GROUP}")
        n, k = shape
        wanted = {"packed": (torch.int32, (n, k // 8)), "scale": (torch.bfloat16, (n, k // GROUP))}
        for suffix, (dtype, expected) in wanted.items():
            tensor = parts[f"{name}_{suffix}"]
            if tensor.dtype != dtype or tuple(tensor.shape) != expected:
                actual = f"{tensor.dtype} {tuple(tensor.shape)}".removeprefix("torch.")
                needed = f"{dtype} {expected}".removeprefix("torch.")
                raise CheckpointError(f"tensor {name}_{suffix} is {actual}, packing along the input needs {needed}")
        if not bool(parts[f"{name}_scale"].isfinite().all()):
            raise CheckpointError(f"tensor {name}_scale holds NaN or infinity")
        return parts[f"{name}_packed"], parts[f"{name}_scale"]


def encoding_of(quantization: dict[str, Any] | None, path: Path) -> Plain:
    """The encoding that a `quantization_config` describes.

    Raises:
        CheckpointError: one that can't be read; names the key.
    """
    if quantization is None:
        return Plain()
    if quantization.get("quant_method") == "fp8":
        return Fp8Blocks(_fp8_block(quantization, path))
    check_int4(quantization, path)
    return Int4Words()


def _need(path: Path, where: str, actual: Any, *allowed: Any) -> None:
    if actual not in allowed or (isinstance(actual, bool) != isinstance(allowed[0], bool) and actual is not None):
        wanted = " or ".join(map(repr, allowed))
        raise CheckpointError(f"{path}: quantization_config.{where}: {actual!r:.80}; only {wanted} can be read")


def _fp8_block(value: dict[str, Any], path: Path) -> tuple[int, int]:
    _need(path, "fmt", value.get("fmt", "e4m3"), "e4m3")
    _need(path, "activation_scheme", value.get("activation_scheme", "dynamic"), "dynamic")
    block = value.get("weight_block_size", [128, 128])
    if (
        not isinstance(block, list)
        or len(block) != 2
        or any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in block)
    ):
        raise CheckpointError(
            f"{path}: quantization_config.weight_block_size: {block!r:.80}; only blocks of rows and columns can be read"
        )
    return block[0], block[1]


def check_int4(value: dict[str, Any], path: Path) -> None:
    """Raises CheckpointError naming the first key that isn't K2 Thinking's format."""

    def part(where: str, actual: Any) -> dict[str, Any]:
        if not isinstance(actual, dict):
            raise CheckpointError(f"{path}: quantization_config.{where}: {actual!r:.80} is no object")
        return actual

    _need(path, "quant_method", value.get("quant_method"), "compressed-tensors", "fp8")
    _need(path, "format", value.get("format"), "pack-quantized")
    _need(path, "quantization_status", value.get("quantization_status", "compressed"), "compressed", "frozen")
    for key in ("kv_cache_scheme", "sparsity_config", "transform_config"):
        if value.get(key):
            _need(path, key, value[key], None)
    groups = part("config_groups", value.get("config_groups"))
    _need(path, "config_groups", len(groups), 1)
    name, group = next(iter(groups.items()))
    where = f"config_groups.{name:.40}"
    weights = part(f"{where}.weights", part(where, group).get("weights"))
    wanted = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    for key, only in wanted.items():
        _need(path, f"{where}.weights.{key}", weights.get(key), only)
    _need(path, f"{where}.weights.dynamic", weights.get("dynamic", False), False)
    _need(path, f"{where}.weights.actorder", weights.get("actorder"), None, False)
    for key in ("input_activations", "output_activations"):
        _need(path, f"{where}.{key}", group.get(key), None)
    _need(path, f"{where}.format", group.get("format", "pack-quantized"), "pack-quantized", None)


LAYER = re.compile(r"model\.layers\.(\d+)\.")
PREDICTS_MORE = re.compile(r"model\.layers\.\d+\.(eh_proj|enorm|hnorm|shared_head)\.")
COMPUTED = re.compile(r"rotary_emb\.inv_freq$")  # old folders store it; transformers too passes over it


def without_extras(
    headers: Mapping[str, StoredTensor], layers: int, path: Path, say: Callable[[str], None]
) -> dict[str, StoredTensor]:
    """The tensors of the network itself; `say` is told of layers for multi-token prediction, which are left out."""
    layer_of = {name: int(match[1]) for name in headers if (match := LAYER.match(name))}
    more = {layer_of[name] for name in headers if PREDICTS_MORE.match(name) and layer_of[name] >= layers}
    left_out = [name for name, layer in layer_of.items() if layer in more]
    if more:
        numbers = ", ".join(map(str, sorted(more)))
        say(f"{path}: layer {numbers} (multi-token prediction, {len(left_out)} tensors) is left out")
    extras = {*left_out, *(name for name in headers if COMPUTED.search(name))}
    return {name: header for name, header in headers.items() if name not in extras}


def widest_type(headers: Mapping[str, StoredTensor], passed_over: tuple[str, ...], path: Path) -> torch.dtype:
    """The type that holds every weight exactly, as soon as one is float32 that; FP8 and INT4 count as bfloat16.

    Args:
        passed_over: endings of names that don't count.

    Raises:
        CheckpointError: no weights, or one of a type that can't be read.
    """
    widest: torch.dtype | None = None
    for name, header in headers.items():
        if name.endswith((*passed_over, *SCALES, *CODES)):
            continue
        dtype = torch.bfloat16 if header.dtype == FP8 else STORED.get(header.dtype)
        if dtype is None:
            raise CheckpointError(
                f"{path / header.file}: tensor {name} is {header.dtype}; {' or '.join(STORED)} can be read"
            )
        widest = dtype if widest is None else torch.promote_types(widest, dtype)
    if widest is None:
        raise CheckpointError(f"{path}: no weights")
    return widest


def check_headers(path: Path, headers: Mapping[str, StoredTensor], wanted: Mapping[str, Wanted]) -> None:
    """Raises CheckpointError naming the first tensor that isn't there, isn't wanted, or has another shape or type.

    Before any memory is taken.

    Args:
        wanted: the parts of each tensor of the network.
    """
    parts = {part: spec for specs in wanted.values() for part, spec in specs.items()}
    for problem, names in (
        ("missing", parts.keys() - headers.keys()),
        ("not part of this network", headers.keys() - parts.keys()),
    ):
        if names:
            raise CheckpointError(f"{path}: tensor {min(names)} is {problem} ({len(names)} such)")
    for name, header in headers.items():
        (expected, types), file = parts[name], path / header.file
        if expected and header.shape != expected:
            raise CheckpointError(f"{file}: tensor {name} is {header.shape}, expected {expected}")
        if types and header.dtype not in types:
            raise CheckpointError(f"{file}: tensor {name} is {header.dtype}; {' or '.join(types)} can be read")


def read_parts(
    path: Path, headers: Mapping[str, StoredTensor], wanted: Mapping[str, Wanted], names: Collection[str]
) -> Iterator[tuple[str, Parts]]:
    """(tensor of the network, its parts) of `names`, as soon as all parts are read; they may lie in several shards."""
    owner = {part: name for name in names for part in wanted[name]}
    pending: dict[str, Parts] = {}
    for part, tensor in read_tensors(path, headers, owner):
        name = owner[part]
        parts = pending.setdefault(name, {})
        parts[part] = tensor
        if len(parts) == len(wanted[name]):
            yield name, pending.pop(name)
