import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.corpus import debian, factbook, user, wikipedia
from stages.corpus.__main__ import fact_rows, read_sources
from stages.corpus.clean import clean, clean_text, drop_exact, drop_near, split_of
from stages.corpus.document import Document
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


def test_cleaning_normalises_and_keeps_the_words() -> None:
    assert clean_text("cafe\u0301\r\n\r\n\r\n\r\nx \x07\u200b y  \n") == "café\n\nx  y"
    assert clean([_document("a", " short ")], min_chars=10) == []


def test_exact_and_near_duplicates_go_the_first_stays() -> None:
    near = WORDS.replace("river", "lake")
    other = " ".join(reversed(WORDS.split()))
    documents = [_document(str(i), text) for i, text in enumerate([WORDS, WORDS.upper(), near, other])]
    exact = drop_exact(documents)
    assert [document.doc_id for document in exact] == ["0", "2", "3"]
    assert [document.doc_id for document in drop_near(exact, 0.7)] == ["0", "3"]
    assert len(drop_near(exact, 1.0)) == 3


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


def test_the_users_own_files(tmp_path: Path) -> None:
    table = pa.table({"text": ["one", "two"], "title": ["A", "B"], "license": ["MIT", "MIT"]})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n\n{"text": "four", "title": "D"}\n')
    (tmp_path / "c.txt").write_text("five")
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.jsonl", "c.txt")]
    documents = list(read_sources(_params(paths=paths), 0))
    assert [document.text for document in documents] == ["one", "two", "three", "four", "five"]
    assert [document.license for document in documents] == ["MIT", "MIT", "user", "user", "user"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.parquet", b"not parquet", "not a readable parquet file"),
        ("x.jsonl", b'{"text": "a"}\n{"text": ', "line 2: not JSON"),
        ("x.jsonl", b'{"body": "a"}\n', "row 1: no text"),
        ("x.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("x.csv", b"a,b", "only .parquet, .jsonl, .txt are read"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        list(user.documents(tmp_path / name))
    assert str(caught.value).startswith(f"corpus.paths: {tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_missing_path_column_source_and_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.txt: not found"):
        list(user.documents(tmp_path / "gone.txt"))
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="no column 'text'; columns: body"):
        list(user.documents(tmp_path / "y.parquet"))
    with pytest.raises(InputError, match="unknown source 'wikipedia'"):
        list(read_sources(_params(sources=["wikipedia"]), 0))
    with pytest.raises(InputError, match="debian:no-such-package: not installed"):
        list(debian.documents("no-such-package"))


def test_an_installed_debian_package_gives_text() -> None:
    documents = list(debian.documents("git"))
    assert documents
    assert all(document.source == "debian:git" for document in documents)


def test_a_sample_does_not_depend_on_order_and_repeats() -> None:
    first = [document.doc_id for document in read_sources(_params(sources=[wikipedia.SOURCE]), 0)]
    assert first == [document.doc_id for document in read_sources(_params(sources=[wikipedia.SOURCE]), 0)]
    assert len(first) == 10
    digest = hashlib.sha256(json.dumps(first).encode()).hexdigest()
    assert digest != hashlib.sha256(json.dumps(sorted(first, reverse=True)).encode()).hexdigest()
