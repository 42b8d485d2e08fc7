"""A published folder of K2's layout as the base: copied with K2's tokens in it, or referred to when too large."""

import importlib
import json
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import AddedToken

from k2model.chat.messages import TEMPLATE
from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import K2Tokenizer, save_tokenizer
from k2model.formats.checkpoint import load_checkpoint, load_config
from k2model.formats.model_folder import folder_tokenizer, read_provenance
from k2model.formats.reference import REFERENCE
from stages.dial import merge
from tests.conftest import ROOT
from tests.k2model.formats.layouts import make
from tests.recording import KeptRecord
from tests.small_data import small_tokenizer, write_training_data

base = importlib.import_module("stages.base.__main__")
OWN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<unused_1>")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline after its tokenizer stage; the base has V2-Lite's layout and Qwen's kind of vocabulary."""
    folder = tmp_path / "checkout"
    (folder / "data" / "inputs").mkdir(parents=True)
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    value = merge(value, yaml.safe_load((ROOT / "sizes" / "smoke.yaml").read_text())) | {"base": "../published"}
    (folder / "params.yaml").write_text(yaml.safe_dump(value))
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (folder / "data" / "inputs" / "base.json").write_text("{}")
    write_training_data(folder / "data")
    own = small_tokenizer(307).backend
    value = json.loads(own.to_str()) | {"added_tokens": []}
    own = type(own).from_str(json.dumps(value))
    own.add_tokens([AddedToken(name, special=name.startswith("<|"), normalized=False) for name in OWN])
    make("v2-lite", tmp_path / "published", vocab_size=own.get_vocab_size(), max_position_embeddings=2048)
    own.save(str(tmp_path / "published" / "tokenizer.json"))
    seated, _ = seat_special_tokens(own)
    save_tokenizer(seated.backend, folder / "data" / "tokenizer", chat_template=TEMPLATE, max_length=256)
    torch.set_num_threads(1)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(base, "Track", KeptRecord)
    return folder


def test_a_folder_is_copied_with_a_row_for_every_token(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base.main()
    out, before = checkout / "models" / "base", load_checkpoint(checkout.parent / "published")
    model, tokenizer = load_checkpoint(out), folder_tokenizer(out)
    rows, old = tokenizer.vocab_size, before.config.vocab_size
    assert rows == old + 12 - 1  # K2's 17, of which Qwen has 5 by another or the same name; one takes an unused place
    assert len(model.lm_head.weight) == len(model.model.embed_tokens.weight) == model.config.vocab_size == rows
    unused = tokenizer.special["<|im_user|>"]
    assert unused == old - 1
    kept = [number for number in range(old) if number != unused]
    for name, tensor in before.state_dict().items():
        changed = model.state_dict()[name]
        is_row = name.endswith(("embed_tokens.weight", "lm_head.weight"))
        assert torch.equal(changed[kept], tensor[kept]) if is_row else torch.equal(changed, tensor), name
    assert model.state_dict()["lm_head.weight"][old:].norm(dim=1).min() > 0
    assert (model.config.bos_token_id, model.config.eos_token_id) == (tokenizer.bos, tokenizer.eos)
    metrics = json.loads((checkout / "metrics" / "base.json").read_text())
    assert metrics["new_tokens"] == 12
    assert metrics["fit_loss"] < metrics["fit_loss_start"]
    assert metrics["text_loss"] > 0
    (record,) = read_provenance(out)
    assert record.stage == "base"
    assert "nats per token of held-out text" in capsys.readouterr().out


def test_a_folder_too_large_to_copy_stays_where_it_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make("v2-lite", checkout.parent / "published", vocab_size=400, max_position_embeddings=2048)
    monkeypatch.setattr(base, "stays", lambda folder: True)
    base.main()
    out = checkout / "models" / "base"
    assert (out / REFERENCE).exists()
    assert not list(out.glob("*.safetensors"))
    assert "which stay where they are" in capsys.readouterr().out
    tokenizer = folder_tokenizer(out)
    assert isinstance(tokenizer, K2Tokenizer)
    assert load_config(out).eos_token_id == tokenizer.eos
    theirs = load_checkpoint(checkout.parent / "published")
    assert torch.equal(load_checkpoint(out).lm_head.weight, theirs.lm_head.weight)


def test_too_large_and_without_rows_for_the_new_tokens_is_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(base, "stays", lambda folder: True)
    with pytest.raises(SystemExit):
        base.main()
    assert "tokens; the network has" in capsys.readouterr().err


def test_half_of_the_memory_decides(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.base import published

    assert not published.stays(checkout.parent / "published")
    monkeypatch.setattr(published, "LARGEST_SHARE", 1e-9)
    assert published.stays(checkout.parent / "published")
