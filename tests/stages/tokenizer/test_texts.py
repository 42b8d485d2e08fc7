from pathlib import Path

import pytest

from stages.harness.tables import CORPUS, write_table
from stages.tokenizer.texts import documents, sample
from tests.stages.tokens.made import document


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four thousand documents of 20 characters, of which a tenth is held out."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.parquet"
    splits = ["train"] * 9 + ["validation"]
    write_table(path, [document(f"{k:04}", f"{k:020}", splits[k % 10]) for k in range(4000)], CORPUS)
    return path


def _train() -> list[str]:
    return [f"{k:020}" for k in range(4000) if k % 10 < 9]


def test_a_small_corpus_is_taken_whole(corpus: Path) -> None:
    assert list(sample(corpus, 20 * 3600, 0)) == _train()
    assert [doc_id for doc_id, _ in documents(corpus, "validation")] == [f"{k:04}" for k in range(9, 4000, 10)]


def test_of_a_larger_one_documents_are_drawn_by_the_seed(corpus: Path) -> None:
    found = list(sample(corpus, 20 * 1200, 0))
    assert found == [text for text in _train() if text in set(found)]
    assert 1050 < len(found) < 1350
    assert found == list(sample(corpus, 20 * 1200, 0))
    other = list(sample(corpus, 20 * 1200, 1))
    assert 300 < len(set(found) & set(other)) < 500  # a third of a third
    assert set(found) < set(sample(corpus, 20 * 1800, 0))
