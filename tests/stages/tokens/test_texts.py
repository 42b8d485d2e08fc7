from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, REPHRASED, write_table
from stages.tokens.texts import Text, count_texts, texts


def _rephrased(doc_id: str, text: str, accepted: bool) -> dict[str, Any]:
    kinds = {pa.string(): "x", pa.int32(): 1, pa.float64(): 0.5, pa.bool_(): accepted}
    return {field.name: kinds[field.type] for field in REPHRASED} | {"doc_id": doc_id, "text": text}


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    corpus, rephrased = tmp_path / "corpus.parquet", tmp_path / "rephrased.parquet"
    rows = [
        {"doc_id": doc_id, "title": "t", "text": f"text of {doc_id}", "source": "s", "license": "l", "split": split}
        for doc_id, split in (("a", "train"), ("b", "validation"))
    ]
    write_table(corpus, rows, CORPUS)
    kept, refused, held = _rephrased("a", "kept", True), _rephrased("a", "no", False), _rephrased("b", "leak", True)
    write_table(rephrased, [kept, refused, held], REPHRASED)
    return corpus, rephrased


def test_rephrasings_follow_the_documents_and_none_of_a_held_out_one(tables: tuple[Path, Path]) -> None:
    assert list(texts(*tables)) == [
        Text("train", "text of a", rephrased=False),
        Text("validation", "text of b", rephrased=False),
        Text("train", "kept", rephrased=True),
    ]
    assert count_texts(*tables) == 5


def test_a_rephrasing_of_an_unknown_document_is_one_line(tables: tuple[Path, Path]) -> None:
    write_table(tables[1], [_rephrased("gone", "text", True)], REPHRASED)
    with pytest.raises(InputError, match=r"rephrased\.parquet: document 'gone' isn't in the corpus"):
        list(texts(*tables))
