import gzip
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from stages.corpus import debian, factbook, wikipedia
from stages.corpus.__main__ import Dropped, facts_of, read_source, sample
from stages.corpus.card import data_card
from stages.corpus.clean import clean_text
from stages.corpus.document import Document, split_of
from stages.corpus.html import html_to_text
from stages.corpus.params import CorpusParams
from stages.corpus.writing import write_corpus
from stages.harness.errors import InputError
from stages.harness.tables import CORPUS, write_table
from tests.conftest import checkout_env
from tests.stages.corpus.made import OUTS, SMALL, old_verdicts, own_texts

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


def test_facts_stand_word_for_word_in_their_documents(tmp_path: Path) -> None:
    documents = sorted([*wikipedia.documents(), *factbook.documents()], key=lambda document: document.doc_id)
    rows = ((each.doc_id, 0, each.title, each.text, each.source, each.license) for each in documents)
    written = write_corpus(tmp_path / "x.parquet", rows, facts_of([wikipedia.SOURCE, factbook.SOURCE]), 0, 0.02)
    facts, texts = written.facts, {document.doc_id: document.text for document in documents}
    assert len(facts) > 5000
    assert all(fact["answer"] in texts[fact["doc_id"]] for fact in facts)
    assert [fact["fact_id"] for fact in facts] == sorted({fact["fact_id"] for fact in facts})
    by_id = {fact["fact_id"]: fact for fact in facts}
    assert by_id["world_factbook/France/Government#capital"]["answer"] == "Paris"
    assert by_id["world_factbook/Japan/Communications#internet_code"]["answer"] == ".jp"


def test_document_ids_are_unique() -> None:
    ids = [document.doc_id for document in (*wikipedia.documents(), *factbook.documents())]
    assert len(ids) == len(set(ids))


def test_missing_sources_and_packages_are_named() -> None:
    with pytest.raises(InputError, match="unknown source 'wikipedia'"):
        read_source("wikipedia")
    with pytest.raises(InputError, match="debian:no-such-package: not installed"):
        list(debian.documents("no-such-package"))
    with pytest.raises(ValueError, match="'python_docs' is listed twice"):
        _params(sources=["python_docs", "python_docs"])


def test_an_installed_debian_package_gives_text() -> None:
    documents = list(debian.documents("git"))
    assert documents
    assert all(document.source == "debian:git" for document in documents)


def test_a_sample_does_not_depend_on_order_and_repeats() -> None:
    every = list(read_source(wikipedia.SOURCE))
    dropped = Dropped()
    chosen = [document.doc_id for document in sample(every, 10, 0, dropped)]
    assert chosen == [document.doc_id for document in sample(reversed(every), 10, 0, Dropped())]
    assert len(chosen) == 10
    assert chosen != [document.doc_id for document in sample(every, 10, 1, Dropped())]
    assert dropped == {(wikipedia.SOURCE, "beyond max_docs_per_source"): len(every) - 10}


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


def test_the_card_gives_each_licence_of_a_source_its_count() -> None:
    one = Counter({"documents": 1, "bytes": 20000, "train": 1})
    entries = {("user:x", "MIT"): one + one, ("user:x", "CC0"): one, ("user:x", "a|b"): one}
    card = data_card(entries, {"capital": 3}, {("user:x", "too short"): 1200}, ["y is x"], {})
    assert "| user:x | MIT | 2 | 0.04 | 2 | 0 |" in card
    assert "| user:x | CC0 | 1 | 0.02 | 1 | 0 |" in card
    assert "| user:x | a/b | 1 | 0.02 | 1 | 0 |" in card
    assert "| user:x | too short | 1,200 |" in card
    assert "| capital | 3 |" in card
    assert "- y is x" in card


def test_a_corpus_without_documents_or_with_one_split_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for rows, says in (([], "the corpus is empty"), ([("a", 0, "", "text", "s", "l")], "one split of 1 documents")):
        with pytest.raises(InputError, match=says):
            write_corpus(tmp_path / "x.parquet", rows, {}, 0, 0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_written_as_a_stream_has_the_bytes_of_one_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("abcdefghij \n", k=draw.randrange(2000))) for _ in range(40_000)]
    rows = [(f"{number:07}", number, "title", text, f"s{number % 3}", "MIT") for number, text in enumerate(texts)]
    write_corpus(tmp_path / "stream.parquet", iter(rows), {}, 0, 0.3)
    at_once = [
        {
            "doc_id": id_,
            "title": title,
            "text": text,
            "source": source,
            "license": licence,
            "split": split_of(id_, 0, 0.3),
        }
        for id_, _, title, text, source, licence in rows
    ]
    write_table(tmp_path / "once.parquet", at_once, CORPUS)
    assert (tmp_path / "stream.parquet").read_bytes() == (tmp_path / "once.parquet").read_bytes()
    monkeypatch.setattr("stages.corpus.writing.BATCH_CHARS", 100_000)
    write_corpus(tmp_path / "small.parquet", iter(rows), {}, 0, 0.3)
    assert pq.ParquetFile(tmp_path / "small.parquet").num_row_groups > 100


def _set(checkout: Path, threads: int, **changes: object) -> None:
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["threads"] = threads
    params["corpus"] |= changes
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))


def _outs(checkout: Path) -> dict[str, bytes]:
    return {name: (checkout / name).read_bytes() for name in OUTS}


@pytest.mark.slow
def test_the_bytes_depend_neither_on_workers_nor_on_a_kill(smoke_checkout: Path, run_in: Callable[..., Any]) -> None:
    texts = own_texts(smoke_checkout / "own")
    _set(smoke_checkout, 1, sources=[], paths=["own"], validation_fraction=0.2)
    run_in(smoke_checkout, sys.executable, "-m", "stages.inputs")
    run_in(smoke_checkout, sys.executable, "-m", "stages.corpus")  # in one piece
    wanted = _outs(smoke_checkout)
    rows = pq.read_table(smoke_checkout / OUTS[0]).to_pylist()
    assert [row["text"] for row in sorted(rows, key=_place)] == [
        clean_text(text) for text, verdict in zip(texts, old_verdicts(texts, 0.8), strict=True) if not verdict
    ]
    _set(smoke_checkout, 2)
    run_in(smoke_checkout, sys.executable, "-c", SMALL)
    assert _outs(smoke_checkout) == wanted

    for name in OUTS:
        (smoke_checkout / name).unlink()
    command = [sys.executable, "-c", SMALL]
    with subprocess.Popen(command, cwd=smoke_checkout, env=checkout_env(), start_new_session=True) as process:
        while len(list(smoke_checkout.glob("work/corpus/*/parts/*/0*.parquet"))) < 4:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while _of_group(process.pid):  # its workers end with it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (kept,) = smoke_checkout.glob("work/corpus/*/parts/*/000001.parquet")
    written = kept.stat().st_mtime_ns
    again = subprocess.Popen(command, cwd=smoke_checkout, env=checkout_env())
    while again.poll() is None:
        assert _changed(kept) in (written, None)  # it isn't prepared again
        time.sleep(0.01)
    assert again.returncode == 0
    assert _outs(smoke_checkout) == wanted
    assert not list(smoke_checkout.glob("work/corpus/*/parts"))


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _place(row: dict[str, Any]) -> tuple[str, int]:
    _, file, number = row["doc_id"].split("/")
    return file, int(number)


def _of_group(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found += [int(entry.name)] if os.getpgid(int(entry.name)) == group else []
            except ProcessLookupError:
                continue
    return found


@pytest.mark.slow
def test_a_bad_file_among_many_is_one_line_and_an_empty_one_too(
    smoke_checkout: Path, run_in: Callable[..., Any]
) -> None:
    folder = smoke_checkout / "bad"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "a text"}\n' * 10)
    for name, content, says in (
        ("b.jsonl.gz", gzip.compress(os.urandom(99))[:-9], "not readable: Compressed file ended"),
        ("b.jsonl", b"\n  \n", "no document in it"),
        ("b.txt", b" \n", "no document in it"),
        ("b.parquet", b"none", "not a readable parquet file"),
    ):
        (folder / name).write_bytes(content)
        _set(smoke_checkout, 2, sources=[], paths=["bad"])
        done = run_in(smoke_checkout, sys.executable, "-m", "stages.corpus", check=False)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"corpus: corpus.paths: bad/{name}: {says}"), done.stderr
        assert done.stderr.count("\n") == 1
        (folder / name).unlink()
