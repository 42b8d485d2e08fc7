"""Small corpora, the stage in small pieces, and the rule of duplicates as it was when all documents lay in lists."""

import gzip
import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from datasketch import MinHash, MinHashLSH

from stages.corpus.clean import clean_text
from stages.corpus.deduplicate import verdicts
from stages.corpus.document import Document
from stages.corpus.parts import Parts
from stages.corpus.prepare import Recipe, prepare
from stages.corpus.sketch import TOKEN, band_sizes

INFIX = re.compile(r"(?<=\S )[-*/%&](?= \S)|(?<=\w)[*/%&](?=\w)")
OPERATORS = str.maketrans("-*/%&", "−∗∕÷∧")
FRAGMENTS = [
    *("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau".split()),
    *(
        "a - b",
        "a*b",
        "x / y",
        "Straße",
        "İstanbul",
        "北京是首都",
        "今日は天気",
        "อากาศดี",
        "😀🚀",
        "┌─┐",
        "3.14",
        "e\u0301t\xe9",
    ),
    *("snake_case", "don't", "§ 5", "---", "...", "\u00a0", "\n", "ﬁ"),
]


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(f"{number:05}", "", text, "test", "none") for number, text in enumerate(texts)]


def random_texts(seed: int, count: int) -> list[str]:
    """Texts of which some are the same, some nearly, and some hardly hold a word."""
    draw = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        kind = draw.random()
        if texts and kind < 0.15:
            text = draw.choice(texts)
            texts.append(text.upper() if draw.random() < 0.5 else text)
        elif texts and kind < 0.55:
            words = draw.choice(texts).split(" ")
            for _ in range(draw.randrange(1, 4)):
                words[draw.randrange(len(words))] = draw.choice(FRAGMENTS)
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(draw.choice(FRAGMENTS) for _ in range(draw.choice([3, 12, 60, 120]))))
    return [clean_text(text) for text in texts]


def verdicts_of(folder: Path, texts: Sequence[str], threshold: float, pieces: int = 1) -> list[int]:
    """What the stage decides about texts that come in so many pieces."""
    bands = band_sizes(threshold) if threshold < 1 else (0, 0)
    parts = Parts(folder / f"parts-{pieces}")
    every = documents(texts)
    size = -(-len(every) // pieces) or 1
    for number, begin in enumerate(range(0, len(every), size)):
        parts.write(number, prepare(every[begin : begin + size], Recipe(0, *bands)))
    parts.open(-(-len(every) // size))
    return verdicts(parts, threshold, bands[0]).tolist()


def old_is_prose(text: str) -> bool:
    return 2 * len(re.findall(r"\w", text)) >= len(re.findall(r"\S", text)) > 0


def old_tokens(text: str) -> list[str]:
    text = INFIX.sub(lambda match: match.group().translate(OPERATORS), text)
    return [
        token
        for token in TOKEN.findall(text.lower())
        if len(token) > 1 or token.isalnum() or unicodedata.category(token)[0] not in "PC"
    ]


def old_sketch(text: str) -> MinHash:
    tokens = old_tokens(text)
    sketch = MinHash(num_perm=64, seed=1)
    sketch.update_batch([" ".join(tokens[i : i + 5]).encode() for i in range(max(1, len(tokens) - 4))])
    return sketch


def old_verdicts(texts: Sequence[str], threshold: float) -> list[int]:
    """0 for a text that stays, 1 for the same as another, 2 for nearly the same."""
    seen: set[bytes] = set()
    index = MinHashLSH(threshold=threshold, num_perm=64) if threshold < 1 else None
    sketches: dict[int, MinHash] = {}
    found = []
    for number, text in enumerate(texts):
        prose = old_is_prose(text)
        key = hashlib.sha256((" ".join(text.lower().split()) if prose else text).encode()).digest()
        verdict = 1 if key in seen else 0
        seen.add(key)
        if not verdict and prose and index is not None:
            sketch = old_sketch(text)
            if any(sketch.jaccard(sketches[other]) >= threshold for other in index.query(sketch)):
                verdict = 2
            else:
                index.insert(number, sketch)
                sketches[number] = sketch
        found.append(verdict)
    return found


OUTS = ("data/corpus.parquet", "data/facts.parquet", "data/corpus_card.md", "metrics/corpus.json")
# The stage with pieces of some 20 kB, so that a small corpus has many.
SMALL = (
    "import runpy; from stages.corpus import prepare, user; prepare.PIECE_BYTES = user.STRETCH_BYTES = 20_000; "
    "runpy.run_module('stages.corpus', None, '__main__')"
)


def own_texts(folder: Path) -> list[str]:
    """A folder with packed and plain files of texts, of which a third are nearly the same; the texts in their order."""
    draw = random.Random(1)
    words = [f"word{number}" for number in range(3000)]
    texts: list[str] = []
    folder.mkdir()
    for file in range(3):
        own = []
        for _ in range(400):
            text = " ".join(draw.choices(words, k=60))
            if texts and draw.random() < 0.3:
                text = draw.choice(texts) + draw.choice(["", " more", " words than that"])
            own.append(text)
            texts.append(text)
        raw = "".join(json.dumps({"text": text}) + "\n" for text in own).encode()
        (folder / f"{file}.jsonl{'.gz' if file else ''}").write_bytes(gzip.compress(raw) if file else raw)
    return texts
