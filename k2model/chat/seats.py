"""K2's special tokens in a vocabulary that lacks some: Llama's, Qwen's, SmolLM's, DeepSeek's, early Kimi's."""

import json
import re
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from k2model.chat.byte_level import NEVER_IN_UTF8, character_of_byte
from k2model.chat.tokenizer import MARKERS, SPECIAL, K2Tokenizer, check_text
from k2model.errors import ConfigError

# Tokens of published vocabularies that mean what one of K2's does: K2's takes the id and what was learnt of it.
SAME_MEANING = {
    "[BOS]": ("<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<|startoftext|>", "<s>", "<bos>", "<|im_start|>"),
    "[EOS]": ("<|end_of_text|>", "<｜end▁of▁sentence｜>", "<|endoftext|>", "</s>", "<eos>"),
    "[PAD]": ("<|finetune_right_pad_id|>", "<｜▁pad▁｜>", "<pad>", "<|pad|>", "<|fim_pad|>"),
    "[UNK]": ("<unk>", "<|unk|>"),
    "[EOT]": ("<|EOT|>", "<|eom_id|>"),
    "<|im_end|>": ("<|eot_id|>", "<end_of_turn>"),
    "<|im_user|>": ("<｜User｜>", "<|User|>"),
    "<|im_assistant|>": ("<｜Assistant｜>", "<|Assistant|>"),
    "<|im_middle|>": ("<|end_header_id|>",),
    "<|tool_calls_section_begin|>": ("<｜tool▁calls▁begin｜>",),
    "<|tool_calls_section_end|>": ("<｜tool▁calls▁end｜>",),
    "<|tool_call_begin|>": ("<｜tool▁call▁begin｜>", "<tool_call>"),
    "<|tool_call_argument_begin|>": ("<｜tool▁sep｜>",),
    "<|tool_call_end|>": ("<｜tool▁call▁end｜>", "</tool_call>"),
}

# Tokens that a language model was never, or no longer, given. The control tokens of SmolLM2's code corpora count:
# with `<|endoftext|>` and the chat's two, they are its 17.
UNUSED = re.compile(
    r"<\|(?:reserved_token|reserved_special_token|dummy|unused)_?\d+\|>"  # Kimi, Llama 3, Phi
    r"|<｜place▁holder▁no▁\d+｜>"  # DeepSeek-V3
    r"|<SPECIAL_\d+>|[<\[]unused_?\d+[>\]]|<extra_id_\d+>|\[extra_id_\d+\]"  # Mistral, Gemma and BERT, T5
    r"|<(?:repo_name|reponame|file_sep|filename|gh_stars|issue_start|issue_comment|issue_closed|jupyter_start"
    r"|jupyter_text|jupyter_code|jupyter_output|jupyter_script|empty_output)>"
)


def seat_special_tokens(tokenizer: Tokenizer) -> tuple[K2Tokenizer, dict[str, int]]:
    """The same vocabulary with K2's special tokens and markers in it.

    A token of the same name stays where it is, one of the same meaning is renamed, the others take the places of unused
    tokens in the order of ids, and what is left gets new ids at the end, as do bytes that have no token (SmolLM2 lacks
    control characters and the bytes of unassigned planes). Every other token keeps its id.

    Args:
        tokenizer: a byte-level BPE whose control tokens are added tokens, as in `tokenizer.json`.

    Returns:
        The tokenizer, and the ids of the tokens whose rows of the embedding and the head mean something else, or
        nothing yet, by name; a byte's is `<0x04>`.

    Raises:
        ConfigError: no byte-level BPE, a name of K2's that is ordinary text in it, or ids that can't be kept.
    """
    value = json.loads(tokenizer.to_str())
    if value["model"]["type"] != "BPE":
        raise ConfigError(f"tokenizer.json: model.type: {value['model']['type']!r:.80}; only 'BPE' of bytes is known")
    vocabulary: dict[str, int] = value["model"]["vocab"]
    added = {token["content"]: token for token in value["added_tokens"]}
    names = (*SPECIAL, *MARKERS)
    ordinary = [name for name in names if name in vocabulary and name not in added]
    if ordinary:
        raise ConfigError(f"tokenizer.json: {ordinary[0]} is a token of ordinary text")
    renamed = {name: name for name in names if name in added}
    for name in names:
        alike = [other for other in SAME_MEANING.get(name, ()) if other in added]
        if name not in renamed and alike:
            renamed[name] = alike[0]
    unused = iter(sorted((c for c in added if UNUSED.fullmatch(c)), key=lambda content: added[content]["id"]))
    new: dict[str, int] = {}
    end = max(tokenizer.get_vocab().values()) + 1
    for byte, character in enumerate(character_of_byte()):
        if byte not in NEVER_IN_UTF8 and character not in vocabulary:
            vocabulary[character] = new[f"<0x{byte:02X}>"] = end
            end += 1
    if new:  # ids of added tokens that the model doesn't hold are counted on from its own, which are more now
        vocabulary |= {content: token["id"] for content, token in added.items()}
    for name in names:
        if name in renamed:
            continue
        if (seat := next(unused, None)) is not None:
            renamed[name], new[name] = seat, added[seat]["id"]
        else:
            new[name] = end
            end += 1
    for name, old in renamed.items():
        added[name] = _token(name, added.pop(old)["id"])
        if old in vocabulary:
            vocabulary[name] = vocabulary.pop(old)
    for name in names:
        if name not in renamed:
            added[name] = _token(name, new[name])
    value["added_tokens"] = sorted(added.values(), key=lambda token: int(token["id"]))
    value["post_processor"] = None  # a template of the old names; K2's chat template writes every token
    seated = K2Tokenizer(_rebuilt(value))
    check_text(seated, Path("tokenizer.json"))
    return seated, new


def _token(name: str, number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": name, **flags, "special": name in SPECIAL}


def _rebuilt(value: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, in which every added token has the id that stands there."""
    tokenizer = Tokenizer.from_str(json.dumps(value))
    for token in value["added_tokens"]:
        number = tokenizer.token_to_id(token["content"])
        if number != token["id"]:
            raise ConfigError(f"tokenizer.json: {token['content']} can't keep id {token['id']}, it gets {number}")
    return tokenizer
