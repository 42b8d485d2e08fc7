import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.harness.errors import InputError
from stages.harness.files import fingerprint, sha256_tree, write_atomic, write_json


def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def fail() -> None:
        with write_atomic(path) as tmp:
            tmp.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in ("one", "two"):
        with write_atomic(path) as tmp:
            tmp.mkdir()
            (tmp / content).write_text(content)
    assert os.listdir(path) == ["two"]
    assert os.listdir(tmp_path) == ["model"]


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"

    def fill() -> None:
        with write_atomic(path) as tmp:
            tmp.write_text("x")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"out\.bin: the disk is full"):
        fill()
    assert os.listdir(tmp_path) == []


def test_a_disk_that_really_fills(tmp_path: Path) -> None:
    """A 1 MiB tmpfs in a mount namespace of its own: the old output survives, the line names the file."""
    script = f"""
import pathlib
from stages.harness.errors import InputError
from stages.harness.files import write_atomic
path = pathlib.Path({str(tmp_path)!r}) / "out.bin"
path.write_bytes(b"old")
try:
    with write_atomic(path) as tmp:
        tmp.write_bytes(b"0" * (4 << 20))
except InputError as error:
    print(error)
print(path.read_bytes())
"""
    mount = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c "$0"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, script]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert "out.bin: the disk is full; nothing was written" in done.stdout, done.stderr
    assert "b'old'" in done.stdout


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"loss": float("nan")})
    write_json(tmp_path / "m.json", {"b": 1, "a": 2})
    assert list(json.loads((tmp_path / "m.json").read_text())) == ["a", "b"]


def test_hashes_see_names_and_bytes_but_not_compiled_files(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    before = sha256_tree([folder])
    (folder / "__pycache__" / "a.pyc").write_text("x")
    assert sha256_tree([folder]) == before
    (folder / "a.py").rename(folder / "b.py")
    assert sha256_tree([folder]) != before
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
