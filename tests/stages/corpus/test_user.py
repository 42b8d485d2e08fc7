import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.corpus import user
from stages.corpus.document import Document
from stages.corpus.files import user_files
from stages.harness.errors import InputError


def _read(*paths: Path, most: int = 1 << 20) -> list[Document]:
    files, _ = user_files([str(path) for path in paths])
    return [document for file in files for each in user.stretches(file, most) for document in user.documents(each)]


def _parquet(path: Path, texts: Sequence[str], **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": list(texts), **columns}), path)
    return path


def _packed(path: Path, content: bytes) -> Path:
    if path.suffix == ".zst":
        content = pa.compress(content, "zstd", asbytes=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_the_users_own_files(tmp_path: Path) -> None:
    table = _parquet(tmp_path / "a.parquet", ["one", "two"], title=["A", "B"], license=["MIT", " CC0\n1.0 "])
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n\n{"text": "four", "title": "D", "license": null}\n')
    (tmp_path / "c.txt").write_text("five")
    (tmp_path / "d.TXT.gz").write_bytes(gzip.compress(b"six"))
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'\xef\xbb\xbf{"text": "seven"}\n'))
    documents = _read(table, *(tmp_path / name for name in ("b.jsonl", "c.txt", "d.TXT.gz", "e.jsonl.gz")))
    assert [document.text for document in documents] == ["one", "two", "three", "four", "five", "six", "seven"]
    assert [document.license for document in documents] == ["MIT", "CC0 1.0", *["user"] * 5]
    assert documents[0].doc_id == "user/a.parquet/0"


def test_files_of_the_same_name_have_documents_of_their_own(tmp_path: Path) -> None:
    paths = [_parquet(tmp_path / f"{folder}/part-00000.parquet", [folder, "same"]) for folder in ("en", "de", "en/x")]
    documents = _read(*paths)
    assert [document.text for document in documents] == ["en", "same", "de", "same", "en/x", "same"]
    assert [document.doc_id for document in documents[::2]] == [
        "user/en/part-00000.parquet/0",
        "user/de/part-00000.parquet/0",
        "user/en/x/part-00000.parquet/0",
    ]
    assert {document.source for document in documents[2:4]} == {"user:de/part-00000.parquet"}


def test_a_folder_gives_the_files_below_it_and_other_files_never_rename_them(tmp_path: Path) -> None:
    for name in ("b/en.parquet", "a/de.parquet"):
        _parquet(tmp_path / "own" / name, [name])
    (tmp_path / "own" / "a" / "_SUCCESS").touch()
    (tmp_path / "own" / "a" / ".hidden.txt").write_text("passed over")
    first = [document.doc_id for document in _read(tmp_path / "own")]
    assert first == ["user/a/de.parquet/0", "user/b/en.parquet/0"]
    _parquet(tmp_path / "own" / "new.parquet", ["new"])
    assert set(first) < {document.doc_id for document in _read(tmp_path / "own")}


def test_the_same_file_twice_is_said_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _parquet(Path("en/a.parquet"), ["one"])
    os.symlink("en", "link")
    os.symlink("a.parquet", "en/again.parquet")
    spellings = ["en/a.parquet", "./en/../en/a.parquet", str(tmp_path / "en/a.parquet"), "link/a.parquet"]
    files, repeated = user_files(["en/a.parquet", *spellings, "en"])
    assert [file.path for file in files] == ["en/a.parquet"]
    assert len(repeated) == 6
    assert repeated[-1] == "corpus.paths: en/again.parquet is the same file as en/a.parquet: it is read once"


def test_links_with_the_same_name_in_different_folders_are_different_files(tmp_path: Path) -> None:
    for folder in ("en", "de"):
        _parquet(tmp_path / "store" / f"{folder}.parquet", [folder])
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.parquet").symlink_to(tmp_path / "store" / f"{folder}.parquet")
    documents = _read(tmp_path / "en" / "part.parquet", tmp_path / "de" / "part.parquet")
    assert [(document.doc_id, document.text) for document in documents] == [
        ("user/en/part.parquet/0", "en"),
        ("user/de/part.parquet/0", "de"),
    ]


def test_ids_that_the_user_gives_may_repeat(tmp_path: Path) -> None:
    _parquet(tmp_path / "a.parquet", ["one", "two"], id=["x", "x"])
    (tmp_path / "b.jsonl").write_text('{"id": "x", "text": "three"}\n{"id": "x", "text": "four"}\n')
    documents = _read(tmp_path / "a.parquet", tmp_path / "b.jsonl")
    assert len({document.doc_id for document in documents}) == 4


def test_a_file_name_that_is_not_utf_8_gives_an_id_that_is(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("text")
    (document,) = _read(path)
    assert document.doc_id.encode() == b"user/caf\\xe9.txt/0"


def _latin_1_parquet(path: Path, column: str) -> None:
    raw = pa.array([b"fine", b"gr\xfc\xdfe", b"fine"], pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    columns = {"text": pa.array(["a", "b", "c"]), column: bad}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("column", ["text", "title", "license"])
def test_a_latin_1_value_in_a_parquet_column_names_file_row_and_column(tmp_path: Path, column: str) -> None:
    path = tmp_path / "x.parquet"
    _latin_1_parquet(path, column)
    with pytest.raises(InputError) as caught:
        _read(path)
    assert str(caught.value) == f"corpus.paths: {path}: row 1: column {column!r}: not UTF-8: byte 0xfc at 2"


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_file_in_many_stretches_gives_the_same_documents(tmp_path: Path, kind: str) -> None:
    path = _packed(tmp_path / f"x{kind}", b"".join(b'{"text": "%d"}\n\n' % row for row in range(500)))
    whole = _read(path)
    assert [document.text for document in whole] == [str(row) for row in range(500)]
    assert [document.doc_id for document in whole[:2]] == [f"user/x{kind}/1", f"user/x{kind}/3"]
    assert _read(path, most=64) == whole


def test_a_table_in_many_stretches_counts_its_rows_on(tmp_path: Path) -> None:
    rows = 2 * user.ROWS + 7
    documents = _read(_parquet(tmp_path / "x.parquet", [str(row) for row in range(rows)]))
    assert [document.doc_id for document in documents] == [f"user/x.parquet/{row}" for row in range(rows)]


def test_two_packed_streams_in_one_file_are_one_text(tmp_path: Path) -> None:
    for kind in (".txt.gz", ".txt.zst"):
        path = _packed(tmp_path / f"x{kind}", b"one ")
        path.write_bytes(path.read_bytes() + _packed(tmp_path / f"y{kind}", b"two").read_bytes())
        assert [document.text for document in _read(path)] == ["one two"]


def test_a_column_that_nobody_reads_may_hold_anything(tmp_path: Path) -> None:
    _latin_1_parquet(tmp_path / "x.parquet", "id")
    assert [document.text for document in _read(tmp_path / "x.parquet")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (pa.large_string(), ["a", "b"]),
        (pa.string_view(), ["a", "b"]),
        (pa.dictionary(pa.int32(), pa.string()), ["a", "a"]),
    ],
)
def test_every_kind_of_string_column_is_text(tmp_path: Path, kind: pa.DataType, texts: list[str]) -> None:
    pq.write_table(pa.table({"text": pa.array(texts, kind)}), tmp_path / "x.parquet")
    assert [document.text for document in _read(tmp_path / "x.parquet")] == texts


LONG = b"1" * 4301
DEEP = b"[" * 20000 + b"]" * 20000


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.parquet", b"not parquet", "not a readable parquet file"),
        ("x.parquet", b"", "not a readable parquet file"),
        ("x.parquet", b"PAR1" + b"\0" * 64 + b"PAR1", "not a readable parquet file"),
        ("x.jsonl", b'{"text": "a"}\n{"text": ', "line 2: not JSON"),
        ("x.jsonl", b'{"body": "a"}\n', "row 1: no text"),
        ("x.jsonl", b'{"text": 5}\n', "row 1: no text"),
        ("x.jsonl", b'["text"]\n', "line 1: no JSON object"),
        ("x.jsonl", b'{"text": "a"}\n{"text": "b", "id": ' + LONG + b"}\n", "line 2: a number of 4301 digits"),
        ("x.jsonl", b'{"text": "a", "id": ' + b"7" * 5000 + b"}\n", "line 1: a number of 5000 digits"),
        ("x.jsonl", b'{"text": "a", "score": NaN}\n', "line 1: a number that is not finite"),
        ("x.jsonl", b'{"text": "a", "score": -1e999}\n', "line 1: a number that is not finite"),
        ("x.jsonl", b'{"text": "a", "x": ' + DEEP + b"}\n", "line 1: nested deeper"),
        ("x.jsonl", b'{"text": "gr\xfc\xdfe"}\n', "line 1: not UTF-8: byte 0xfc at 12"),
        ("x.jsonl", '{"text": "a"}\n'.encode("utf-16"), "row 0: UTF-16, not UTF-8"),
        ("x.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "line 1: not JSON"),
        ("x.jsonl.gz", b'{"text": "a"}\n', "not readable: Not a gzipped file"),
        ("x.jsonl.gz", gzip.compress(b'{"text": "a"}\n', mtime=0)[:-9], "not readable: Compressed file ended"),
        ("x.txt.gz", gzip.compress(b"some text that is long", mtime=0)[:12] + b"\xff" * 30, "not readable"),
        ("x.jsonl.zst", b'{"text": "a"}\n', "not readable: ZSTD decompress failed: Unknown frame descriptor"),
        ("x.jsonl.zst", pa.compress(b'{"text": "a"}\n' * 99, "zstd", asbytes=True)[:-5], "not readable"),
        ("x.txt", b"\xff\xfe\x00", "UTF-16, not UTF-8"),
        ("x.txt", "Grüße".encode("utf-16-le"), "zero byte at 1; is it UTF-16"),
        ("x.txt", "Grüße".encode("latin-1"), "row 0: not UTF-8: byte 0xfc at 2"),
        ("x.csv", b"a,b", "only .parquet, .jsonl, .txt, .jsonl.gz, .txt.gz, .jsonl.zst, .txt.zst are read"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        _read(tmp_path / name)
    assert str(caught.value).startswith(f"corpus.paths: {tmp_path / name}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_a_parquet_file_without_text_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="no column 'text'; columns: body"):
        _read(tmp_path / "y.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "z.parquet")
    with pytest.raises(InputError, match="column 'text' is int64, expected string"):
        _read(tmp_path / "z.parquet")
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "n.parquet")
    with pytest.raises(InputError, match=r"n\.parquet: row 1: no text"):
        _read(tmp_path / "n.parquet")
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="more than one column 'text'"):
        _read(tmp_path / "t.parquet")


def test_a_torn_parquet_page_names_the_row(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "x.parquet", [f"{k} words" * 50 for k in range(2000)])
    raw = bytearray(path.read_bytes())
    raw[2000:6000] = b"\xff" * 4000
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"x\.parquet: row 0 or after: not readable"):
        _read(path)


def test_a_missing_file_and_a_folder_of_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.txt: not found"):
        _read(tmp_path / "gone.txt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.pdf").touch()
    with pytest.raises(InputError, match="empty: a folder without a file"):
        _read(tmp_path / "empty")


def test_a_line_of_json_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    text = "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"
    raw = json.dumps({"text": text}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_bytes(f"{raw}\r\n{raw}".encode())
    assert [document.text for document in _read(tmp_path / "a.jsonl")] == [text, text]


def test_half_of_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud83d b", "title": "\\udc00"}\n')
    (document,) = _read(tmp_path / "a.jsonl")
    assert (document.text, document.title) == ("a \ufffd b", "\ufffd")
