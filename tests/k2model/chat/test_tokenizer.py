"""The tokenizer folder as `transformers.AutoTokenizer` reads it."""

from pathlib import Path

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
