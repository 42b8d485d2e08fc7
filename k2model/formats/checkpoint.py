"""Checkpoints in Hugging Face's DeepseekV3 layout: `config.json`, sharded safetensors, an index, a manifest.

In memory the experts of a layer are three stacked tensors; in a checkpoint each expert is three matrices named
`model.layers.L.mlp.experts.E.{gate,up,down}_proj.weight`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError, NotFiniteError
from k2model.expert_parallel import ExpertParallel
from k2model.files import sha256_file, sync, write_atomic
from k2model.model import K2Model
from k2model.moe import Experts

MANIFEST = "manifest.json"
INDEX = "model.safetensors.index.json"
FLOAT32_NAMES = ("e_score_correction_bias",)
# What transformers' DeepseekV3Config fills in for a key that a config.json leaves out, where K2's own value is another.
DEEPSEEK_V3 = {
    "first_k_dense_replace": 3,
    "n_group": 8,
    "topk_group": 4,
    "routed_scaling_factor": 2.5,
    "rope_theta": 10000.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
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
        saved = tensor.detach().to("cpu", wanted).contiguous().clone()
        check_finite(name, saved)
        yield name, saved


def check_finite(name: str, tensor: Tensor) -> None:
    """Raises NotFiniteError when a tensor of numbers holds NaN or infinity."""
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise NotFiniteError(f"tensor {name} holds NaN or infinity")


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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint folder.

    Raises:
        CheckpointError: missing, unreadable, not UTF-8, not JSON, not an object, or one with a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            names = [name for name, _ in pairs]
            raise CheckpointError(f"{path}: {next(name for name in names if names.count(name) > 1)} stands there twice")
        return value

    try:
        value = json.loads(path.read_bytes().decode(), object_pairs_hook=once)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {_line(error)}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return value


def _line(error: BaseException) -> str:
    """What an error says, as one line of bounded length."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _inside(file: Path, name: Any) -> str:
    """A file's name that a manifest or an index gives; it must lie in the checkpoint's own folder."""
    if not isinstance(name, str) or not name.isprintable() or name[:1] in ("", "/") or ".." in name.split("/"):
        raise CheckpointError(f"{file}: {name!r:.80} is no name of a file in this folder")
    return name


def write_manifest(folder: Path) -> None:
    """Writes `manifest.json`, the sha256 of every other file, last: a folder without it is not a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        sync(path)
    digests = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    with write_atomic(folder / MANIFEST) as tmp:
        tmp.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n")


def verify_manifest(folder: Path) -> None:
    """Raises CheckpointError when the manifest is none, or a file of it is missing or differs."""
    path = folder / MANIFEST
    if not path.exists():
        raise CheckpointError(f"{folder}: {MANIFEST} is missing: the checkpoint was not written to its end")
    for name, digest in read_json(path).items():
        file = folder / _inside(path, name)
        if not isinstance(digest, str):
            raise CheckpointError(f"{path}: {name}: {digest!r:.80} is no sha256")
        try:
            if sha256_file(file) != digest:
                raise CheckpointError(f"{file}: corrupted (sha256 differs from the manifest)")
        except FileNotFoundError:
            raise CheckpointError(f"{file}: missing") from None
        except OSError as error:
            raise CheckpointError(f"{file}: {error.strerror}") from None


def save_checkpoint(
    model: K2Model,
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = 4 * 2**30,
    files: Mapping[str, str] | None = None,
) -> None:
    """Writes a whole checkpoint to `path` (replaced at once when it exists): weights and configuration.

    `k2model.formats.model_folder.save_model_folder` writes one that stands alone.

    Under expert parallelism all ranks must call it; rank 0 writes, layer by layer.

    Args:
        dtype: of the weights in the file, that in memory by default; correction biases stay float32.
        max_shard_bytes: a shard is closed before it would exceed this.
        files: names and texts of what else the folder holds.

    Raises:
        NotFiniteError: a weight isn't finite; nothing is written.
    """
    config = model.config.to_hf_dict() | {"dtype": str(dtype or model.lm_head.weight.dtype).removeprefix("torch.")}
    tensors = saved_tensors(model, dtype)
    if model.parallel is None or dist.get_rank() == 0:
        write_checkpoint(path, tensors, config, max_shard_bytes=max_shard_bytes, files=files)
    else:
        for _ in tensors:
            pass  # takes part in the gathering


def write_checkpoint(
    path: Path,
    tensors: Iterable[tuple[str, Tensor]],
    config: dict[str, Any],
    *,
    max_shard_bytes: int = 4 * 2**30,
    files: Mapping[str, str] | None = None,
) -> None:
    """Writes named tensors, `config.json` and `files` as a checkpoint folder, replaced at once when it exists."""
    with write_atomic(Path(path)) as folder:
        folder.mkdir()
        weight_map: dict[str, str] = {}
        names: list[Path] = []
        total = 0
        for number, shard in enumerate(_shards(tensors, max_shard_bytes)):
            names.append(folder / f"shard-{number}")
            save_file(shard, names[-1], metadata={"format": "pt"})
            names[-1].chmod(folder.stat().st_mode & 0o666)  # safetensors' are the owner's alone, whatever the umask
            weight_map |= dict.fromkeys(shard, str(number))
            total += sum(tensor.nbytes for tensor in shard.values())
        if len(names) == 1:
            names[0].rename(folder / "model.safetensors")
        else:
            final = [f"model-{i + 1:05d}-of-{len(names):05d}.safetensors" for i in range(len(names))]
            for old, new in zip(names, final, strict=True):
                old.rename(folder / new)
            file_of = {name: final[int(number)] for name, number in weight_map.items()}
            index = {"metadata": {"total_size": total}, "weight_map": file_of}
            (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        for name, text in (files or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_manifest(folder)


def load_config(path: Path) -> K2Config:
    """The configuration of a checkpoint, what it leaves out as in transformers' DeepseekV3.

    Raises:
        CheckpointError: no readable `config.json`, or a configuration that can't be; names the file and the key.
    """
    file = Path(path) / "config.json"
    value = DEEPSEEK_V3 | read_json(file)
    try:
        if value["routed_scaling_factor"] is None:
            raise ConfigError("routed_scaling_factor: None is no number")
        return K2Config.from_dict(value)
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from None


def shard_files(path: Path) -> dict[str, list[str]]:
    """The shards of a checkpoint and the tensors in each, in an order that follows the layers.

    Raises:
        CheckpointError: no shards, or an index that is none.
    """
    index = path / INDEX
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{index}: weight_map: no object that names a file for each tensor")
        files: dict[str, list[str]] = {}
        for name, file in weight_map.items():
            files.setdefault(_inside(index, file), []).append(name)
        return files
    if not (path / "model.safetensors").exists():
        raise CheckpointError(f"{path}: neither model.safetensors nor {INDEX}")
    with open_shard(path / "model.safetensors") as handle:
        return {"model.safetensors": list(handle.keys())}


def open_shard(path: Path) -> safe_open:
    """A shard, memory-mapped. Raises CheckpointError when it is missing, unreadable or corrupted."""
    try:
        path.stat()
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: corrupted: {_line(error)}") from None


def meta_model(config: K2Config, path: Path, parallel: ExpertParallel | None = None) -> K2Model:
    """A network without memory. Raises CheckpointError for sizes that no memory has."""
    try:
        with torch.device("meta"):
            return K2Model(config, parallel=parallel)
    except (RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path / 'config.json'}: sizes that no network has: {_line(error)}") from None


def allocate(model: K2Model, path: Path, device: str | torch.device = "cpu") -> None:
    """Gives a network of `meta_model` memory. Raises CheckpointError when there isn't so much."""
    try:
        model.to_empty(device=device)
    except RuntimeError as error:
        raise CheckpointError(f"{path / 'config.json'}: sizes beyond this memory: {_line(error)}") from None


def check_names(path: Path, config: K2Config, files: Mapping[str, Sequence[str]]) -> None:
    """Raises CheckpointError when `config` has more matrices than the files have tensors.

    Before a network is made of it, since a wrong number of layers or experts would make one without end.
    """
    stored = sum(map(len, files.values()))
    least = config.num_hidden_layers + 3 * config.num_moe_layers * config.n_routed_experts
    if least > stored:
        raise CheckpointError(
            f"{path}: num_hidden_layers {config.num_hidden_layers} and n_routed_experts {config.n_routed_experts} in "
            f"config.json: tensors are missing, there are {stored}"
        )


def check_tensors(
    path: Path, files: Mapping[str, Sequence[str]], wanted: Mapping[str, tuple[tuple[int, ...], Sequence[str]]]
) -> None:
    """Raises CheckpointError naming the first tensor that isn't there, isn't wanted, or has another shape or type.

    Before any memory is taken.

    Args:
        wanted: shape and safetensors types of each tensor; where they are empty, any will do.
    """
    stored = {name for names in files.values() for name in names}
    for problem, names in (("missing", wanted.keys() - stored), ("not part of this network", stored - wanted.keys())):
        if names:
            raise CheckpointError(f"{path}: tensor {min(names)} is {problem} ({len(names)} such)")
    for file, inside in files.items():
        with open_shard(path / file) as handle:
            for name in inside:
                header = read_slice(handle, name, path / file)
                (expected, types), shape = wanted[name], tuple(header.get_shape())
                if expected and shape != expected:
                    raise CheckpointError(f"{path / file}: tensor {name} is {shape}, expected {expected}")
                if types and header.get_dtype() not in types:
                    raise CheckpointError(
                        f"{path / file}: tensor {name} is {header.get_dtype()}; {' or '.join(types)} can be read"
                    )


def read_slice(handle: safe_open, name: str, path: Path) -> Any:
    """A tensor's shape and type, unread. Raises CheckpointError when the shard doesn't have it."""
    try:
        return handle.get_slice(name)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: tensor {name}: {_line(error)}") from None


def read_tensor(handle: safe_open, name: str, path: Path) -> Tensor:
    """A tensor of an open shard. Raises CheckpointError when the shard doesn't have it."""
    try:
        return handle.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: tensor {name}: {_line(error)}") from None


def stored_dtype(path: Path) -> torch.dtype:
    """The type that holds every weight of a checkpoint exactly: float32 as soon as one is, else the file's.

    Correction biases, which are float32 whatever the rest is, don't count.

    Raises:
        CheckpointError: files that can't be read, no weights, or one of another type than those of `STORED`.
    """
    widest: torch.dtype | None = None
    for file, inside in shard_files(path).items():
        with open_shard(path / file) as handle:
            for name in inside:
                if name.endswith(FLOAT32_NAMES):
                    continue
                dtype = STORED.get(stored := read_slice(handle, name, path / file).get_dtype())
                if dtype is None:
                    raise CheckpointError(
                        f"{path / file}: tensor {name} is {stored}; {' or '.join(STORED)} can be read"
                    )
                widest = dtype if widest is None else torch.promote_types(widest, dtype)
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
        CheckpointError: a configuration that can't be, a tensor that is missing, extra, of the wrong shape or type, or
            in a corrupted file.
    """
    path = Path(path)
    config = load_config(path)
    if config.quantization_config is not None:
        raise CheckpointError(f"{path}: quantized; load it with k2model.formats.int4_checkpoint")
    if (path / MANIFEST).exists():
        verify_manifest(path)
    files = shard_files(path)
    check_names(path, config, files)
    whole = named_tensors(meta_model(config, path))
    check_tensors(path, files, {name: (tuple(tensor.shape), tuple(STORED)) for name, tensor in whole})
    model = meta_model(config, path, parallel)
    allocate(model, path, device)
    model.to(dtype or stored_dtype(path))
    for gate in model.gates():
        gate.e_score_correction_bias = gate.e_score_correction_bias.float()
    targets = dict(named_tensors(model))
    for file, inside in files.items():
        with open_shard(path / file) as handle:
            for name in inside:
                if name in targets:  # else an expert of another rank
                    targets[name].copy_(read_tensor(handle, name, path / file))
    return model
