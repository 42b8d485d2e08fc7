"""Byte-level BPE with K2's special tokens, by name and in K2's order.

K2's tokenizer is 163,584 byte-pair tokens and 256 reserved places at the end; here the reserved block is as small as
the tokens that the released tokenizer really uses, so that a laptop model doesn't pay for empty rows.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.trainers import BpeTrainer

from k2model.chat.byte_level import NEVER_IN_UTF8, byte_of_character
from k2model.chat.model_json import well_formed
from k2model.chat.tiktoken_file import TIKTOKEN_MODEL, read_tiktoken
from k2model.errors import ConfigError

# Order and flags of the released tokenizer (id − 163,584 is the place): the tool-call markers and the thinking
# markers are not `special`, so they survive decoding with skip_special_tokens.
SPECIAL = (
    "[BOS]",
    "[EOS]",
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "[EOT]",
    "<|im_system|>",
    "<|im_middle|>",
    "[UNK]",
    "[PAD]",
)
END_OF_TURN = ("[EOS]", "<|im_end|>", "[EOT]")  # any of them ends what a model writes
MARKERS = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<think>",
    "</think>",
)

# Text is cut as for Qwen2's vocabulary, which other programs know by name: letters with one leading mark, digits one at
# a time (a small model learns arithmetic digit by digit; K2 takes up to three), marks, white space. Cases are spelled
# out, since folding them would take ſ for s.
PATTERN = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains on `texts`; the same texts in the same order give the same tokenizer.

    Args:
        vocab_size: with the special tokens, which take the last places.

    Raises:
        ConfigError: fewer than 256 bytes and the special tokens would fit, or too little text to fill it.
    """
    extra = len(SPECIAL) + len(MARKERS)
    if vocab_size < 256 + extra:
        raise ConfigError(f"tokenizer.vocab_size: {vocab_size} is below {256 + extra} (256 bytes and {extra} tokens)")
    tokenizer = Tokenizer(BPE())
    split = Split(Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = PreTokenizers([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = ByteLevelDecoder()
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=vocab_size - extra, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != vocab_size - extra:
        raise ConfigError(
            f"tokenizer.vocab_size: the text gives only {tokenizer.get_vocab_size() + extra} of {vocab_size} tokens"
        )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return tokenizer


def tokenizer_files(tokenizer: Tokenizer, *, chat_template: str, max_length: int) -> dict[str, str]:
    """Names and texts of the files from which `transformers.AutoTokenizer.from_pretrained` makes a tokenizer."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "additional_special_tokens": [token for token in SPECIAL if token.startswith("<|") or token == "[EOT]"],
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
        "chat_template.jinja": chat_template,
    }


def save_tokenizer(tokenizer: Tokenizer, path: Path, *, chat_template: str, max_length: int) -> None:
    """Writes a folder of `tokenizer_files`."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in tokenizer_files(tokenizer, chat_template=chat_template, max_length=max_length).items():
        (path / name).write_text(text, encoding="utf-8")


class K2Tokenizer:
    """Text ↔ token ids, of any byte-level BPE that has K2's special tokens, wherever their ids stand.

    Special tokens and K2's markers in text are not parsed unless asked: data can't forge a turn. Other added tokens are
    text, as in the vocabulary that they come from.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.backend = tokenizer
        self.special = {token: self._id(token) for token in (*SPECIAL, *MARKERS)}
        self.names = {i: token for token, i in self.special.items()}
        self.bos, self.eos, self.pad = self.special["[BOS]"], self.special["[EOS]"], self.special["[PAD]"]
        self.im_end = self.special["<|im_end|>"]
        self.ends = frozenset(self.special[token] for token in END_OF_TURN)
        self.vocab_size = tokenizer.get_vocab_size()
        self._plain = _blind(tokenizer)
        self._silent = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._token_bytes: list[bytes] = []

    @property
    def config_ids(self) -> dict[str, int]:
        """The ids that `config.json` names, by its keys."""
        return {"bos_token_id": self.bos, "eos_token_id": self.eos, "pad_token_id": self.pad}

    def _id(self, token: str) -> int:
        number = self.backend.token_to_id(token)
        if number is None:
            raise ConfigError(f"the token {token} is missing")
        return int(number)

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Ids of `text`; with `parse_special` the names of special tokens become these tokens.

        Halves of surrogate pairs, which have no UTF-8, become U+FFFD.
        """
        backend = self.backend if parse_special else self._plain
        return list(backend.encode(well_formed(text), add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many texts, special tokens not parsed."""
        return [encoding.ids for encoding in self._plain.encode_batch(well_formed(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Text of ids; bytes that are no UTF-8 become U+FFFD, ids that no token has nothing.

        Not by the backend's decoder, which takes DeepSeek-V2's added token ø for the byte that this letter stands for.
        """
        pieces, silent = self.token_bytes(), self._silent if skip_special else ()
        kept = (pieces[i] for i in ids if 0 <= i < len(pieces) and i not in silent)
        return b"".join(kept).decode("utf-8", "replace")

    def token_bytes(self) -> list[bytes]:
        """The bytes of every id (added tokens: their names), as a constrained decoder needs them; not to be changed."""
        if not self._token_bytes:
            table = byte_of_character()
            names = {token.content for token in self.backend.get_added_tokens_decoder().values()}
            pieces = [self.backend.id_to_token(i) or "" for i in range(self.vocab_size)]
            self._token_bytes = [
                piece.encode() if piece in names else bytes(table[character] for character in piece) for piece in pieces
            ]
        return self._token_bytes


def _blind(tokenizer: Tokenizer) -> Tokenizer:
    """The same vocabulary for text in which no special token and no marker of K2 is recognised."""
    value = json.loads(tokenizer.to_str())
    for token in value["added_tokens"]:
        token["special"] |= token["content"] in MARKERS
    blind = Tokenizer.from_str(json.dumps(value))
    blind.encode_special_tokens = True
    return blind


def read_vocabulary(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder as it was published, `tokenizer.json` or else `tiktoken.model`.

    Raises:
        ConfigError: neither is there, or one that can't be read.
    """
    file = Path(folder) / "tokenizer.json"
    if not file.exists() and (file.parent / TIKTOKEN_MODEL).exists():
        return read_tiktoken(file.parent)
    if not file.exists():
        raise ConfigError(f"{file}: not found")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 — tokenizers raises bare Exceptions
        raise ConfigError(f"{file}: no tokenizer: {' '.join(str(error).split())[:200]}") from None
    tokenizer.no_truncation()  # transformers saves how it cut and filled its last batch
    tokenizer.no_padding()
    return tokenizer


def load_tokenizer(path: Path) -> K2Tokenizer:
    """Loads the tokenizer of a folder; one of another vocabulary gets K2's tokens by `k2model.chat.seats`.

    Raises:
        ConfigError: no tokenizer that can be read, one without K2's special tokens, or one that isn't of bytes, so that
            some text would have no ids.
    """
    tokenizer = read_vocabulary(path)
    file = Path(path) / "tokenizer.json"
    if not file.exists():
        file = file.with_name(TIKTOKEN_MODEL)
    try:
        made = K2Tokenizer(tokenizer)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}; the key `base` of params.yaml takes in other vocabularies") from None
    check_text(made, file)
    return made


def check_text(tokenizer: K2Tokenizer, file: Path) -> None:
    """Raises ConfigError when some text would have no ids or those of a special token, or ids have holes."""
    try:
        single = {piece[0] for piece in tokenizer.token_bytes() if len(piece) == 1}
    except KeyError as error:
        raise ConfigError(f"{file}: not of bytes: a token has the character {error}") from None
    if missing := set(range(256)) - NEVER_IN_UTF8 - single:
        raise ConfigError(f"{file}: not of bytes: {len(missing)} of the bytes of UTF-8 have no token")
    if (last := max(tokenizer.backend.get_vocab().values())) != tokenizer.vocab_size - 1:
        raise ConfigError(f"{file}: {tokenizer.vocab_size} tokens have ids up to {last}")
    for token, number in tokenizer.special.items():  # where words are not cut at punctuation, and taken whole
        if number in tokenizer.encode(token):
            raise ConfigError(f"{file}: text that spells {token} becomes this token; data could forge a turn")
