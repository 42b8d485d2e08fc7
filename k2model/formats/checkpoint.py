"""Checkpoints in Hugging Face's DeepseekV3 layout: `config.json`, sharded safetensors, an index, a manifest.

In memory the experts of a layer are three stacked tensors; in a checkpoint each expert is three matrices named
`model.layers.L.mlp.experts.E.{gate,up,down}_proj.weight`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import CheckpointError
from k2model.expert_parallel import ExpertParallel
from k2model.model import K2Model
from k2model.moe import Experts

MANIFEST = "manifest.json"
INDEX = "model.safetensors.index.json"
FLOAT32_NAMES = ("e_score_correction_bias",)
STORED = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}  # by their names in safetensors


def named_tensors(model: nn.Module, *, whole: bool = False) -> Iterator[tuple[str, Tensor]]:
    """(name in a checkpoint, view of the tensor) in a fixed order; stacked experts come as one matrix each.

    Args:
        whole: under expert parallelism, also the experts that other ranks hold, as copies; all ranks must iterate.
    """
    stacked = {
        f"{prefix}.{name}": (prefix, module)
        for prefix, module in model.named_modules()
        if isinstance(module, Experts)
        for name in ("gate_proj", "up_proj", "down_proj")
    }
    for name, tensor in model.state_dict().items():
        if name in stacked:
            (prefix, module), short, first = stacked[name], name.rsplit(".", 1)[1], 0
            if module.parallel:
                tensor, first = (module.parallel.gather(tensor), 0) if whole else (tensor, module.first)
            for expert, matrix in enumerate(tensor.unbind(0), first):
                yield f"{prefix}.{expert}.{short}.weight", matrix
        else:
            yield name, tensor


def saved_tensors(model: nn.Module, dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor on the CPU in the type of the file); correction biases stay float32."""
    for name, tensor in named_tensors(model, whole=True):
        wanted = torch.float32 if name.endswith(FLOAT32_NAMES) else dtype or tensor.dtype
        yield name, tensor.detach().to("cpu", wanted).contiguous().clone()


def _shards(tensors: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    size = 0
    for name, saved in tensors:
        if shard and size + saved.nbytes > limit:
            yield shard
            shard, size = {}, 0
        shard[name] = saved
        size += saved.nbytes
    yield shard


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Writes `manifest.json`, the sha256 of every other file, last: a folder without it is not a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    tmp = folder / f"{MANIFEST}.tmp"
    tmp.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")
    tmp.replace(folder / MANIFEST)


def verify_manifest(folder: Path) -> None:
    """Raises CheckpointError when a file of the manifest is missing or differs."""
    path = folder / MANIFEST
    if not path.exists():
        raise CheckpointError(f"{folder}: {MANIFEST} is missing: the checkpoint was not written to its end")
    for name, digest in json.loads(path.read_text()).items():
        if not (folder / name).exists():
            raise CheckpointError(f"{folder / name}: missing")
        if _sha256(folder / name) != digest:
            raise CheckpointError(f"{folder / name}: corrupted (sha256 differs from the manifest)")


def save_checkpoint(
    model: K2Model, path: Path, *, dtype: torch.dtype | None = None, max_shard_bytes: int = 4 * 2**30
) -> None:
    """Writes a whole checkpoint to `path` (replaced at once when it exists).

    Under expert parallelism all ranks must call it; rank 0 writes, layer by layer.

    Args:
        dtype: of the weights in the file, that in memory by default; correction biases stay float32.
        max_shard_bytes: a shard is closed before it would exceed this.
    """
    config = model.config.to_hf_dict() | {"dtype": str(dtype or model.lm_head.weight.dtype).removeprefix("torch.")}
    tensors = saved_tensors(model, dtype)
    if model.parallel is None or dist.get_rank() == 0:
        write_checkpoint(path, tensors, config, max_shard_bytes=max_shard_bytes)
    else:
        for _ in tensors:
            pass  # takes part in the gathering


def write_checkpoint(
    path: Path, tensors: Iterable[tuple[str, Tensor]], config: dict[str, Any], *, max_shard_bytes: int = 4 * 2**30
) -> None:
    """Writes named tensors and `config.json` as a checkpoint folder, replaced at once when it exists."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.mkdir()
    weight_map: dict[str, str] = {}
    names: list[Path] = []
    total = 0
    for number, shard in enumerate(_shards(tensors, max_shard_bytes)):
        names.append(tmp / f"shard-{number}")
        save_file(shard, names[-1], metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, str(number))
        total += sum(tensor.nbytes for tensor in shard.values())
    if len(names) == 1:
        names[0].rename(tmp / "model.safetensors")
    else:
        final = [f"model-{i + 1:05d}-of-{len(names):05d}.safetensors" for i in range(len(names))]
        for old, new in zip(names, final, strict=True):
            old.rename(tmp / new)
        index = {"metadata": {"total_size": total}, "weight_map": {k: final[int(v)] for k, v in weight_map.items()}}
        (tmp / INDEX).write_text(json.dumps(index, indent=1) + "\n")
    (tmp / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_manifest(tmp)
    replace_folder(tmp, path)


def replace_folder(new: Path, path: Path) -> None:
    """Renames folder `new` to `path`, moving what stood there out of the way first."""
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def load_config(path: Path) -> K2Config:
    """The configuration of a checkpoint.

    Raises:
        CheckpointError: no `config.json`, or not JSON.
        ConfigError: a configuration that can't be.
    """
    file = Path(path) / "config.json"
    if not file.exists():
        raise CheckpointError(f"{file}: not found")
    try:
        value = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{file}: not JSON: {error}") from None
    return K2Config.from_dict(value)


def shard_files(path: Path) -> dict[str, list[str]]:
    """The shards of a checkpoint and the tensors in each, in an order that follows the layers."""
    index = path / INDEX
    if index.exists():
        files: dict[str, list[str]] = {}
        try:
            weight_map = json.loads(index.read_text())["weight_map"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError) as error:
            raise CheckpointError(f"{index}: no index of shards: {error!r}") from None
        for name, file in weight_map.items():
            files.setdefault(file, []).append(name)
        return files
    if not (path / "model.safetensors").exists():
        raise CheckpointError(f"{path}: neither model.safetensors nor {INDEX}")
    with open_shard(path / "model.safetensors") as handle:
        return {"model.safetensors": list(handle.keys())}


def open_shard(path: Path) -> safe_open:
    """A shard, memory-mapped. Raises CheckpointError when it is missing or corrupted."""
    if not path.exists():
        raise CheckpointError(f"{path}: missing")
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise CheckpointError(f"{path}: corrupted: {error}") from None


def read_slice(handle: safe_open, name: str, path: Path) -> Any:
    """A tensor's shape and type, unread. Raises CheckpointError when the shard doesn't have it."""
    try:
        return handle.get_slice(name)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: tensor {name}: {error}") from None


def read_tensor(handle: safe_open, name: str, path: Path) -> Tensor:
    """A tensor of an open shard. Raises CheckpointError when the shard doesn't have it."""
    try:
        return handle.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: tensor {name}: {error}") from None


def stored_dtype(path: Path) -> torch.dtype:
    """The type that holds every weight of a checkpoint exactly: float32 as soon as one is, else the file's.

    Correction biases, which are float32 whatever the rest is, don't count.

    Raises:
        CheckpointError: a weight of a type that no network is trained in.
    """
    widest: torch.dtype | None = None
    for file, inside in shard_files(path).items():
        with open_shard(path / file) as handle:
            for name in inside:
                if name.endswith(FLOAT32_NAMES):
                    continue
                stored = read_slice(handle, name, path / file).get_dtype()
                if stored not in STORED:
                    raise CheckpointError(f"{path / file}: tensor {name} is {stored}; weights are {', '.join(STORED)}")
                widest = STORED[stored] if widest is None else torch.promote_types(widest, STORED[stored])
    if widest is None:
        raise CheckpointError(f"{path}: no weights")
    return widest


@torch.no_grad()
def load_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    parallel: ExpertParallel | None = None,
) -> K2Model:
    """Loads a checkpoint tensor by tensor from memory-mapped files; the model is in memory once.

    Args:
        dtype: of the loaded weights; by default `stored_dtype`. Correction biases are always float32.
        parallel: load only the experts that this rank holds.

    Raises:
        CheckpointError: a tensor that is missing, extra, of the wrong shape or in a corrupted file.
        ConfigError: a configuration that can't be.
    """
    path = Path(path)
    config = load_config(path)
    if config.quantization_config is not None:
        raise CheckpointError(f"{path}: quantized; load it with k2model.formats.int4_checkpoint")
    if (path / MANIFEST).exists():
        verify_manifest(path)
    with torch.device("meta"):
        model = K2Model(config, parallel=parallel)
        wanted = dict(named_tensors(K2Model(config)))
    files = shard_files(path)
    stored = {name for names in files.values() for name in names}
    for problem, names in (("missing", wanted.keys() - stored), ("not part of this network", stored - wanted.keys())):
        if names:
            raise CheckpointError(f"{path}: tensor {min(names)} is {problem} ({len(names)} such)")
    dtype = dtype or stored_dtype(path)
    model.to_empty(device=device)
    model.to(dtype)
    for gate in model.gates():
        gate.e_score_correction_bias = gate.e_score_correction_bias.float()
    targets = dict(named_tensors(model))
    for file, inside in files.items():
        with open_shard(path / file) as handle:
            for name in inside:
                if name not in targets:
                    continue  # an expert of another rank
                tensor = read_tensor(handle, name, path / file)
                if tensor.shape != targets[name].shape:
                    expected = tuple(targets[name].shape)
                    raise CheckpointError(f"{path / file}: tensor {name} is {tuple(tensor.shape)}, expected {expected}")
                targets[name].copy_(tensor)
    return model
