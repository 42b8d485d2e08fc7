"""`tiktoken.model` as Kimi K2 and Moonlight publish it, against tiktoken's algorithm written out slowly."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from k2model.chat.byte_level import byte_of_character
from k2model.chat.tiktoken_file import read_tiktoken
from k2model.chat.tokenizer import MARKERS, SPECIAL, K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.errors import ConfigError

TEXTS = [
    "The cat's hat. I'LL go, we'Ve 12345 ships and 3.50 km! newlines\n\nin   between\t\r\n" * 10,
    "Überraschung: naïve CamelCase HTTPServer XMLHttpRequest ÉCOLE — 日本語の漢字かな交じり 中文English混合 한국어 "
    * 10,
    "aaaaaaa ababababab xxxxxxxxx      \n      def f(x):\n        return x**2  # ????!!!!" * 10,
]
# The published pattern, word for word (K2's `tokenization_kimi.py`), for the `regex` package.
PATTERN = regex.compile(
    r"[\p{Han}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+",
    regex.VERSION1,
)
# Ids of the released tokenizer, as distances from the first reserved one.
PUBLISHED = {
    0: "[BOS]",
    1: "[EOS]",
    2: "<|im_end|>",
    3: "<|im_user|>",
    4: "<|im_assistant|>",
    9: "[EOT]",
    10: "<|im_system|>",
    11: "<|tool_calls_section_begin|>",
    12: "<|tool_calls_section_end|>",
    13: "<|tool_call_begin|>",
    14: "<|tool_call_argument_begin|>",
    15: "<|tool_call_end|>",
    17: "<|im_middle|>",
    22: "<think>",
    23: "</think>",
    254: "[UNK]",
    255: "[PAD]",
}


def _ranks() -> list[bytes]:
    table, tokenizer = byte_of_character(), train_tokenizer(TEXTS, 470)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    names = (*SPECIAL, *MARKERS)
    return [bytes(table[character] for character in piece) for piece, _ in vocabulary if piece not in names]


def _write(folder: Path, ranks: list[bytes], named: dict[int, str] = PUBLISHED) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(ranks)]
    (folder / "tiktoken.model").write_text("".join(lines))
    entries = {
        str(len(ranks) + place): {"content": name, "special": name not in MARKERS} for place, name in named.items()
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": entries}))
    return folder


@pytest.fixture(scope="module")
def ranks() -> list[bytes]:
    return _ranks()


@pytest.fixture(scope="module")
def kimi(ranks: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> K2Tokenizer:
    return load_tokenizer(_write(tmp_path_factory.mktemp("kimi"), ranks))


def _slowly(text: str, ranks: list[bytes]) -> list[int]:
    """tiktoken: a word that is a token is taken whole, else the pair of lowest rank, leftmost, is joined."""
    number = {token: rank for rank, token in enumerate(ranks)}
    ids = []
    for word in PATTERN.findall(text):
        raw = word.encode()
        parts = [raw] if raw in number else [bytes([byte]) for byte in raw]
        while True:
            pairs = [
                (number[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:], strict=False)) if a + b in number
            ]
            if not pairs:
                break
            _, i = min(pairs)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        ids += [number[part] for part in parts]
    return ids


AWKWARD = [
    *TEXTS,
    "",
    " ",
    "\n",
    "\r\n\r\n  \t x",
    "中文English混合",
    "漢字　全角スペース、句読点。",
    "北京市 Pascal々〆〇ヶ",
    "don't DON'T we'LL 'tis 'S x's's",
    "1234567 ١٢٣٤ ½ ⅷ 12a34",
    "e\u0301 cafe\u0301 A\u030aBC \u0301start",
    "ǅungla ʰh ªº 𝒜𝓑c ﬁx",
    "👩‍👩‍👧‍👦 🇩🇪!!\n\n?? ...\r\n",
    "a\u00a0b\u2003c\u200bd\ufeffe\u0085f\u2028g",
    "<|im_end|> [BOS] <think> <|reserved_token_600|>",
    "\x00\x01\x7f\ud7ff\ue000\U0010ffff",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_ids_are_tiktokens(kimi: K2Tokenizer, ranks: list[bytes], text: str) -> None:
    assert kimi.encode(text) == _slowly(text, ranks)
    assert kimi.decode(kimi.encode(text)) == text


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab '\n\tsSXé漢字か1,.\u0301x") | st.characters(codec="utf-8"), max_size=30))
def test_ids_of_any_text_are_tiktokens(kimi: K2Tokenizer, ranks: list[bytes], text: str) -> None:
    assert kimi.encode(text) == _slowly(text, ranks)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=2, max_size=5).map(lambda b: bytes(97 + x % 2 for x in b)), unique=True, max_size=25)
)
def test_any_ranks_join_as_in_tiktoken(tmp_path_factory: pytest.TempPathFactory, tokens: list[bytes]) -> None:
    ranks = [*(bytes([byte]) for byte in range(256)), *tokens]
    kimi = load_tokenizer(_write(tmp_path_factory.mktemp("any"), ranks))
    for text in ("abbabaab" * 3, "aaaaaaaaaaa", "ababababababab", "bbbabbbabbaabb"):
        assert kimi.decode(kimi.encode(text)) == text
        assert kimi.encode(text) == _slowly(text, ranks)


def test_reserved_ids_and_markers_are_the_published_ones(kimi: K2Tokenizer, ranks: list[bytes]) -> None:
    first = len(ranks)
    assert kimi.vocab_size == first + 256
    assert {kimi.special[name]: name for name in (*SPECIAL, *MARKERS)} == {
        first + place: name for place, name in PUBLISHED.items()
    }
    assert kimi.backend.id_to_token(first + 100) == f"<|reserved_token_{first + 100}|>"
    assert kimi.encode("<|im_end|>", parse_special=True) == [first + 2]
    marked = [first + 22, *kimi.encode("why"), first + 23, first + 2]
    assert kimi.decode(marked, skip_special=True) == "<think>why</think>"


def test_the_folder_that_is_written_gives_auto_tokenizer_the_same_ids(kimi: K2Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(kimi.backend, tmp_path, chat_template="", max_length=64)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in AWKWARD[:-2]:
        assert theirs(text, add_special_tokens=False)["input_ids"] == kimi.encode(text, parse_special=True)
        assert load_tokenizer(tmp_path).encode(text) == kimi.encode(text)


BAD: list[tuple[bytes, str]] = [
    (b"", "no tokens"),
    (b"YQ== 0\nYg==\n", "line 2"),
    (b"YQ== 0\nYg== 2\n", "rank 2 is there twice, or one below it is missing"),
    (b"YQ== 0\nYg== 1\nYw== 1\n", "rank 1 is there twice, or one below it is missing"),
    (b"YQ== 0\nYg== 0\n", "rank 0 is there twice"),
    (b"YQ== 0\nYg== -1\n", "line 2: b'Yg== -1' is no new token in base64 with its rank"),
    (b"YQ== 0\nYQ== 1\n", "line 2"),
    (b"YQ== 0\nY 1\n", "line 2"),
    (b"!!!! 0\n", "line 1"),
    (b"YQ== x\n", "line 1"),
    (b"\xff\xfe\n", "line 1"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_a_torn_file_is_one_line_with_its_number(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "tiktoken.model").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tiktoken\.model: ") as caught:
        load_tokenizer(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "No such file"),
        ("{", "no object of ids"),
        ([], "no object of ids"),
        ({"added_tokens_decoder": []}, "no object of ids"),
        ({"added_tokens_decoder": {"x": {"content": "a"}}}, "no object of ids"),
        ({"added_tokens_decoder": {"256": {}}}, "no object of ids"),
        ({"added_tokens_decoder": {"3": {"content": "a"}}}, "3 is outside 256..511"),
        ({"added_tokens_decoder": {"512": {"content": "a"}}}, "512 is outside 256..511"),
        ({"added_tokens_decoder": {"256": {"content": 7}}}, "256: 7 is no token"),
        ({"added_tokens_decoder": {"256": {"content": "a"}, "257": {"content": "a"}}}, "the same content"),
        ({}, "the token [BOS] is missing"),
    ],
)
def test_names_that_can_not_be_are_one_line(tmp_path: Path, config: Any, message: str) -> None:
    _write(tmp_path, [bytes([byte]) for byte in range(256)])
    (tmp_path / "tokenizer_config.json").unlink()
    if config is not None:
        content = config if isinstance(config, str) else json.dumps(config)
        (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_tokenizer(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_order_of_the_lines_does_not_matter(tmp_path: Path, kimi: K2Tokenizer, ranks: list[bytes]) -> None:
    file = _write(tmp_path, ranks) / "tiktoken.model"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\r\n".join([*lines[::2], b"", *lines[1::2]]))
    again = load_tokenizer(tmp_path)
    assert again.backend.to_str() == kimi.backend.to_str()


def test_a_tokenizer_json_beside_it_is_preferred(tmp_path: Path, ranks: list[bytes]) -> None:
    _write(tmp_path, ranks)
    backend = read_tiktoken(tmp_path)
    (tmp_path / "tiktoken.model").write_bytes(b"torn")
    backend.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).vocab_size == len(ranks) + 256
