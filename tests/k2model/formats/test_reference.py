"""A model folder whose weights stay elsewhere: followed, checked, and one line when they moved or changed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.errors import CheckpointError, ConfigError
from k2model.formats import reference, shards
from k2model.formats.checkpoint import load_checkpoint, load_config, open_stored
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_folder import folder_tokenizer, save_reference_folder
from k2model.formats.reference import REFERENCE, write_reference
from k2model.formats.shards import MANIFEST
from tests.k2model.formats.layouts import logits, make


@pytest.fixture
def base(tmp_path: Path) -> tuple[Path, Path]:
    """(the folder with the weights, the folder that refers to it)."""
    make("v2-lite", tmp_path / "there")
    here = tmp_path / "models" / "base"
    here.mkdir(parents=True)
    shutil.copy(tmp_path / "there" / "config.json", here)
    write_reference(here, tmp_path / "there")
    return tmp_path / "there", here


def test_a_reference_is_followed_with_its_own_configuration(base: tuple[Path, Path]) -> None:
    there, here = base
    assert not list(here.glob("*.safetensors"))
    config = json.loads((here / "config.json").read_text())
    (here / "config.json").write_text(json.dumps(config | {"eos_token_id": 7}))
    model = load_checkpoint(here)
    assert load_config(here).eos_token_id == model.config.eos_token_id == 7
    assert torch.equal(logits(model), logits(load_checkpoint(there)))
    assert torch.equal(logits(load_any(here)), logits(model))
    assert open_stored(here).dtype == torch.float32


def _hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    sha256_file = shards.sha256_file

    def counted(path: Path) -> str:
        names.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(shards, "sha256_file", counted)
    return names


def test_hashes_are_checked_where_a_file_was_written_to_and_only_there(
    base: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = base
    hashed = _hashed(monkeypatch)
    load_checkpoint(here)
    assert hashed == []
    os.utime(there / "model.safetensors", ns=(1, 1))  # as on another machine
    load_checkpoint(here)
    assert hashed == ["model.safetensors"]


def _moved(there: Path, here: Path) -> None:
    there.rename(there.with_name("elsewhere"))


def _longer(there: Path, here: Path) -> None:
    with (there / "model.safetensors").open("ab") as handle:
        handle.write(b"x")


def _flipped(there: Path, here: Path) -> None:
    content = bytearray((there / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (there / "model.safetensors").write_bytes(content)


def _gone(there: Path, here: Path) -> None:
    (there / "model.safetensors").unlink()


def _says(**changes: Any) -> Any:
    def change(there: Path, here: Path) -> None:
        value = json.loads((here / REFERENCE).read_text())
        (here / REFERENCE).write_text(json.dumps(value | changes))

    return change


def _no_json(there: Path, here: Path) -> None:
    (here / REFERENCE).write_text("{")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_moved, "there: the folder with the weights is not there; it moved or was removed"),
        (_longer, "model.safetensors: changed, it has"),
        (_flipped, "model.safetensors: corrupted (sha256 differs from base.json)"),
        (_gone, "model.safetensors: No such file or directory"),
        (_no_json, "base.json: not JSON"),
        (_says(path=3), "base.json: path: 3 is no text"),
        (_says(path="a\0b"), "base.json"),
        (_says(files=[]), "base.json: files: no object"),
        (_says(files={"model.safetensors": 1}), "base.json: model.safetensors: 1 is no object"),
        (_says(files={"../x": {}}), "'../x' is no name of a file in this folder"),
        (_says(files={"config.json": {}}), "config.json: changed, it has"),
    ],
)
def test_what_moved_or_changed_is_one_line(base: tuple[Path, Path], change: Any, message: str) -> None:
    there, here = base
    change(there, here)
    for load in (load_checkpoint, load_any):
        with pytest.raises(CheckpointError) as caught:
            load(here)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_reference_to_a_reference_names_the_weights(base: tuple[Path, Path], tmp_path: Path) -> None:
    there, here = base
    write_reference(tmp_path, here)
    assert json.loads((tmp_path / REFERENCE).read_text())["path"] == str(there)


def test_nothing_is_hashed_twice_to_serve_what_was_written_to(
    base: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = base
    os.utime(there / "model.safetensors", ns=(1, 1))
    hashed = _hashed(monkeypatch)
    load_any(here)
    assert hashed == ["model.safetensors"]


def test_a_reference_needs_shards(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        write_reference(tmp_path, tmp_path)
    assert not (tmp_path / reference.REFERENCE).exists()


def test_a_folder_with_a_tokenizer_stands_beside_the_weights_and_is_known_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("v3", tmp_path / "there", vocab_size=320)
    tokenizer = K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20, "naïve café " * 20], 290))
    here = tmp_path / "base"
    save_reference_folder(tmp_path / "there", here, tokenizer, [])
    assert {path.name for path in here.iterdir()} >= {"config.json", "tokenizer.json", REFERENCE, MANIFEST}
    assert folder_tokenizer(here).special == tokenizer.special
    model = load_checkpoint(here)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (tokenizer.bos, tokenizer.eos)
    assert torch.equal(logits(model), logits(load_checkpoint(tmp_path / "there")))
    value = json.loads((here / REFERENCE).read_text())
    value["files"]["model.safetensors"]["sha256"] = "0" * 64
    (here / REFERENCE).write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match=r"base\.json: corrupted \(sha256 differs from manifest\.json\)"):
        load_checkpoint(here)


def test_more_tokens_than_rows_can_not_stay_elsewhere(tmp_path: Path) -> None:
    make("v3", tmp_path / "there")
    tokenizer = K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20], 280))
    with pytest.raises(ConfigError, match=r"tokenizer\.json: 280 tokens; the network has 256"):
        save_reference_folder(tmp_path / "there", tmp_path / "base", tokenizer, [])
    assert not (tmp_path / "base").exists()
