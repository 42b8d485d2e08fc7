"""K2's special tokens in foreign vocabularies: nothing else moves, and every kind finds its place."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer

from k2model.chat.messages import TEMPLATE, encode_chat
from k2model.chat.seats import seat_special_tokens
from k2model.chat.tokenizer import MARKERS, SPECIAL, load_tokenizer, save_tokenizer
from k2model.errors import ConfigError
from tests.small_data import TOOLS

NAMES = (*SPECIAL, *MARKERS)
TEXT = "The cat sat on the mat, 1892 ships; Ærø and smørrebrød. naïve café 日本語 <think> <|im_end|> </s>\n\n  x"
SMOLLM = (
    "<|endoftext|> <|im_start|> <|im_end|> <repo_name> <reponame> <file_sep> <filename> <gh_stars> <issue_start> "
    "<issue_comment> <issue_closed> <jupyter_start> <jupyter_text> <jupyter_code> <jupyter_output> <jupyter_script> "
    "<empty_output>"
).split()
QWEN = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|vision_pad|> <tool_call> </tool_call> <|fim_pad|> "
    "<|file_sep|> <think> </think>"
).split()
LLAMA = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    *(f"<|reserved_special_token_{n}|>" for n in range(3, 247)),
]
DEEPSEEK = [
    "<｜User｜>",
    "<｜Assistant｜>",
    "<|EOT|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    *(f"<｜place▁holder▁no▁{n}｜>" for n in range(20)),
]


def _trained(*, first: list[str] = [], vocab: int = 330, missing: tuple[int, ...] = ()) -> Tokenizer:  # noqa: B006
    """A byte-level BPE; control tokens of `first` have the first ids, inside the model's own vocabulary."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = ByteLevelDecoder()
    alphabet = sorted(set(ByteLevel.alphabet()) - {chr(code) for code in missing})
    trainer = BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator([TEXT * 20], trainer)
    return tokenizer


def _with_post_processor(tokenizer: Tokenizer, bos: str) -> Tokenizer:
    tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


def _smollm() -> Tokenizer:
    return _trained(first=SMOLLM)


def _qwen() -> Tokenizer:
    tokenizer = _trained()
    tokenizer.add_tokens([AddedToken(c, special=c.startswith("<|"), normalized=False) for c in QWEN])
    return tokenizer


def _llama() -> Tokenizer:
    tokenizer = _trained()
    value = json.loads(tokenizer.to_str())
    value["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.pre_tokenizer = Sequence(
        [
            Split(Regex(r"\p{L}+|\p{N}{1,3}|[^\p{L}\p{N}]+"), "isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in LLAMA])
    return _with_post_processor(tokenizer, "<|begin_of_text|>")


def _deepseek() -> Tokenizer:
    """Begin, end and pad first, as in V3; bytes that UTF-8 never has are added tokens that spell letters, as in V2."""
    never = (0xC0, 0xC1, *range(0xF5, 0x100))
    tokenizer = _trained(first=["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"], missing=never)
    tokenizer.add_tokens([AddedToken(chr(code), special=False, normalized=True) for code in never])
    tokenizer.add_tokens([AddedToken(c, special=c.startswith("<｜p"), normalized=False) for c in DEEPSEEK])
    return _with_post_processor(tokenizer, "<｜begin▁of▁sentence｜>")


def _plain() -> Tokenizer:
    return _trained()


KINDS = {"smollm": _smollm, "qwen": _qwen, "llama": _llama, "deepseek": _deepseek, "plain": _plain}


@pytest.mark.parametrize("kind", KINDS)
def test_text_has_the_ids_it_had_and_every_token_of_k2_has_one(kind: str) -> None:
    before = KINDS[kind]()
    seated, new = seat_special_tokens(before)
    for text in [TEXT, "Ærø søster øl", "smørrebrød på café"]:
        # Without the names, which a base may read as its own tokens.
        text = text.replace("<think> <|im_end|> </s>", "")
        assert seated.encode(text) == before.encode(text, add_special_tokens=False).ids
        assert seated.decode(seated.encode(text)) == text
    assert len({seated.special[name] for name in NAMES}) == len(NAMES)
    for name in NAMES:
        assert seated.encode(name, parse_special=True) == [seated.special[name]]
        assert seated.special[name] not in seated.encode(f"a {name} b {name}")
        shown = seated.decode([seated.special[name]], skip_special=True)
        assert shown == ("" if name in SPECIAL else name)
    kept = before.get_vocab()
    moved = {c for c, i in kept.items() if seated.backend.token_to_id(c) != i}
    assert all(seated.backend.id_to_token(kept[c]) in NAMES for c in moved)
    assert set(new) <= set(NAMES)
    assert all(seated.special[name] == number for name, number in new.items())


def test_smollm_has_as_many_unused_tokens_as_k2_has_special_ones() -> None:
    seated, new = seat_special_tokens(_smollm())
    assert seated.vocab_size == _smollm().get_vocab_size()
    assert (seated.special["[EOS]"], seated.special["[BOS]"], seated.special["<|im_end|>"]) == (0, 1, 2)
    assert sorted(new.values()) == list(range(3, 17))


def test_qwen_keeps_its_thinking_and_calls_and_gets_the_rest_at_its_end() -> None:
    before = _qwen()
    seated, new = seat_special_tokens(before)
    for name, old in {
        "[BOS]": "<|im_start|>",
        "[EOS]": "<|endoftext|>",
        "[PAD]": "<|fim_pad|>",
        "<think>": "<think>",
        "<|im_end|>": "<|im_end|>",
        "<|tool_call_begin|>": "<tool_call>",
        "<|tool_call_end|>": "</tool_call>",
    }.items():
        assert seated.special[name] == before.token_to_id(old), name
        assert name not in new
    assert sorted(new.values()) == list(range(before.get_vocab_size(), before.get_vocab_size() + 9))
    assert seated.encode("<|vision_pad|>", parse_special=True) == [before.token_to_id("<|vision_pad|>")]


def test_llama_and_deepseek_give_up_reserved_tokens_and_no_size_changes() -> None:
    for before in (_llama(), _deepseek()):
        seated, new = seat_special_tokens(before)
        assert seated.vocab_size == before.get_vocab_size()
        old = {before.id_to_token(number) for number in new.values()}
        assert all("reserved" in c or "holder" in c for c in old)
    seated, new = seat_special_tokens(_llama())
    assert seated.special["<|im_end|>"] == _llama().token_to_id("<|eot_id|>")
    seated, new = seat_special_tokens(_deepseek())
    assert seated.special["<|tool_call_argument_begin|>"] == _deepseek().token_to_id("<｜tool▁sep｜>")
    assert set(new) == {"<|im_end|>", "<|im_system|>", "<|im_middle|>", "[UNK]", "<think>", "</think>"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_gives_auto_tokenizer_the_same_ids_and_seating_again_changes_nothing(
    kind: str, tmp_path: Path
) -> None:
    seated, _ = seat_special_tokens(KINDS[kind]())
    save_tokenizer(seated.backend, tmp_path, chat_template="", max_length=64)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)
    assert ours.special == seated.special
    for text in (TEXT, "a<|im_end|>b<think>"):
        assert theirs(text)["input_ids"] == ours.encode(text, parse_special=True)
    again, new = seat_special_tokens(ours.backend)
    assert again.special == seated.special
    assert not new


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_renders_and_marks_a_chat_as_we_do_in_any_vocabulary(kind: str, tmp_path: Path) -> None:
    seated, _ = seat_special_tokens(KINDS[kind]())
    save_tokenizer(seated.backend, tmp_path, chat_template=TEMPLATE, max_length=64)
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"ø": " smør"}'}}
    messages = [
        {"role": "user", "content": " Ærø and 1892\n\n  ships "},
        {"role": "assistant", "content": "", "reasoning_content": " look \n", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "\u65e5\u672c 12"},
        {"role": "assistant", "content": " caf\u00e9 ", "reasoning_content": "\n\ndone"},
    ]
    made = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        messages, tools=TOOLS, return_dict=True, return_assistant_tokens_mask=True, keep_last_reasoning=True
    )
    ours = encode_chat(seated, messages, TOOLS)
    assert made["input_ids"] == ours.ids
    assert [bool(bit) for bit in made["assistant_masks"]] == ours.loss_mask


def test_a_name_of_k2_that_is_ordinary_text_is_refused() -> None:
    value = json.loads(_plain().to_str())
    value["model"]["vocab"]["<think>"] = len(value["model"]["vocab"])
    with pytest.raises(ConfigError, match="<think> is a token of ordinary text"):
        seat_special_tokens(Tokenizer.from_str(json.dumps(value)))


def test_a_vocabulary_that_is_not_of_bytes_is_refused() -> None:
    pieces = Tokenizer(Unigram([("<unk>", 0.0), ("\u2581the", -1.0)], 0))
    with pytest.raises(ConfigError, match=r"tokenizer\.json: model\.type: 'Unigram'; only 'BPE' of bytes is known"):
        seat_special_tokens(pieces)
    llama_2 = Tokenizer(BPE({"<unk>": 0, "<s>": 1, "</s>": 2, "\u2581": 3, "a": 4}, [], byte_fallback=True))
    llama_2.add_special_tokens(["<unk>", "<s>", "</s>"])
    with pytest.raises(ConfigError, match=r"tokenizer\.json: not of bytes: a token has the character '\u2581'"):
        seat_special_tokens(llama_2)


def test_a_vocabulary_in_which_text_could_forge_a_turn_is_refused() -> None:
    value = json.loads(_smollm().to_str())
    value["model"]["ignore_merges"] = True
    whole_words = Tokenizer.from_str(json.dumps(value))
    whole_words.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    with pytest.raises(ConfigError, match="text that spells .* becomes this token; data could forge a turn"):
        seat_special_tokens(whole_words)


@pytest.mark.parametrize("inside", [True, False])
def test_bytes_without_a_token_get_one_and_nothing_else_moves(inside: bool, tmp_path: Path) -> None:
    lost = tuple(ord(character) for character in "ĄĘģ")  # bytes 0x04, 0x18, 0x81
    before = _trained(first=SMOLLM if inside else [], missing=lost)
    if not inside:
        before.add_tokens([AddedToken(c, special=c.startswith("<|"), normalized=False) for c in QWEN])
    seated, new = seat_special_tokens(before)
    assert [name for name in new if name.startswith("<0x")] == ["<0x04>", "<0x18>", "<0x81>"]
    for text in ("a\x04b\x18", "\u0101\u0141", "The cat, 1892"):
        assert seated.decode(seated.encode(text)) == text
    for content, number in before.get_vocab().items():
        assert seated.backend.id_to_token(number) in (content, *NAMES)
    assert sorted(seated.backend.get_vocab().values()) == list(range(seated.vocab_size))
    save_tokenizer(seated.backend, tmp_path, chat_template="", max_length=64)
    assert load_tokenizer(tmp_path).special == seated.special
