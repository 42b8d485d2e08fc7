"""Cleaning, exact and near-duplicate removal, split. All of it depends on the documents and the seed only."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from datasketch import MinHash, MinHashLSH

from stages.corpus.document import Document
from stages.harness.seeds import sub_seed

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028\u2029\ufeff]")
PERMUTATIONS = 64
SHINGLE_WORDS = 5


def clean_text(text: str) -> str:
    """NFC, no control or zero-width characters, no trailing blanks, at most one empty line in a row."""
    text = CONTROL.sub("", unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n"))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def clean(documents: Iterable[Document], min_chars: int) -> list[Document]:
    """Cleaned documents of at least `min_chars` characters."""
    cleaned = (replace(document, text=clean_text(document.text)) for document in documents)
    return [document for document in cleaned if len(document.text) >= min_chars]


def drop_exact(documents: list[Document]) -> list[Document]:
    """The first of each group with the same text (letter case and white space aside)."""
    seen: set[bytes] = set()
    kept = []
    for document in documents:
        key = hashlib.sha256(" ".join(document.text.lower().split()).encode()).digest()
        if key not in seen:
            seen.add(key)
            kept.append(document)
    return kept


def _minhash(text: str) -> MinHash:
    words = re.findall(r"\w+", text.lower())
    shingles = {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}
    sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in shingles])
    return sketch


def drop_near(documents: list[Document], threshold: float) -> list[Document]:
    """Drops a document whose word 5-grams overlap an earlier one's by about `threshold` (Jaccard, MinHash LSH)."""
    if threshold >= 1:
        return documents
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    sketches: dict[str, MinHash] = {}
    kept = []
    for document in documents:
        sketch = _minhash(document.text)
        if any(sketch.jaccard(sketches[other]) >= threshold for other in index.query(sketch)):
            continue
        index.insert(document.doc_id, sketch)
        sketches[document.doc_id] = sketch
        kept.append(document)
    return kept


def split_of(doc_id: str, seed: int, validation_fraction: float) -> str:
    """`train` or `validation`, by the document's own id: adding documents never moves one."""
    return "validation" if sub_seed(seed, "corpus", "split", doc_id) / 2**63 < validation_fraction else "train"
