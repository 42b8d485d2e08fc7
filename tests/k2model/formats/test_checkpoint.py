"""Checkpoints that can't be loaded: one line that names the tensor or the file; and how much memory loading takes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from k2model.config import K2Config
from k2model.errors import CheckpointError
from k2model.formats.checkpoint import load_checkpoint, save_checkpoint
from k2model.formats.shards import INDEX, MANIFEST
from k2model.model import K2Model

torch.set_num_threads(1)
NAME = "model.layers.1.mlp.experts.3.up_proj.weight"
Change = Callable[[dict[str, torch.Tensor]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(K2Model(K2Config.preset("smoke"), seed=1), tmp_path / "m")
    (tmp_path / "m" / MANIFEST).unlink()  # as a checkpoint from elsewhere, which has none
    return tmp_path / "m"


def _change(folder: Path, change: Change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _missing(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[NAME]


def _extra(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.9.self_attn.o_proj.weight"] = torch.zeros(2)


def _shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors[NAME] = tensors[NAME].T.contiguous()[:, :-1].contiguous()


CHANGES = pytest.mark.parametrize(
    ("change", "message"),
    [
        (_missing, rf"tensor {NAME} is missing"),
        (_extra, r"tensor model\.layers\.9\.self_attn\.o_proj\.weight is not part of this network"),
        (_shape, rf"tensor {NAME} is \(64, 63\), expected \(64, 64\)"),
    ],
)


@CHANGES
def test_a_wrong_tensor_is_named(folder: Path, change: Change, message: str) -> None:
    _change(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [4, 100, -1000])
def test_a_file_cut_short_is_named(folder: Path, cut: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: corrupted") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_found_by_the_manifest(tmp_path: Path) -> None:
    save_checkpoint(K2Model(K2Config.preset("smoke")), tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: corrupted \(sha256"):
        load_checkpoint(tmp_path / "m")


def test_a_missing_shard_and_a_broken_index_are_named(tmp_path: Path) -> None:
    save_checkpoint(K2Model(K2Config.preset("smoke")), tmp_path / "m", max_shard_bytes=200_000)
    (tmp_path / "m" / MANIFEST).unlink()
    index = tmp_path / "m" / INDEX
    value = json.loads(index.read_text())
    first = next(iter(value["weight_map"]))
    del value["weight_map"][first]
    index.write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match=f"tensor {first} is missing"):
        load_checkpoint(tmp_path / "m")
    shards = sorted((tmp_path / "m").glob("model-*.safetensors"))
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"{shards[1].name}: missing"):
        load_checkpoint(tmp_path / "m")
    index.write_text("{")
    with pytest.raises(CheckpointError, match=INDEX):
        load_checkpoint(tmp_path / "m")


def test_an_index_that_names_a_tensor_its_shard_lacks(tmp_path: Path) -> None:
    save_checkpoint(K2Model(K2Config.preset("smoke")), tmp_path / "m", max_shard_bytes=200_000)
    (tmp_path / "m" / MANIFEST).unlink()
    index = tmp_path / "m" / INDEX
    value = json.loads(index.read_text())
    files = sorted(set(value["weight_map"].values()))
    name = next(key for key, file in value["weight_map"].items() if file == files[0])
    value["weight_map"][name] = files[1]
    index.write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / "m")


def test_a_checkpoint_survives_the_round_trip_bit_by_bit(tmp_path: Path) -> None:
    model = K2Model(K2Config.preset("smoke"), seed=5)
    with torch.no_grad():
        model.gates()[0].e_score_correction_bias.normal_()
    save_checkpoint(model, tmp_path / "m", max_shard_bytes=100_000)
    again = load_checkpoint(tmp_path / "m")
    for (name, a), (_, b) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    low = load_checkpoint(tmp_path / "m", dtype=torch.bfloat16)
    assert low.lm_head.weight.dtype == torch.bfloat16
    assert torch.equal(low.gates()[0].e_score_correction_bias, model.gates()[0].e_score_correction_bias)


MEASURE = """
import sys
from pathlib import Path
from k2model.formats.checkpoint import load_checkpoint
def private():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_Dirty"))
load_checkpoint(Path(sys.argv[2]))
before = private()
model = load_checkpoint(Path(sys.argv[1]))
size = sum(p.nbytes for p in model.parameters()) / 1024
print((private() - before) / size, size)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux only")
def test_the_model_is_in_memory_once(tmp_path: Path) -> None:
    save_checkpoint(K2Model(K2Config.preset("smoke")), tmp_path / "small")
    save_checkpoint(K2Model(K2Config.preset("laptop")), tmp_path / "large")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large"), str(tmp_path / "small")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    ratio, size = map(float, run.stdout.split())
    assert size > 50_000  # kB
    assert ratio < 1.3
