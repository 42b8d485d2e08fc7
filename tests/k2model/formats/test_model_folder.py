"""A model folder alone: transformers talks with it and stops, its card says what made it, its files can be read."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.int4_checkpoint import load_any
from k2model.formats.model_card import DataSource, StageRecord
from k2model.formats.model_folder import PROVENANCE, folder_tokenizer, read_provenance, save_model_folder
from k2model.formats.shards import MANIFEST, verify_manifest
from k2model.model import K2Model

SOURCES = [
    DataSource("world_factbook", "public domain", "12 documents"),
    DataSource("wiki", "CC BY-SA 4.0", "3 documents"),
]
RECORDS = [
    StageRecord(
        "pretrain", "random weights", {"pretrain": {"lr": 0.1}}, SOURCES, {"text_loss": 4.0, "text_loss_per_byte": 1.5}
    ),
    StageRecord(
        "sft",
        "`pretrain`",
        {"sft": {"lr": 0.2}},
        [],
        {"text_loss_start": 4.0, "text_loss": 4.5, "text_loss_per_byte": 1.75, "call_accuracy": 0.25}
        | {"call_accuracy_ci_low": 0.125, "call_accuracy_ci_high": 0.5},
    ),
]  # fmt: skip
FILES = {
    "README.md", "chat_template.jinja", "config.json", "generation_config.json", "manifest.json", "model.safetensors",
    "provenance.json", "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20], 285))


def _model(tokenizer: K2Tokenizer, always: int | None = None) -> K2Model:
    """A small network; with `always` it says this token whatever it reads."""
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, num_hidden_layers=2), seed=1)
    if always is not None:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight", "down_proj")):
                    weight.zero_()
            model.model.embed_tokens.weight[:, 0] = 5.0
            model.lm_head.weight[always] = 0.0
            model.lm_head.weight[always, 0] = 5.0
    return model


@pytest.fixture(params=[0o022, 0o027], ids=["022", "027"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("int4", [False, True])
def test_every_file_has_the_mode_that_the_umask_gives(
    tokenizer: K2Tokenizer, tmp_path: Path, umask: int, int4: bool
) -> None:
    save_model_folder(_model(tokenizer), tmp_path / "m", tokenizer, RECORDS, int4=int4)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "m").iterdir()}
    assert modes == dict.fromkeys(FILES, 0o666 & ~umask)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("int4", [False, True])
def test_the_manifest_covers_all_and_the_same_model_gives_the_same_bytes(
    tokenizer: K2Tokenizer, tmp_path: Path, int4: bool
) -> None:
    for name in "ab":
        save_model_folder(_model(tokenizer), tmp_path / name, tokenizer, RECORDS, int4=int4)
    a, b = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert a == b and set(a) == FILES
    assert set(json.loads(a[MANIFEST])) == FILES - {MANIFEST}
    verify_manifest(tmp_path / "a")
    load_any(tmp_path / "a")


@pytest.mark.parametrize(
    ("last", "int4"), [("<|im_end|>", False), ("<|im_end|>", True), ("[EOS]", False), ("[EOT]", False), ("a", False)]
)
def test_transformers_answers_a_chat_and_stops_at_every_end_token(
    tokenizer: K2Tokenizer, tmp_path: Path, last: str, int4: bool
) -> None:
    (always,) = tokenizer.encode(last, parse_special=True)
    save_model_folder(_model(tokenizer, always), tmp_path / "m", tokenizer, RECORDS, int4=int4)
    model, theirs = (kind.from_pretrained(tmp_path / "m") for kind in (AutoModelForCausalLM, AutoTokenizer))
    messages = [{"role": "user", "content": "the mat?"}]
    asked = theirs.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert asked["input_ids"][0].tolist() == encode_prompt(tokenizer, messages)
    written = model.generate(**asked, max_new_tokens=6)[0, asked["input_ids"].shape[1] :].tolist()
    assert written == [always] * (6 if last == "a" else 1)
    assert (always in load_tokenizer(tmp_path / "m").ends) == (last != "a")


def test_the_card_says_what_made_the_model_and_what_it_scored(tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    save_model_folder(_model(tokenizer), tmp_path / "m", tokenizer, RECORDS)
    card = (tmp_path / "m" / "README.md").read_text()
    for text in (
        "license: other",
        "# A K2 network after the stage `sft`",
        "- world_factbook: 12 documents; licence: public domain",
        "- wiki: 3 documents; licence: CC BY-SA 4.0",
        "2. `sft`, from `pretrain`",
        '"lr": 0.2',
        "| pretrain |  | 4.0000 | 1.5000 |",
        "| sft | 4.0000 | 4.5000 | 1.7500 |",
        "| call accuracy | 0.25 | 0.125 to 0.5 |",
        "| text loss | 4.5 |  |",
        "0.50 nats above its lowest",
        "No safety evaluation",
    ):
        assert text in card, text
    assert read_provenance(tmp_path / "m") == RECORDS


def test_a_folder_without_a_history_has_none_and_a_broken_one_is_one_line(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) == []
    whole = {"stage": "sft", "start": "", "parameters": {}, "data": [], "metrics": {"text_loss": 1.0}}
    wrong = [{"stage": 1}, {"start": None}, {"data": [{"name": "a"}]}, {"metrics": {"a": "b"}}, {"metrics": 3}]
    wrong += [{"more": 1}, {"data": [{"name": "a", "licence": 2, "amount": ""}]}]
    values: list[Any] = [{}, {"stages": 3}, {"stages": [{}]}, {"stages": [{"stage": "sft"}]}, {"stages": [{"data": 1}]}]
    for value in [*values, *({"stages": [whole | change]} for change in wrong)]:
        (tmp_path / PROVENANCE).write_text(json.dumps(value))
        with pytest.raises(CheckpointError, match=r"provenance\.json: no list of the stages that made the model"):
            read_provenance(tmp_path)
        with pytest.raises(CheckpointError, match=r"provenance\.json: no list of the stages that made the model"):
            folder_tokenizer(tmp_path)  # at a stage's start, not at its end


def test_a_tokenizer_that_the_network_has_no_rows_for_is_one_line(tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    save_model_folder(_model(tokenizer), tmp_path / "m", tokenizer, RECORDS)
    assert folder_tokenizer(tmp_path / "m").encode("the mat") == tokenizer.encode("the mat")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"vocab_size": 280}))
    with pytest.raises(ConfigError, match=r"tokenizer\.json: 285 tokens; the network has 280"):
        folder_tokenizer(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"tokenizer\.json: not found"):
        folder_tokenizer(tmp_path / "m")


def test_another_template_is_named_and_not_used(tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    save_model_folder(_model(tokenizer), tmp_path / "m", tokenizer, RECORDS)
    said: list[str] = []
    folder_tokenizer(tmp_path / "m", said.append)
    assert said == []
    template = tmp_path / "m" / "chat_template.jinja"
    template.write_text(template.read_text().replace("## Return of", "## Result of"))
    folder_tokenizer(tmp_path / "m", said.append)
    own = f"{tmp_path / 'm'}: its chat template renders otherwise (a call and its result)"
    assert said == [f"{own}; K2's format is used in its place"]


def test_what_is_read_is_what_was_written(tokenizer: K2Tokenizer, tmp_path: Path) -> None:
    model = _model(tokenizer)
    save_model_folder(model, tmp_path / "m", tokenizer, RECORDS, dtype=torch.bfloat16)
    tokens = torch.arange(2, 20)[None]
    read = load_checkpoint(tmp_path / "m", dtype=torch.float32)
    with torch.no_grad():
        ours, theirs = model(tokens).logits_BLV, read(tokens).logits_BLV
    assert ours is not None and theirs is not None
    assert torch.allclose(ours, theirs, atol=0.2)
