"""Which rephrased texts become training documents."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.harness.errors import InputError

COLUMNS = ("doc_id", "text", "accepted")


def rephrased_texts(path: Path, split_of: Mapping[str, str]) -> list[str]:
    """Accepted rephrasings of training documents, in file order.

    A rephrasing of a validation document would leak it into training, so it is left out.

    Raises:
        InputError: not parquet, a column is missing, or a document isn't in the corpus.
    """
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InputError(f"{path}: not a rephrased corpus: {str(error).splitlines()[0]}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing")
    texts = []
    for doc_id, text, accepted in zip(*(table[name].to_pylist() for name in COLUMNS), strict=True):
        if doc_id not in split_of:
            raise InputError(f"{path}: document {doc_id!r} isn't in the corpus")
        if accepted and split_of[doc_id] == "train":
            texts.append(text)
    return texts
