"""What tells whether two texts are the same, or nearly: a key, and MinHash signatures of their 5-grams."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from stages.harness.batches import batches

PERMUTATIONS = 64
SHINGLE_TOKENS = 5
BATCH = 1 << 14  # hashes that are permuted together: they stay in a core's cache
MIX = np.uint64(0x9E3779B97F4A7C15)
# A character that is a token of its own in scripts that write no blanks; then words; then anything else that is seen.
TOKEN = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\W\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|[^\w\s]"
)
# The same of a text in ASCII and lower case, and of what stands alone only what counts.
ASCII_TOKEN = re.compile(r"[a-z0-9_]{2,}|[a-z0-9$+<=>^`|~]")
# Punctuation that is an operator where it stands between two things: `a - b` is not `a * b`. The mark comes first, so
# that the search runs from mark to mark.
INFIX = re.compile(r"[-*/%&](?:(?<=\S [-*/%&])(?= \S)|(?<=\w[*/%&])(?=\w))")
OPERATORS = str.maketrans("-*/%&", "−∗∕÷∧")
WORD = re.compile(r"\w+")
NOT_ASCII = re.compile("[^\x00-\x7f]+")
# Bytes that are no letter or digit of ASCII, and bytes of white space; both with all that isn't ASCII.
NO_WORD = bytes(code for code in range(256) if code > 127 or not WORD.match(chr(code)))
UNCOUNTED = bytes(code for code in range(256) if code > 127 or chr(code).isspace())


def is_prose(text: str) -> bool:
    """Whether most of what is seen are letters and digits: not drawings, formulas, emoji."""
    raw, others = text.encode(), "".join(NOT_ASCII.findall(text))
    seen = len(raw.translate(None, UNCOUNTED)) + sum(map(len, others.split()))
    return 2 * (len(raw.translate(None, NO_WORD)) + sum(map(len, WORD.findall(others)))) >= seen > 0


def exact_key(text: str, prose: bool) -> bytes:
    """16 bytes that are equal for the same text; of prose, letter case and white space aside."""
    same = " ".join(text.lower().split()) if prose else text
    return hashlib.sha256(same.encode()).digest()[:16]


def tokens(text: str) -> list[str]:
    """Words and symbols in lower case; punctuation doesn't count, operators do."""
    text = INFIX.sub(lambda match: match.group().translate(OPERATORS), text).lower()
    if text.isascii():
        return ASCII_TOKEN.findall(text)
    return [token for token in TOKEN.findall(text) if len(token) > 1 or _counts(token)]


@cache
def _counts(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] not in "PC"


def shingle_hashes(text: str) -> NDArray[np.uint32]:
    """The first 32 bits of SHA-1 of every run of `SHINGLE_TOKENS` tokens; of a shorter text, of all of it."""
    joined = " ".join(tokens(text)).encode()
    blanks = np.flatnonzero(np.frombuffer(joined, np.uint8) == 32)
    begins = np.concatenate([[0], blanks + 1]).tolist()
    ends = [*blanks.tolist(), len(joined)][SHINGLE_TOKENS - 1 :] or [len(joined)]
    sha1 = hashlib.sha1
    digests = b"".join([sha1(joined[begin:end]).digest() for begin, end in zip(begins, ends, strict=False)])
    return np.frombuffer(digests, "<u4")[::5]


def signatures(texts: Iterable[str]) -> NDArray[np.uint32]:
    """MinHash of each text, `PERMUTATIONS` values: those of `datasketch.MinHash(64, seed=1)`."""
    found = [_minima(batch) for batch in batches(map(shingle_hashes, texts), BATCH, len)]
    return np.concatenate([np.empty((0, PERMUTATIONS), np.uint32), *found])


@cache
def _permutations() -> tuple[list[np.uint32], list[np.uint32]]:
    factors, offsets = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32").permutations
    return list(factors), list(offsets)


def _minima(batch: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    hashes = np.concatenate(batch)
    for shift, spread in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):  # MurmurHash3's finalizer, which the library puts first
        hashes = (hashes ^ (hashes >> np.uint32(shift))) * np.uint32(spread)
    hashes ^= hashes >> np.uint32(16)
    begins = np.cumsum([0, *map(len, batch[:-1])])
    minima = np.empty((len(batch), PERMUTATIONS), np.uint32)
    for column, (factor, offset) in enumerate(zip(*_permutations(), strict=True)):
        minima[:, column] = np.minimum.reduceat(hashes * factor + offset, begins)  # modulo 2³²
    return minima


def band_sizes(threshold: float) -> tuple[int, int]:
    """How many bands of how many values find most pairs above `threshold` and few below."""
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    return index.b, index.r


def band_keys(found: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """64 bits for each band of each signature, equal where all values of the band are.

    Different bands meet at random in 2⁻⁶⁴ of cases; the signatures are compared after that.
    """
    keys = np.zeros((len(found), bands), np.uint64)
    for row in range(rows):
        keys = (keys ^ found[:, row : bands * rows : rows]) * MIX
        keys ^= keys >> np.uint64(29)
    return keys
