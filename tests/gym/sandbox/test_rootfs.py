import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gym.sandbox import rootfs
from tests.conftest import ROOT

PYTHON = f"usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two small files in the place of an interpreter and its library."""
    source = tmp_path / "one.py"
    source.write_text("VALUE = {'b', 'a', 'c'} & {'a'}\n")
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    files = {f"{PYTHON}/one.py": source, "usr/bin/tool": tool}
    monkeypatch.setattr(rootfs, "sources", lambda: files)
    return files


def test_equal_files_give_equal_bytes_and_are_built_once(few: dict[str, Path], tmp_path: Path) -> None:
    first, second = (rootfs.root_folder(tmp_path / name) for name in ("a", "b"))
    sums = set()
    for folder in (first, second):
        rootfs.write_tar(folder, tmp_path / "out.tar")
        sums.add(hashlib.sha256((tmp_path / "out.tar").read_bytes()).hexdigest())
    assert len(sums) == 1
    (first / "mark").touch()
    assert rootfs.root_folder(tmp_path / "a") == first
    assert (first / "mark").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [first.name]


def test_other_content_is_another_root(few: dict[str, Path], tmp_path: Path) -> None:
    before = rootfs.root_folder(tmp_path / "work")
    few[f"{PYTHON}/one.py"].write_text("VALUE = 2\n")
    assert rootfs.root_folder(tmp_path / "work") != before


def test_everybody_can_read_it_and_nothing_is_newer(few: dict[str, Path], tmp_path: Path) -> None:
    folder = rootfs.root_folder(tmp_path / "work")
    rootfs.write_tar(folder, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        entries = {entry.name: entry for entry in archive}
    assert entries["usr/bin/tool"].mode == 0o755
    assert entries[f"{PYTHON}/one.py"].mode == 0o644
    assert any(name.startswith(f"{PYTHON}/__pycache__/one.") for name in entries)
    assert entries["bin"].linkname == "usr/bin"
    assert entries["sandbox/box"].mode == 0o1777
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries.values()} == {(0, 0, "", 0)}


def test_what_is_copied_is_whole_and_holds_no_packages() -> None:
    targets = set(rootfs.sources())
    assert {"usr/bin/sh", "usr/bin/ls", "usr/bin/grep", "usr/bin/sed", f"{PYTHON}/os.py"} <= targets
    assert any(target.startswith("usr/lib") and "ld-linux" in target for target in targets)
    assert any(target.rpartition("/")[2].startswith("libc.so") for target in targets)
    assert not [target for target in targets if "site-packages" in target or target.endswith((".pyc", ".whl"))]


@pytest.mark.slow
def test_the_image_is_one_file(tmp_path: Path) -> None:
    out = tmp_path / "image.tar"
    command = [sys.executable, "-m", "gym.sandbox.image", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{out}: ")
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
    with tarfile.open(out) as archive:
        names = set(archive.getnames())
    assert {"usr/local/bin/python3", "usr/bin/sh", f"{PYTHON}/json/__init__.py"} <= names
