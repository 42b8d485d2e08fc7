"""Pre-training text in the vocabulary of the model that came in: as much of the corpus as the steps read."""

from pathlib import Path

import numpy as np

from gym.decontaminate import Index, decontaminate
from k2model.chat.tokenizer import K2Tokenizer
from k2model.training.token_shards import INDEX, ShardWriter, TokenStream
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
from stages.harness.tables import CORPUS, read_table

SHARD_TOKENS = 2**24
AT_ONCE = 64  # documents


def text_stream(
    corpus: Path, folder: Path, tokenizer: K2Tokenizer, tokens: int, index: Index, rng: np.random.Generator, seed: int
) -> TokenStream:
    """Training documents in a seeded order, up to `tokens` of them, as shards in `folder`, which are made once.

    Args:
        index: benchmarks' texts; documents that overlap are left out.
        seed: of the stream's order.

    Raises:
        InputError: the corpus has no training document.
    """
    if not (folder / INDEX).exists():
        table = read_table(corpus, CORPUS)
        rows = zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True)
        texts = [text for text, split in rows if split == "train"]
        order = rng.permutation(len(texts)).tolist()
        with write_atomic(folder) as tmp:
            writer = ShardWriter(tmp, vocab_size=tokenizer.vocab_size, bos=tokenizer.bos, shard_tokens=SHARD_TOKENS)
            for first in range(0, len(order), AT_ONCE):
                batch = [texts[k] for k in order[first : first + AT_ONCE]]
                kept = [batch[k] for k in decontaminate(batch, index).kept]
                for ids in tokenizer.encode_batch(kept):
                    writer.add("train", [tokenizer.bos, *ids, tokenizer.eos])
                if writer.tokens("train") > tokens:
                    break
            if not writer.tokens("train"):
                raise InputError(f"{corpus}: no training documents")
            writer.close()
    return TokenStream(folder, "train", seed)
