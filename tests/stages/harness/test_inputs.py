import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stages.harness.errors import InputError
from stages.harness.inputs import (
    CommandWord,
    FileHashes,
    InputPath,
    ModelSpec,
    check_path,
    content_hash,
    files_below,
    named_paths,
)
from stages.harness.section import Section


class Inner(Section):
    weights: ModelSpec
    words: list[str | list[CommandWord]]


class Outer(Section):
    texts: list[InputPath]
    by_name: dict[str, Inner]
    absent: InputPath | None = None
    plain: str = "here.txt"


def _hash(path: Path, store: Path) -> str:
    return content_hash("key", path, FileHashes(store))


def test_every_value_of_a_path_type_is_found_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text("")
    (tmp_path / "tools.json").write_text("")
    (tmp_path / "folder").mkdir()
    value = {
        "texts": ["here.txt", "sub/gone.txt"],
        "by_name": {
            "a": {
                "weights": "embedded",
                "words": ["http://x/mcp", ["python", "server.py", "--tools=tools.json", "folder"]],
            },
            "b": {"weights": "models/mine", "words": []},
            "c": {"weights": "https://x/v1#m", "words": []},
            "d": {"weights": "folder", "words": []},
        },
    }
    assert dict(named_paths(Outer.model_validate(value), "s")) == {
        "s.texts.0": Path("here.txt"),
        "s.texts.1": Path("sub/gone.txt"),
        "s.by_name.a.words.1.1": Path("server.py"),
        "s.by_name.a.words.1.2": Path("tools.json"),
        "s.by_name.b.weights": Path("models/mine"),
        "s.by_name.d.weights": Path("folder"),
    }


def test_a_path_is_checked_like_any_other_value() -> None:
    class Fields(BaseModel):
        path: InputPath

    with pytest.raises(ValueError, match="valid string"):
        Fields.model_validate({"path": 3})


@pytest.mark.parametrize("change", ["bytes", "name", "new", "gone"])
def test_a_folder_is_another_when_a_file_in_it_is(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("one")
    (folder / "b").write_text("two")
    store = tmp_path / "store.json"
    before = _hash(folder, store)
    assert _hash(folder, store) == before
    if change == "bytes":
        (folder / "sub" / "a").write_text("eno")
    elif change == "name":
        (folder / "b").rename(folder / "c")
    elif change == "new":
        (folder / ".hidden").write_text("")
    else:
        (folder / "b").unlink()
    assert _hash(folder, store) != before


def test_a_repository_is_the_same_after_a_look_at_it(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x")
    before = _hash(tmp_path, tmp_path.parent / "store.json")
    for folder in (".git", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index").write_text("changed by git status, or by python")
    assert _hash(tmp_path, tmp_path.parent / "store.json") == before


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("one")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "data")
    assert files_below(tmp_path / "data") == [tmp_path / "data" / "link" / "a"]
    before = _hash(tmp_path / "data", tmp_path / "store.json")
    (tmp_path / "real" / "a").write_text("two")
    assert _hash(tmp_path / "data", tmp_path / "store.json") != before


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=f"^{tmp_path}: can't be read: Permission denied$"):
        files_below(tmp_path)


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = tmp_path / "a", tmp_path / "store.json"
    file.write_text("one")
    reads: list[Path] = []
    monkeypatch.setattr("stages.harness.inputs.sha256_file", lambda path: reads.append(path) or path.read_text())
    monkeypatch.setattr("stages.harness.inputs.SETTLED_NS", 0)

    def ask() -> str:
        hashes = FileHashes(store)
        answer = content_hash("key", file, hashes)
        hashes.save()
        return answer

    assert [ask(), ask()] == ["one", "one"]
    assert len(reads) == 1
    stat = file.stat()
    file.write_text("two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as rsync -t or touch -r leave it
    assert ask() == "two"
    store.write_text("torn {")
    assert ask() == "two"


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    hashes = FileHashes(tmp_path / "store.json")
    content_hash("key", tmp_path / "a", hashes)
    hashes.save()
    assert not (tmp_path / "store.json").exists()
    assert time.time_ns() > (tmp_path / "a").stat().st_mtime_ns


def test_what_cannot_be_an_input_is_one_line_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^corpus\.paths\.0: .*gone: not found$"):
        check_path("corpus.paths.0", tmp_path / "gone", tmp_path)
    with pytest.raises(InputError, match="holds this checkout"):
        check_path("k", tmp_path, tmp_path / "checkout")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        check_path("k", tmp_path / "pipe", tmp_path)
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "x"
    copy.mkdir(parents=True)
    with pytest.raises(InputError, match="gone: not found; an experiment runs in a copy of what git tracks"):
        check_path("k", Path("gone"), copy)


def test_the_hashes_are_plain_json_values() -> None:
    value: Any = Inner.model_validate({"weights": "embedded", "words": []}).model_dump(mode="json")
    assert json.dumps(value) == '{"weights": "embedded", "words": []}'
