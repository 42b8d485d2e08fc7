"""Small vocabularies that cut text as those of known models do, and texts on which ways to cut differ."""

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
from tokenizers.trainers import BpeTrainer

from k2model.chat.tiktoken_file import PATTERN as KIMI
from k2model.chat.tokenizer import MARKERS, SPECIAL, train_tokenizer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+")

TEXTS = [
    "The cat's mat isn't Where It WAS; they'LL've said: \"don't\", we'd say it'S 'twas.",
    "1234567890 in 2026, 3.14159, ½ and ٣٤٥ and Ⅻ; 0x1F, 1e-9, 12:34:56",
    "tabs\there,  two  spaces,   three   \n\n\nlines\r\n\r\nand   \n  indents\n\t\tdeeper  ",
    "def f(x): return {'a': [1, 2], \"b\": None}  # note\nfor i in range(10):\n    print(i, end='')\n",
    "naïve café Ünïcödé ΑΒΓδ Привет мир, שלום עולם, مرحبا بالعالم, नमस्ते दुनिया, สวัสดีชาวโลก",
    "你好，世界！我在2026年学习机器学习。日本語のテキスト、カタカナ。한국어 텍스트",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 emoji🙂text ✨ ∑∫√≠≤≥ → ← ↔ €£¥₹",
    "non\u00a0breaking\u2003em\u3000ideographic\u200bzero\u0085next\u2028line",
    "camelCase snake_case SCREAMING_CASE kebab-case XMLHttpRequest iPhone15Pro",
    " leading and trailing ",
    "\n",
    " ",
    "",
    "'s 't 'RE ''ve ' 'll'",
    "a" * 70 + " " * 40 + "!" * 30,
    "Zürich—“quoted”… ‘single’ – dash • bullet",
]
CORPUS = [*(TEXTS[:-2] * 4), "The cat sat on the mat. " * 20, '{"city": "Oslo", "days": 3}' * 20]


def cuts(name: str) -> Any:
    """The steps by which the vocabulary of a known model cuts text."""
    steps = {
        "gpt-2": [],
        "smollm": [Digits(individual_digits=True)],
        "qwen2": [Split(Regex(QWEN2), behavior="isolated")],
        "llama-bpe": [Split(Regex(LLAMA3), behavior="isolated")],
        "smaug-bpe": [Split(Regex(LLAMA3), behavior="isolated")],
        "deepseek-v3": [Split(Regex(pattern), behavior="isolated") for pattern in DEEPSEEK_V3],
        "deepseek-coder": [
            *(Split(Regex(pattern), behavior="isolated") for pattern in DEEPSEEK_CODER),
            Digits(individual_digits=True),
        ],
        "kimi-k2": [Split(Regex(KIMI), behavior="isolated")],
    }[name]
    last = ByteLevel(add_prefix_space=False, use_regex=name in ("gpt-2", "smollm"))
    return Sequence([*steps, last]) if steps else last


def small_vocabulary(name: str, *, special: bool = True) -> Tokenizer:
    """A tokenizer, with K2's special tokens unless without; `scratch` is this project's own."""
    if name == "scratch":
        return train_tokenizer(CORPUS, 480)
    tokenizer = Tokenizer(BPE(ignore_merges=name == "llama-bpe"))
    tokenizer.pre_tokenizer = cuts(name)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(vocab_size=460, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    if not special:
        return tokenizer
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return tokenizer
