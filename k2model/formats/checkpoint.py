"""Checkpoints in Hugging Face's DeepseekV3 layout: `config.json`, sharded safetensors, an index, a manifest.

In memory the experts of a layer are three stacked tensors; in a checkpoint each expert is three matrices named
`model.layers.L.mlp.experts.E.{gate,up,down}_proj.weight`.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError, NotFiniteError
from k2model.expert_parallel import ExpertParallel, mark_experts, spread_experts
from k2model.files import mode_of_folder, write_atomic
from k2model.formats.encodings import (
    Parts,
    Plain,
    Wanted,
    check_headers,
    encoding_of,
    read_parts,
    widest_type,
    without_extras,
)
from k2model.formats.reference import weights_folder
from k2model.formats.shards import (
    INDEX,
    MANIFEST,
    StoredTensor,
    one_line,
    read_headers,
    read_json,
    verify_manifest,
    write_manifest,
)
from k2model.model import K2Model
from k2model.moe import Experts

Filled = Callable[[str, nn.Parameter], None]

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
DEEPSEEK_V2 = {
    "first_k_dense_replace": 0,
    "n_shared_experts": 2,
    "routed_scaling_factor": 1.0,
    "rope_theta": 10000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name in a checkpoint, view of the tensor) in a fixed order; stacked experts come as one matrix each.

    Of a network whose experts are spread over ranks, those that are here.
    """
    for name, tensor, held in stored_tensors(model):
        yield from unstacked(name, tensor, held)


def stored_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor, range | None]]:
    """(name in a checkpoint, parameter or buffer, numbers of the experts that are stacked in it)."""
    stacked = {
        f"{prefix}.{name}": module.held
        for prefix, module in model.named_modules()
        if isinstance(module, Experts)
        for name in ("gate_proj", "up_proj", "down_proj")
    }
    for name in model.state_dict():
        path, _, last = name.rpartition(".")
        tensor = getattr(model.get_submodule(path), last)
        # AutoEP's name for the router of a layer whose experts are spread over ranks.
        yield name.replace(".mlp.router.", ".mlp.gate."), tensor, stacked.get(name)


def unstacked(name: str, stack: Tensor, held: range | None) -> Iterator[tuple[str, Tensor]]:
    """The matrices of stacked experts under the names that a checkpoint has for them; another tensor as it is."""
    if held is None:
        yield name, stack
        return
    prefix, _, short = name.rpartition(".")
    for expert, matrix in zip(held, stack.unbind(0), strict=True):
        yield f"{prefix}.{expert}.{short}.weight", matrix


def in_file_type(tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor on the CPU in the type of the file); correction biases stay float32."""
    for name, tensor in tensors:
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


def save_checkpoint(
    model: K2Model,
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = 4 * 2**30,
    files: Mapping[str, str] | None = None,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Writes a whole checkpoint to `path` (replaced at once when it exists): weights and configuration.

    `k2model.formats.model_folder.save_model_folder` writes one that stands alone.

    Args:
        dtype: of the weights in the file, that in memory by default; correction biases stay float32.
        max_shard_bytes: a shard is closed before it would exceed this.
        files: names and texts of what else the folder holds.
        tensors: all of the network's, taken one by one; by default what `model` holds.

    Raises:
        NotFiniteError: a weight isn't finite; nothing is written.
    """
    config = model.config.to_hf_dict() | {"dtype": str(dtype or model.lm_head.weight.dtype).removeprefix("torch.")}
    given = in_file_type(named_tensors(model) if tensors is None else tensors, dtype)
    write_checkpoint(path, given, config, max_shard_bytes=max_shard_bytes, files=files)


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
            mode_of_folder(names[-1])
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
    """The configuration of a checkpoint, what it leaves out as in transformers' DeepseekV3 or DeepseekV2.

    Raises:
        CheckpointError: no readable `config.json`, or a configuration that can't be; names the file and the key.
    """
    file = Path(path) / "config.json"
    value = read_json(file)
    left_out = DEEPSEEK_V2 if value.get("model_type") == "deepseek_v2" else DEEPSEEK_V3
    try:
        value = left_out | value
        if value["routed_scaling_factor"] is None:
            raise ConfigError("routed_scaling_factor: None is no number")
        return K2Config.from_dict(value)
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from None


def meta_model(config: K2Config, path: Path) -> K2Model:
    """A network without memory. Raises CheckpointError for sizes that no memory has."""
    try:
        with torch.device("meta"):
            return K2Model(config)
    except (RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path / 'config.json'}: sizes that no network has: {one_line(error)}") from None


def allocate(model: K2Model, path: Path, device: str | torch.device = "cpu") -> None:
    """Gives a network of `meta_model` memory. Raises CheckpointError when there isn't so much."""
    try:
        # As `to_empty`, whose `empty_like` of a tensor without memory imports sympy: half a second.
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device=device))
    except RuntimeError as error:
        raise CheckpointError(f"{path / 'config.json'}: sizes beyond this memory: {one_line(error)}") from None


def check_names(path: Path, config: K2Config, headers: Collection[str]) -> None:
    """Raises CheckpointError when `config` has more matrices than the files have tensors.

    Before a network is made of it, since a wrong number of layers or experts would make one without end.
    """
    least = config.num_hidden_layers + 3 * config.num_moe_layers * config.n_routed_experts
    if least > len(headers):
        raise CheckpointError(
            f"{path}: num_hidden_layers {config.num_hidden_layers} and n_routed_experts {config.n_routed_experts} in "
            f"config.json: tensors are missing, there are {len(headers)}"
        )


@dataclass(frozen=True)
class Stored:
    """A folder whose tensors are those of its configuration, none of them read yet.

    Attributes:
        path: of the folder. shards: of the one that its weights are in, as a rule the same.
        config: of the network in memory, which is not quantized.
        wanted: the parts that each tensor of the network is stored in.
    """

    path: Path
    shards: Path
    config: K2Config
    encoding: Plain
    headers: dict[str, StoredTensor]
    wanted: dict[str, Wanted]

    @property
    def dtype(self) -> torch.dtype:
        """The type that holds every weight: float32 as soon as one is, else the file's; FP8 and INT4 are bfloat16.

        Correction biases, which are float32 whatever the rest is, don't count.
        """
        return widest_type(self.headers, FLOAT32_NAMES, self.shards)

    def read(self, names: Collection[str]) -> Iterator[tuple[str, Parts]]:
        """(tensor of the network, its parts) of `names`; an expert of another rank isn't among them."""
        return read_parts(self.shards, self.headers, self.wanted, names)

    @torch.no_grad()
    def load(
        self,
        dtype: torch.dtype,
        device: str | torch.device = "cpu",
        parallel: ExpertParallel | None = None,
        filled: Filled | None = None,
    ) -> K2Model:
        """The network in memory, as numbers of `dtype`; correction biases are float32.

        Memory is taken as it is written to: who takes a parameter away once it is `filled` never holds them all.
        """
        model = meta_model(self.config, self.path).to(dtype)
        if parallel:
            spread_experts(model, parallel)
        allocate(model, self.path, device)
        if parallel:
            mark_experts(model, parallel)
        widen_biases(model)
        targets: dict[str, Tensor] = {}
        whole: dict[str, tuple[str, Tensor]] = {}
        for stored, tensor, held in stored_tensors(model):
            for name, part in unstacked(stored, tensor, held):
                targets[name], whole[name] = part, (stored, tensor)
        left = Counter(stored for stored, _ in whole.values())
        for name, parts in self.read(list(targets)):
            self.encoding.decode(name, parts, targets.pop(name))
            stored, tensor = whole.pop(name)
            left[stored] -= 1
            if filled and not left[stored] and isinstance(tensor, nn.Parameter):
                filled(stored, tensor)
        return model


def open_stored(path: Path, parallel: ExpertParallel | None = None, say: Callable[[str], None] = print) -> Stored:
    """Checks all of a folder that can be checked before memory is taken for it.

    Args:
        parallel: its ranks share the verification of hashes, and the first speaks.

    Raises:
        CheckpointError: as for `load_checkpoint`.
    """
    path = Path(path)
    config = load_config(path)
    encoding = encoding_of(config.quantization_config, path)
    if (path / MANIFEST).exists():
        verify_manifest(path, parallel)
    folder = weights_folder(path, parallel)
    quiet = parallel is not None and parallel.rank > 0
    headers = without_extras(read_headers(folder), config.num_hidden_layers, path, _silent if quiet else say)
    config = config.replace(quantization_config=None)
    check_names(path, config, headers)
    whole = named_tensors(meta_model(config, path))
    wanted = {name: encoding.parts(name, tuple(tensor.shape), headers) for name, tensor in whole}
    check_headers(folder, headers, wanted)
    return Stored(path, folder, config, encoding, headers, wanted)


def _silent(line: str) -> None:
    pass


def load_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    parallel: ExpertParallel | None = None,
    say: Callable[[str], None] = print,
    filled: Filled | None = None,
) -> K2Model:
    """Loads a checkpoint tensor by tensor from memory-mapped files; the model is in memory once.

    FP8 and INT4 weights become numbers of `dtype`: bfloat16(q · s) of INT4, w · s of FP8.

    Args:
        dtype: of the loaded weights; by default `Stored.dtype`. Correction biases are always float32.
        parallel: load only the experts that this rank holds; all its ranks must call.
        say: is told in one line what is left out.
        filled: is given each parameter, with its name, as soon as it is read.

    Raises:
        CheckpointError: a configuration that can't be, a tensor that is missing, extra, of the wrong shape or type, or
            in a corrupted file; a reference to a folder that moved or changed.
    """
    stored = open_stored(path, parallel, say)
    return stored.load(dtype or stored.dtype, device, parallel, filled)


def widen_biases(model: K2Model) -> None:
    """Makes the routers' correction biases float32 again after a change of the model's type."""
    for gate in model.gates():
        if gate.e_score_correction_bias is not None:
            gate.e_score_correction_bias = gate.e_score_correction_bias.float()
