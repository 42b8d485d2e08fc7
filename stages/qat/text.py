"""As much of the pre-training text as the steps of QAT read, as token shards."""

from pathlib import Path

import numpy as np

from gym.decontaminate import Index
from k2model.chat.tokenizer import K2Tokenizer
from k2model.training.token_shards import INDEX, ShardWriter, TokenStream
from stages.harness.files import write_atomic
from stages.posttraining.text import documents

SHARD_TOKENS = 2**24


def text_stream(
    corpus: Path, folder: Path, tokenizer: K2Tokenizer, tokens: int, index: Index, rng: np.random.Generator, seed: int
) -> TokenStream:
    """Training documents in a seeded order, up to `tokens` of them, as shards in `folder`, which are made once.

    Args:
        index: benchmarks' texts; documents that overlap are left out.
        seed: of the stream's order.

    Raises:
        InputError: see `documents`.
    """
    if not (folder / INDEX).exists():
        with write_atomic(folder) as tmp:
            writer = ShardWriter(tmp, vocab_size=tokenizer.vocab_size, bos=tokenizer.bos, shard_tokens=SHARD_TOKENS)
            for batch in documents(corpus, tokenizer, index, rng):
                for ids in batch:
                    writer.add("train", ids)
                if writer.tokens("train") > tokens:
                    break
            writer.close()
    return TokenStream(folder, "train", seed)
