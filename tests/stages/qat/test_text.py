"""QAT's text: training documents alone, none that a benchmark has, in the vocabulary of the model that came in."""

from pathlib import Path

import numpy as np
import pytest

from gym.decontaminate import Index
from k2model.training.token_shards import TokenStream
from stages.harness.errors import InputError
from stages.harness.seeds import rng
from stages.harness.tables import CORPUS, write_table
from stages.qat.text import text_stream
from tests.small_data import small_tokenizer, write_corpus

TOKENIZER = small_tokenizer(300)


def _stream(folder: Path, tokens: int, index: Index | None = None, name: str = "text") -> TokenStream:
    corpus = folder / "corpus.parquet"
    return text_stream(corpus, folder / name, TOKENIZER, tokens, index or Index(), rng(0, "text"), 3)


def _texts(stream: TokenStream) -> list[str]:
    return [TOKENIZER.decode(stream.document(k).tolist()) for k in range(stream.documents)]


def test_it_takes_as_many_training_documents_as_the_steps_read_and_is_made_once(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    whole = _stream(tmp_path, 10**6, name="whole")
    assert whole.documents == 10 and all("[BOS]" in text and "[EOS]" in text for text in _texts(whole))
    assert not any(f"number {k} sat" in text for text in _texts(whole) for k in range(0, 15, 3))  # held out
    some = _stream(tmp_path, 10, name="some")
    assert some.epoch_tokens > 10 and some.documents <= whole.documents
    assert _texts(some) == _texts(whole)[: some.documents]
    (tmp_path / "corpus.parquet").unlink()
    again = _stream(tmp_path, 10**6, name="whole")
    assert np.array_equal(again.read(0, 500), whole.read(0, 500))


def test_documents_of_benchmarks_are_left_out_and_a_corpus_without_others_is_one_line(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    (text,) = [text for text in _texts(_stream(tmp_path, 10**6)) if "number 4 sat" in text]
    index = Index()
    index.add("bench", [text.replace("[BOS]", "").replace("[EOS]", "")])
    assert not any("number 4 sat" in text for text in _texts(_stream(tmp_path, 10**6, index, "clean")))
    write_table(tmp_path / "corpus.parquet", [], CORPUS)
    with pytest.raises(InputError, match=r"corpus\.parquet: no training documents"):
        _stream(tmp_path, 10, name="none")
