"""Pre-training text in the vocabulary of the model that came in: plain text among what tuning learns from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, read_table
from stages.posttraining.packing import Example

AT_ONCE = 64  # documents


def documents(
    corpus: Path, tokenizer: K2Tokenizer, index: Index, rng: np.random.Generator
) -> Iterator[list[list[int]]]:
    """Training documents in a seeded order, [BOS] ids [EOS], some at once.

    Args:
        index: benchmarks' texts; documents that overlap are left out.

    Raises:
        InputError: the corpus has no training document, or only such as overlap.
    """
    table = read_table(corpus, CORPUS)
    rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
    texts = [text for text, split in rows if split == "train"]
    order = rng.permutation(len(texts)).tolist()
    some = False
    for first in range(0, len(order), AT_ONCE):
        batch = [texts[k] for k in order[first : first + AT_ONCE]]
        kept = [batch[k] for k in decontaminate(batch, index).kept]
        some = some or bool(kept)
        yield [[tokenizer.bos, *ids, tokenizer.eos] for ids in tokenizer.encode_batch(kept)]
    if not some:
        raise InputError(f"{corpus}: no training documents")


def text_examples(
    corpus: Path, tokenizer: K2Tokenizer, tokens: int, longest: int, index: Index, rng: np.random.Generator
) -> list[Example]:
    """Beginnings of training documents, all tokens learned, until they hold `tokens` tokens.

    Args:
        longest: inputs of one example.

    Raises:
        InputError: see `documents`.
    """
    examples: list[Example] = []
    if tokens == 0:
        return examples
    held = 0
    for batch in documents(corpus, tokenizer, index, rng):
        cut = [ids[: longest + 1] for ids in batch]
        examples += [Example(ids, [True] * len(ids)) for ids in cut]
        held += sum(len(ids) - 1 for ids in cut)
        if held >= tokens:
            break
    return examples
