"""Plain text among what the tuning learns from, so that the network keeps its language."""

from pathlib import Path

import numpy as np

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.tables import CORPUS, read_table
from stages.posttraining.packing import Example

AT_ONCE = 64  # documents


def text_examples(
    corpus: Path, tokenizer: K2Tokenizer, tokens: int, longest: int, index: Index, rng: np.random.Generator
) -> list[Example]:
    """Beginnings of training documents in a seeded order, all tokens learned, until they hold `tokens` tokens.

    Args:
        longest: inputs of one example.
        index: benchmarks' texts; documents that overlap are left out.
    """
    table = read_table(corpus, CORPUS)
    rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
    texts = [text for text, split in rows if split == "train"]
    order = rng.permutation(len(texts)).tolist()
    examples: list[Example] = []
    for first in range(0, len(order), AT_ONCE):
        if sum(example.inputs for example in examples) >= tokens:
            break
        batch = [texts[k] for k in order[first : first + AT_ONCE]]
        kept = [batch[k] for k in decontaminate(batch, index).kept]
        for ids in tokenizer.encode_batch(kept):
            whole = [tokenizer.bos, *ids, tokenizer.eos][: longest + 1]
            examples.append(Example(whole, [True] * len(whole)))
    return examples
