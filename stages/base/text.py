"""Text of the corpus as rows of tokens, for the conversion."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, read_table

CHARACTERS = 4000  # of a document, so that a few long ones aren't all there is


def rows_of_text(path: Path, tokenizer: K2Tokenizer, length: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Rows of `length` tokens of training documents in random order, [BOS] ids [EOS] one after the other; endless.

    A row begins with a document, as everything does that a model reads: the first position is a place of its own.

    Raises:
        InputError: no training document.
    """
    table = read_table(path, CORPUS)
    columns = (table[name].to_pylist() for name in ("text", "split"))
    train = [text for text, split in zip(*columns, strict=True) if split == "train"]
    if not train:
        raise InputError(f"{path}: no training documents")
    ids: list[int] = []
    while True:
        for index in rng.permutation(len(train)):
            ids += [tokenizer.bos, *tokenizer.encode(train[index][:CHARACTERS]), tokenizer.eos]
            if len(ids) >= length:
                yield torch.tensor(ids[:length])
                ids = []
