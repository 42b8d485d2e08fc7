from pathlib import Path

import pytest

from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, REPHRASED, write_table
from stages.tokens.texts import Text, count_texts, texts
from tests.stages.tokens.made import document, rephrased


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    corpus, others = tmp_path / "corpus.parquet", tmp_path / "rephrased.parquet"
    rows = [document(doc_id, f"text of {doc_id}", split) for doc_id, split in (("a", "train"), ("b", "validation"))]
    write_table(corpus, rows, CORPUS)
    kept, refused, held = rephrased("a", "kept", True), rephrased("a", "no", False), rephrased("b", "leak", True)
    write_table(others, [kept, refused, held], REPHRASED)
    return corpus, others


def test_rephrasings_follow_the_documents_and_none_of_a_held_out_one(tables: tuple[Path, Path]) -> None:
    documents = [Text("train", "text of a", rephrased=False), Text("validation", "text of b", rephrased=False)]
    for times in range(3):
        assert list(texts(*tables, times)) == documents + times * [Text("train", "kept", rephrased=True)]
        assert count_texts(*tables, times) == 2 + 3 * times


def test_a_rephrasing_of_an_unknown_document_is_one_line(tables: tuple[Path, Path]) -> None:
    write_table(tables[1], [rephrased("gone", "text", True)], REPHRASED)
    with pytest.raises(InputError, match=r"rephrased\.parquet: document 'gone' isn't in the corpus"):
        list(texts(*tables, 1))
