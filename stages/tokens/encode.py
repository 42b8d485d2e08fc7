"""A piece of the training text as ids: what workers do, each piece for itself."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.batches import batches
from stages.tokens.texts import Text

PIECE_CHARS = 1 << 21  # a worker holds some thirty times as much
AT_ONCE = 64  # documents whose tokens are in memory with all that the tokenizer says about them


@dataclass(frozen=True)
class Recipe:
    """`tokenizer` is the JSON of one; documents that overlap with `benchmarks` are left out."""

    tokenizer: str
    benchmarks: Index


@dataclass
class Encoded:
    """What became of a piece.

    Attributes:
        ids: of each split, those of its documents one after the other, each [BOS] ids [EOS].
        lengths: of the documents.
        overlaps: documents that were left out, by benchmark.
    """

    ids: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    overlaps: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    rephrased: int = 0


def pieces(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Runs of texts of about `PIECE_CHARS`."""
    return batches(texts, PIECE_CHARS, lambda text: len(text.text))


def encode(piece: Sequence[Text], recipe: Recipe) -> Encoded:
    """The piece's documents as ids, without those that overlap with benchmarks."""
    tokenizer = _tokenizer(recipe.tokenizer)
    report = decontaminate((text.text for text in piece), recipe.benchmarks)
    kept = [piece[number] for number in report.kept]
    found = Encoded(
        overlaps=Counter(report.dropped), documents=len(piece), rephrased=sum(text.rephrased for text in piece)
    )
    ids: dict[str, list[NDArray[np.uint32]]] = {}
    for begin in range(0, len(kept), AT_ONCE):
        some = kept[begin : begin + AT_ONCE]
        for text, own in zip(some, tokenizer.encode_batch([text.text for text in some]), strict=True):
            document = np.array([tokenizer.bos, *own, tokenizer.eos], np.uint32)
            ids.setdefault(text.split, []).append(document)
            found.lengths.setdefault(text.split, []).append(len(document))
    found.ids = {split: np.concatenate(documents) for split, documents in ids.items()}
    return found


@lru_cache(1)
def _tokenizer(text: str) -> K2Tokenizer:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # other pieces have the other cores
    return K2Tokenizer(Tokenizer.from_str(text))
