"""Which documents are the same, or nearly: it depends on the documents and their order only."""

import hashlib
import re
import unicodedata

from datasketch import MinHash, MinHashLSH

from stages.corpus.document import Document

PERMUTATIONS = 64
SHINGLE_TOKENS = 5
# A character that is a token of its own in scripts that write no blanks; then words; then anything else that is seen.
TOKEN = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\W\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|[^\w\s]"
)
# Punctuation that is an operator where it stands between two things: `a - b` is not `a * b`.
INFIX = re.compile(r"(?<=\S )[-*/%&](?= \S)|(?<=\w)[*/%&](?=\w)")
OPERATORS = str.maketrans("-*/%&", "−∗∕÷∧")
WORD_CHARACTER = re.compile(r"\w")
SEEN = re.compile(r"\S")


def is_prose(text: str) -> bool:
    """Whether most of what is seen are letters and digits: not drawings, formulas, emoji."""
    return 2 * len(WORD_CHARACTER.findall(text)) >= len(SEEN.findall(text)) > 0


def drop_exact(documents: list[Document]) -> list[Document]:
    """The first of each group with the same text; of prose, letter case and white space aside."""
    seen: set[bytes] = set()
    kept = []
    for document in documents:
        same = " ".join(document.text.lower().split()) if is_prose(document.text) else document.text
        key = hashlib.sha256(same.encode()).digest()
        if key not in seen:
            seen.add(key)
            kept.append(document)
    return kept


def _tokens(text: str) -> list[str]:
    """Words and symbols in lower case; punctuation doesn't count, operators do."""
    text = INFIX.sub(lambda match: match.group().translate(OPERATORS), text)
    return [
        token
        for token in TOKEN.findall(text.lower())
        if len(token) > 1 or token.isalnum() or unicodedata.category(token)[0] not in "PC"
    ]


def _minhash(text: str) -> MinHash:
    tokens = _tokens(text)
    shingles = {" ".join(tokens[i : i + SHINGLE_TOKENS]) for i in range(max(1, len(tokens) - SHINGLE_TOKENS + 1))}
    sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in shingles])
    return sketch


def drop_near(documents: list[Document], threshold: float) -> list[Document]:
    """Drops prose whose 5-grams of words and symbols overlap an earlier one's by about `threshold`.

    Jaccard, MinHash LSH. Of a drawing or a formula the set of 5-grams says too little, so those stay.
    """
    if threshold >= 1:
        return documents
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    sketches: dict[int, MinHash] = {}
    kept = []
    for number, document in enumerate(documents):
        if is_prose(document.text):
            sketch = _minhash(document.text)
            if any(sketch.jaccard(sketches[other]) >= threshold for other in index.query(sketch)):
                continue
            index.insert(number, sketch)
            sketches[number] = sketch
        kept.append(document)
    return kept
