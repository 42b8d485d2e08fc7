"""The corpus' texts as the tokenizer meets them: a batch of rows in memory at a time."""

from collections.abc import Iterator
from pathlib import Path

from stages.harness.seeds import sub_seed
from stages.harness.tables import CORPUS, read_batches


def documents(corpus: Path, split: str) -> Iterator[tuple[str, str]]:
    """Id and text of every document of one split."""
    for rows in read_batches(corpus, CORPUS, ("doc_id", "text", "split")):
        yield from ((row["doc_id"], row["text"]) for row in rows if row["split"] == split)


def sample(corpus: Path, most: int, seed: int) -> Iterator[str]:
    """Texts of training documents in the order of the file: all, or some `most` characters of them.

    Whether a document is in the sample depends on its id, the seed, and the size of the corpus.
    """
    size = sum(len(text) for _, text in documents(corpus, "train"))
    limit = 2**63 * most // max(size, most)
    for doc_id, text in documents(corpus, "train"):
        if size <= most or sub_seed(seed, "tokenizer", "sample", doc_id) < limit:
            yield text
