from pathlib import Path

import pytest

from stages.corpus import debian, factbook, wikipedia
from stages.corpus.__main__ import Dropped, fact_rows, read_sources, sample
from stages.corpus.card import data_card
from stages.corpus.clean import clean
from stages.corpus.deduplicate import drop_exact
from stages.corpus.document import Document, split_of
from stages.corpus.html import html_to_text
from stages.corpus.params import CorpusParams
from stages.harness.errors import InputError

WORDS = "the quick brown fox jumps over a lazy dog while seven green birds watch from an old oak tree near the river"


def _document(doc_id: str, text: str) -> Document:
    return Document(doc_id, doc_id, text, "test", "none")


def _params(**changes: object) -> CorpusParams:
    default: dict[str, object] = {
        "sources": [],
        "paths": [],
        "max_docs_per_source": 10,
        "min_chars": 10,
        "near_dup_threshold": 0.8,
        "validation_fraction": 0.5,
    }
    return CorpusParams.model_validate(default | changes)


def test_the_split_depends_on_the_document_alone() -> None:
    splits = [split_of(f"doc/{i}", 0, 0.25) for i in range(4000)]
    assert splits == [split_of(f"doc/{i}", 0, 0.25) for i in range(4000)]
    assert 0.22 < splits.count("validation") / 4000 < 0.28
    assert splits != [split_of(f"doc/{i}", 1, 0.25) for i in range(4000)]


def test_html_gives_words_without_scripts() -> None:
    page = "<html><head><title>t</title></head><body><p>One&nbsp;&amp; two</p><script>x()</script><li>three</body>"
    assert html_to_text(page).split("\n") == ["One & two", "", "three"]


def test_facts_stand_word_for_word_in_their_documents() -> None:
    rows = {
        document.doc_id: {"text": document.text, "split": "train"}
        for document in (*wikipedia.documents(), *factbook.documents())
    }
    facts = fact_rows([wikipedia.SOURCE, factbook.SOURCE], rows)
    assert len(facts) > 5000
    assert all(fact["answer"] in rows[fact["doc_id"]]["text"] for fact in facts)
    assert len({fact["fact_id"] for fact in facts}) == len(facts)
    by_id = {fact["fact_id"]: fact for fact in facts}
    assert by_id["world_factbook/France/Government#capital"]["answer"] == "Paris"
    assert by_id["world_factbook/Japan/Communications#internet_code"]["answer"] == ".jp"


def test_document_ids_are_unique() -> None:
    ids = [document.doc_id for document in (*wikipedia.documents(), *factbook.documents())]
    assert len(ids) == len(set(ids))


def test_missing_sources_and_packages_are_named() -> None:
    with pytest.raises(InputError, match="unknown source 'wikipedia'"):
        read_sources(_params(sources=["wikipedia"]))
    with pytest.raises(InputError, match="debian:no-such-package: not installed"):
        list(debian.documents("no-such-package"))
    with pytest.raises(ValueError, match="'python_docs' is listed twice"):
        _params(sources=["python_docs", "python_docs"])


def test_an_installed_debian_package_gives_text() -> None:
    documents = list(debian.documents("git"))
    assert documents
    assert all(document.source == "debian:git" for document in documents)


def test_a_sample_does_not_depend_on_order_and_repeats() -> None:
    every = read_sources(_params(sources=[wikipedia.SOURCE]))
    chosen = [document.doc_id for document in sample(every, 10, 0)]
    assert chosen == [document.doc_id for document in sample(list(reversed(every)), 10, 0)]
    assert len(chosen) == 10
    assert chosen != [document.doc_id for document in sample(every, 10, 1)]


def test_an_old_debian_file_is_latin_1_and_a_broken_one_is_named(tmp_path: Path) -> None:
    old, broken = tmp_path / "old.txt", tmp_path / "broken.txt.gz"
    old.write_bytes("Grüße".encode("cp1252"))
    broken.write_bytes(b"no gzip")
    assert debian.decoded(old) == "Grüße"
    with pytest.raises(InputError, match="broken.txt.gz: not readable"):
        debian.decoded(broken)


def test_cells_of_a_table_do_not_touch_and_a_head_may_have_no_end() -> None:
    assert html_to_text("<table><tr><td>one</td><td>First</td></tr></table>") == "one First"
    assert html_to_text("<html><head><title>t</title><body><p>seen</p>") == "seen"
    assert html_to_text("<blockquote>one</blockquote>First").split() == ["one", "First"]


def test_every_document_that_was_left_out_is_counted_with_its_reason() -> None:
    documents = [_document(str(k), text) for k, text in enumerate(["short", WORDS, WORDS.upper()])]
    dropped = Dropped()
    cleaned = dropped.note(documents, clean(documents, 20), "short")
    dropped.note(cleaned, drop_exact(cleaned), "same")
    assert dropped == {("test", "short"): 1, ("test", "same"): 1}
    assert dropped.by_reason("same") == 1


def test_the_card_gives_each_licence_of_a_source_its_count() -> None:
    licences = ["MIT", "CC0", "MIT", "a|b"]
    rows = [{"source": "user:x", "license": name, "text": "t", "split": "train"} for name in licences]
    card = data_card(rows, [], {("user:x", "too short"): 1200}, ["y is x"], {})
    assert "| user:x | MIT | 2 | 0.00 | 2 | 0 |" in card
    assert "| user:x | CC0 | 1 | 0.00 | 1 | 0 |" in card
    assert "| user:x | a/b | 1 | 0.00 | 1 | 0 |" in card
    assert "| user:x | too short | 1,200 |" in card
    assert "- y is x" in card
