"""The vocabulary as Kimi K2 and Moonlight publish it: `tiktoken.model`, on each line a token in base64 and its rank.

The names of the reserved tokens after the ranks stand in `tokenizer_config.json: added_tokens_decoder`; the pattern
that cuts text into words stands in the code published beside them.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from k2model.chat.byte_level import character_of_byte
from k2model.errors import ConfigError

TIKTOKEN_MODEL = "tiktoken.model"
RESERVED = 256  # ids after the ranks; those without a name are `<|reserved_token_ID|>`

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join(
    (
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def read_tiktoken(folder: Path) -> Tokenizer:
    """A byte-level BPE with the ids that tiktoken gives.

    The published code cuts runs of 25,000 characters with, or without, white space before it counts; that is left out.

    Raises:
        ConfigError: a file that is missing or torn, or names outside the reserved ids; names the file and the line.
    """
    ranks = _read_ranks(folder / TIKTOKEN_MODEL)
    table = character_of_byte()

    def written(token: bytes) -> str:
        return "".join(table[byte] for byte in token)

    vocabulary = {written(token): rank for token, rank in ranks.items()}
    # tiktoken joins any two neighbours whose bytes are a token, the lowest rank first; so each way to cut a token is a
    # merge of that token's rank, and a word that is a token is taken whole.
    merges = [
        (written(token[:cut]), written(token[cut:]))
        for token in ranks
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]
    tokenizer = Tokenizer(BPE(vocabulary, merges, ignore_merges=True))
    split = Split(Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = PreTokenizers([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_tokens(_reserved(folder / "tokenizer_config.json", len(ranks)))
    return tokenizer


def _read_ranks(file: Path) -> dict[bytes, int]:
    """Tokens in the order of their ranks, which are 0..n−1, in whatever order the lines are."""
    ranks: dict[bytes, int] = {}
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            encoded, rank = line.split()
            token = base64.b64decode(encoded, validate=True)
            if not token or token in ranks or not rank.isdigit():
                raise ValueError
            ranks[token] = int(rank)
        except (ValueError, binascii.Error):
            raise ConfigError(f"{file}: line {number}: {line[:60]!r} is no new token in base64 with its rank") from None
    if not ranks:
        raise ConfigError(f"{file}: no tokens")
    ordered = sorted(ranks.items(), key=lambda item: item[1])
    odd = [rank for position, (_, rank) in enumerate(ordered) if rank != position]
    if odd:
        raise ConfigError(f"{file}: rank {odd[0]} is there twice, or one below it is missing")
    return dict(ordered)


def _reserved(file: Path, first: int) -> list[AddedToken]:
    """The tokens of ids first..first+255."""
    try:
        named: Any = json.loads(file.read_bytes()).get("added_tokens_decoder", {})
        entries = {int(number): (entry["content"], entry.get("special", True)) for number, entry in named.items()}
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(f"{file}: added_tokens_decoder: no object of ids with their content") from None
    outside = [number for number in entries if not first <= number < first + RESERVED]
    if outside:
        raise ConfigError(f"{file}: added_tokens_decoder: {min(outside)} is outside {first}..{first + RESERVED - 1}")
    tokens = []
    for number in range(first, first + RESERVED):
        content, special = entries.get(number, (f"<|reserved_token_{number}|>", True))
        if not isinstance(content, str) or not content or not isinstance(special, bool):
            raise ConfigError(f"{file}: added_tokens_decoder: {number}: {content!r:.80} is no token")
        tokens.append(AddedToken(content, special=special, normalized=False))
    if len({token.content for token in tokens}) < RESERVED:
        raise ConfigError(f"{file}: added_tokens_decoder: two ids have the same content")
    return tokens
