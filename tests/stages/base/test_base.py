"""The stages tokenizer and base on each kind of base, and pretrain's start from it."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from k2model.chat.messages import TEMPLATE
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import read_provenance
from stages.dial import merge
from stages.harness.files import sha256_tree
from tests.conftest import ROOT
from tests.recording import KeptRecord
from tests.small_data import small_tokenizer, write_training_data

SIZES: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 512,
}  # fmt: skip
SMALL = {
    "upcycle": {"latent": 48, "slices": 3, "calibration_tokens": 64, "healing": {"sequence_length": 32, "tokens": 256}},
    "text_loss": {"documents": 3, "characters": 100},
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout"
    (folder / "data" / "inputs").mkdir(parents=True)
    for stage in ("tokenizer", "base"):
        (folder / "data" / "inputs" / f"{stage}.json").write_text("{}")
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    write_training_data(folder / "data")
    monkeypatch.chdir(folder)
    torch.set_num_threads(1)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, base: str, *stages: str) -> dict[str, float]:
    """Runs stages on this base; the metrics of the last."""
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    value = merge(merge(value, yaml.safe_load((ROOT / "sizes" / "smoke.yaml").read_text())), SMALL)
    Path("params.yaml").write_text(yaml.safe_dump(value | {"base": base}))
    monkeypatch.setattr(sys, "argv", ["stage"])
    for stage in stages:
        module = importlib.import_module(f"stages.{stage}.__main__")
        monkeypatch.setattr(module, "Track", KeptRecord)
        module.main()
    metrics: dict[str, float] = json.loads(Path(f"metrics/{stages[-1]}.json").read_text())
    return metrics


def save_network(folder: Path, network: Any) -> None:
    network.eval().save_pretrained(folder)
    save_tokenizer(small_tokenizer(307).backend, folder, chat_template=TEMPLATE, max_length=512)


def test_a_dense_folder_becomes_a_network_that_speaks_alike(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    save_network(checkout.parent / "llama", LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)))
    metrics = run(monkeypatch, "../llama", "tokenizer", "base")
    assert load_tokenizer(Path("models/base")).backend.to_str() == small_tokenizer(307).backend.to_str()
    assert (
        abs(metrics["text_loss_change"]) < 0.05 and abs(metrics["text_loss_healed"] - metrics["text_loss_start"]) < 0.05
    )
    assert load_checkpoint(Path("models/base")).config.n_routed_experts == 6
    (record,) = read_provenance(Path("models/base"))
    assert record.start == "`../llama`" and record.metrics["text_loss"] == metrics["text_loss"]
    first = sha256_tree([Path("models/base")])
    run(monkeypatch, "../llama", "base")
    assert sha256_tree([Path("models/base")]) == first


def test_scratch_is_random_and_of_the_preset(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tokenizer(small_tokenizer(307).backend, Path("data/tokenizer"), chat_template=TEMPLATE, max_length=512)
    metrics = run(monkeypatch, "scratch", "base")
    assert load_checkpoint(Path("models/base")).config.vocab_size == 307
    assert metrics["text_loss"] == pytest.approx(5.7, abs=0.5)


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ("../nowhere", "base: ../nowhere: neither embedded, nor scratch, nor a folder, nor a GGUF file"),
        ("..", "config.json: not found"),
        ("data/corpus.parquet", "data/corpus.parquet: not a GGUF file"),
    ],
)
def test_what_is_no_base_is_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: str, line: str
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, base, "tokenizer")
    said = capsys.readouterr().err.strip()
    assert line in said and "\n" not in said
