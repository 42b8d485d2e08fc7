"""The tokenizer folder as `transformers.AutoTokenizer` reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from k2model.chat.tokenizer import MARKERS, SPECIAL, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.errors import ConfigError

TEXTS = ["The cat sat on the mat. 1892 ships, 3.5 km! " * 20, "Überraschung: naïve café — 日本語 " * 20]


def test_auto_tokenizer_gives_the_same_ids_and_special_tokens(tmp_path: Path) -> None:
    save_tokenizer(train_tokenizer(TEXTS, 320), tmp_path / "tok", chat_template="{{ messages }}", max_length=128)
    ours = load_tokenizer(tmp_path / "tok")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "tok")
    for text in [*TEXTS, "a<|im_end|>b", "unseen: §±€"]:
        ids = ours.encode(text, parse_special=True)
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids) == ours.decode(ids) == text
    for token in (*SPECIAL, *MARKERS):
        assert theirs.convert_tokens_to_ids(token) == ours.special[token]
    assert theirs.eos_token_id is not None
    assert ours.encode("a<|im_end|>b") != ours.encode("a<|im_end|>b", parse_special=True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": "1.0"}', b'{"model": {"type": "BPE"}}']
)
def test_a_torn_tokenizer_is_one_line_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tokenizer\.json: no tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def _changed(folder: Path, **parts: Any) -> Path:
    save_tokenizer(train_tokenizer(TEXTS, 320), folder, chat_template="", max_length=128)
    file = folder / "tokenizer.json"
    value = json.loads(file.read_text())
    model = value["model"] | parts.pop("model", {})
    file.write_text(json.dumps(value | {"model": model} | parts))
    return folder


def test_how_transformers_cut_and_filled_its_last_batch_does_not_matter(tmp_path: Path) -> None:
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    fill = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    fill |= {"pad_type_id": 0, "pad_token": "[PAD]"}
    ours = load_tokenizer(_changed(tmp_path, truncation=cut, padding=fill))
    for parse in (False, True):
        assert ours.decode(ours.encode(TEXTS[0], parse_special=parse)) == TEXTS[0]
    assert [ours.decode(ids) for ids in ours.encode_batch(TEXTS)] == TEXTS


def _holes(folder: Path) -> None:
    file = _changed(folder) / "tokenizer.json"
    value = json.loads(file.read_text())
    vocab = value["model"]["vocab"]
    vocab[max(vocab, key=vocab.__getitem__)] += 500
    file.write_text(json.dumps(value))


def test_a_tokenizer_for_which_some_text_has_no_ids_is_refused(tmp_path: Path) -> None:
    _changed(tmp_path / "few", model={"vocab": {"a": 0}, "merges": []})
    with pytest.raises(
        ConfigError, match=r"few/tokenizer\.json: not of bytes: 242 of the bytes of UTF-8 have no token"
    ):
        load_tokenizer(tmp_path / "few")
    pieces = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581the", -1.0]]}
    _changed(tmp_path / "pieces", model=pieces)
    with pytest.raises(ConfigError, match=r"pieces/tokenizer\.json: not of bytes: a token has the character '\u2581'"):
        load_tokenizer(tmp_path / "pieces")
    _holes(tmp_path / "holes")
    with pytest.raises(ConfigError, match=r"holes/tokenizer\.json: 320 tokens have ids up to 8"):
        load_tokenizer(tmp_path / "holes")
