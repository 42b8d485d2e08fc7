"""A small corpus with rephrasings and a tokenizer in a checkout, and the stage in many small pieces."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from k2model.chat.tokenizer import save_tokenizer, train_tokenizer
from stages.harness.tables import CORPUS, REPHRASED, write_table

WORDS = [first + second for first in ("ba", "de", "fi", "go", "mu") for second in ("lo", "ne", "sk", "tim", "é")]
# The stage with pieces of some 4 kB, so that a small corpus has many.
SMALL = (
    "import runpy; from stages.tokens import encode; encode.PIECE_CHARS = 4000; "
    "runpy.run_module('stages.tokens', None, '__main__')"
)


def document(doc_id: str, text: str, split: str) -> dict[str, Any]:
    return {"doc_id": doc_id, "title": "t", "text": text, "source": "s", "license": "l", "split": split}


def rephrased(doc_id: str, text: str, accepted: bool) -> dict[str, Any]:
    kinds = {pa.string(): "x", pa.int32(): 1, pa.float64(): 0.5, pa.bool_(): accepted}
    return {field.name: kinds[field.type] for field in REPHRASED} | {"doc_id": doc_id, "text": text}


def fill(checkout: Path, count: int) -> None:
    """`data/corpus.parquet`, `data/rephrased.parquet` and `data/tokenizer`."""
    draw = random.Random(2)
    texts = [" ".join(draw.choices(WORDS, k=draw.randrange(20, 80))) for _ in range(count)]
    rows = [
        document(f"{number:06}", text, "validation" if draw.random() < 0.1 else "train")
        for number, text in enumerate(texts)
    ]
    write_table(checkout / "data/corpus.parquet", rows, CORPUS)
    again = [rephrased(row["doc_id"], row["text"][::-1], draw.random() < 0.5) for row in draw.sample(rows, count // 4)]
    write_table(checkout / "data/rephrased.parquet", again, REPHRASED)
    tokenizer = train_tokenizer(texts, 300)
    save_tokenizer(tokenizer, checkout / "data/tokenizer", chat_template="", max_length=99)
