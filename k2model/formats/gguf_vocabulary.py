"""A tokenizer as llama.cpp has it: tokens, kinds, merges, and the name of a splitter that it knows.

llama.cpp holds the rule that cuts text into words in its own code, under a name; a file can only say which one.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from gguf import TokenType
from tokenizers import Tokenizer

from k2model.chat.tiktoken_file import PATTERN as KIMI_PATTERN
from k2model.chat.tokenizer import PATTERN
from k2model.errors import ConfigError

_DIGIT = r"\p{N}"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", _DIGIT)
_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
)
# The patterns that text is cut by, one after the other, and whether whole words go before merges → llama.cpp's name.
SPLITTERS = {
    ((_GPT2,), False): "gpt-2",
    ((_DIGIT, _GPT2), False): "smollm",
    ((f"{_CONTRACTIONS}|{_WORDS}|{_DIGIT}|{_MARKS}",), False): "qwen2",
    ((PATTERN,), False): "qwen2",
    ((rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_MARKS}",), True): "llama-bpe",
    ((rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_MARKS}",), False): "smaug-bpe",
    (_DEEPSEEK_V3, False): "deepseek-v3",
    (_DEEPSEEK_CODER, False): "deepseek-coder",
    ((KIMI_PATTERN,), False): "kimi-k2",
    ((KIMI_PATTERN,), True): "kimi-k2",
}


@dataclass(frozen=True)
class Vocabulary:
    """What stands under `tokenizer.ggml` in a file; tokens and kinds have one entry for each row of the embedding."""

    splitter: str
    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str]
    normalized: bool


def vocabulary(tokenizer: Tokenizer, rows: int) -> Vocabulary:
    """A byte-level BPE tokenizer for llama.cpp; ids without a token become unused ones.

    Args:
        rows: of the embedding.

    Raises:
        ConfigError: a splitter, normalizer or model that llama.cpp doesn't have, or more tokens than rows.
    """
    value = json.loads(tokenizer.to_str())
    model = value["model"]
    if model["type"] != "BPE" or model.get("dropout") or model.get("byte_fallback"):
        raise ConfigError(f"tokenizer.json: model {model['type']}; only byte-level BPE can be exported")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise ConfigError(f"tokenizer.json: model.{key} {model[key]!r:.80}; llama.cpp's BPE has none")
    added = {token["id"]: token for token in value["added_tokens"]}
    names = {number: piece for piece, number in model["vocab"].items()}
    names |= {number: token["content"] for number, token in added.items()}
    if max(names) >= rows:
        raise ConfigError(f"tokenizer.json: id {max(names)}, but the network has {rows} rows (vocab_size)")
    tokens, kinds = [], []
    for number in range(rows):
        if number in added:
            kinds.append(TokenType.CONTROL if added[number]["special"] else TokenType.USER_DEFINED)
        else:
            kinds.append(TokenType.NORMAL if number in names else TokenType.UNUSED)
        tokens.append(names.get(number, f"[unused row {number}]"))
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if twice:
        raise ConfigError(f"tokenizer.json: the token {twice[0]!r:.80} stands there twice")
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in model["merges"]]
    return Vocabulary(
        splitter=splitter(value["pre_tokenizer"], ignore_merges=bool(model.get("ignore_merges"))),
        tokens=tokens,
        kinds=kinds,
        merges=merges,
        normalized=_normalizes(value["normalizer"]),
    )


def splitter(pre_tokenizer: Any, *, ignore_merges: bool) -> str:
    """llama.cpp's name of the splitter that a `tokenizer.json` describes.

    Raises:
        ConfigError: it has none for it; the message says how text is cut.
    """
    parts = list(_parts(pre_tokenizer))
    if not parts or parts[-1].get("type") != "ByteLevel" or parts[-1].get("add_prefix_space"):
        raise ConfigError("tokenizer.json: pre_tokenizer: doesn't end in ByteLevel without a leading space")
    patterns = tuple(pattern for part in parts for pattern in _patterns(part))
    name = SPLITTERS.get((patterns, ignore_merges))
    if name is None:
        cut = " then ".join(patterns) or "nothing"
        raise ConfigError(f"tokenizer.json: pre_tokenizer: llama.cpp has no name for a split by {cut:.300}")
    return name


def _parts(pre_tokenizer: Any) -> list[dict[str, Any]]:
    if pre_tokenizer is None:
        return []
    if pre_tokenizer.get("type") == "Sequence":
        return [inside for part in pre_tokenizer["pretokenizers"] for inside in _parts(part)]
    return [pre_tokenizer]


def _patterns(part: dict[str, Any]) -> list[str]:
    """The pattern that a step of a `tokenizer.json` cuts by, none for a step that only writes bytes."""
    kind = part.get("type")
    if kind == "ByteLevel":
        return [_GPT2] if part.get("use_regex", True) else []
    if kind == "Digits" and part.get("individual_digits"):
        return [_DIGIT]
    if kind == "Split" and part.get("behavior") == "Isolated" and not part.get("invert") and "Regex" in part["pattern"]:
        return [part["pattern"]["Regex"]]
    raise ConfigError(f"tokenizer.json: pre_tokenizer: llama.cpp has no name for {json.dumps(part):.300}")


def _normalizes(normalizer: Any) -> bool:
    """Whether text is brought to NFC, which llama.cpp leaves out for every vocabulary that wants it."""
    if normalizer is None or normalizer == {"type": "Sequence", "normalizers": []}:
        return False
    if normalizer == {"type": "NFC"}:
        return True
    raise ConfigError(f"tokenizer.json: normalizer: llama.cpp has none like {json.dumps(normalizer):.200}")
