import os
from pathlib import Path

import boto3
import pytest

from stages.corpus.files import TextPath, user_files
from stages.corpus.user import documents, stretches
from stages.harness.errors import InputError
from tests.servers import s3


def _made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'{{"text": "{name}"}}\n')


def _names(*paths: str) -> list[str]:
    return [file.name for file in user_files(paths)[0]]


def test_a_pattern_gives_the_files_that_match_and_names_them_below_the_folder_it_begins_with(tmp_path: Path) -> None:
    _made(tmp_path, "en/a.jsonl", "en/b.jsonl", "en/c.txt", "de/x/a.jsonl", "en/notes.pdf")
    assert _names(f"{tmp_path}/en/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert _names(f"{tmp_path}/*/[ab].jsonl") == ["en/a.jsonl", "en/b.jsonl"]
    assert _names(f"{tmp_path}/**/*.jsonl") == ["de/x/a.jsonl", "en/a.jsonl", "en/b.jsonl"]
    assert _names(f"{tmp_path}/en/*") == ["a.jsonl", "b.jsonl", "c.txt"]
    with pytest.raises(InputError, match=r"en/\*\.zst: no file \.parquet.* matches"):
        user_files([f"{tmp_path}/en/*.zst"])


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    _made(tmp_path, "[1].jsonl", "1.jsonl")
    assert _names(f"{tmp_path}/[1].jsonl") == ["[1].jsonl"]


def test_a_pattern_depends_on_the_folder_that_it_begins_with_and_a_url_on_nothing_here(tmp_path: Path) -> None:
    _made(tmp_path, "en/[1].jsonl")
    assert TextPath(f"{tmp_path}/en/*/x*.jsonl").path() == tmp_path / "en"
    assert TextPath(f"{tmp_path}/en/[1].jsonl").path() == tmp_path / "en" / "[1].jsonl"
    assert TextPath(f"{tmp_path}/gone.jsonl").path() == tmp_path / "gone.jsonl"
    assert TextPath("s3://bucket/en").path() is None


def test_keys_do_not_belong_into_a_url() -> None:
    with pytest.raises(InputError, match="stand in the environment"):
        user_files(["s3://key:secret@bucket/en"])


@pytest.mark.slow
def test_objects_on_s3_are_read_like_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3(tmp_path, "texts") as access:
        for name, value in access.items():
            monkeypatch.setenv(name, value)
        url = access["AWS_ENDPOINT_URL_S3"]
        client = boto3.client("s3", endpoint_url=url)
        for key in ("en/a.jsonl", "en/x/b.jsonl", "de/c.jsonl", "de/notes.pdf"):
            client.put_object(Bucket="texts", Key=key, Body=f'{{"text": "{key}"}}\n'.encode())
        query = f"?endpoint_override={url.removeprefix('http://')}&scheme=http"

        def read(path: str) -> list[tuple[str, str]]:
            files, _ = user_files([f"s3://texts/{path}{query}"])
            assert all(file.stamp()[1] > 0 for file in files)
            return [
                (each.doc_id, each.text) for file in files for some in stretches(file, 99) for each in documents(some)
            ]

        assert read("en") == [
            ("user/s3/texts/en/a.jsonl/1", "en/a.jsonl"),
            ("user/s3/texts/en/x/b.jsonl/1", "en/x/b.jsonl"),
        ]
        assert read("de/c.jsonl") == [("user/s3/texts/de/c.jsonl/1", "de/c.jsonl")]
        assert [text for _, text in read("*/*.jsonl")] == ["de/c.jsonl", "en/a.jsonl"]
        assert [text for _, text in read("**/*.jsonl")] == ["de/c.jsonl", "en/a.jsonl", "en/x/b.jsonl"]
        for path, says in (("gone", "not found"), ("de/*.zst", "no file .parquet"), ("en/gone.txt", "not found")):
            with pytest.raises(InputError, match=says):
                read(path)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        assert not os.environ.get("AWS_PROFILE")
