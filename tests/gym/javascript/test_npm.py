import os
import sys
from pathlib import Path

import pytest

from gym.javascript.npm import Pinned, fetch, integrity
from gym.repositories.errors import RepositoryError

# Stands in for npm: takes archives out of a folder, and says what the real one says.
_NPM = f"""#!{sys.executable}
import json, os, pathlib, shutil, sys
registry = pathlib.Path(os.environ["REGISTRY"])
words = sys.argv[1:]
assert words[0] == "pack" and "--ignore-scripts" in words
if not registry.exists():
    print(json.dumps({{"error": {{"code": "ECONNREFUSED", "summary": "connect to nowhere"}}}}))
    sys.exit(1)
target = words[words.index("--pack-destination") + 1]
for name in words[1 : words.index("--pack-destination")]:
    archive = registry / (name.replace("@", "-") + ".tgz")
    if not archive.exists():
        print(json.dumps({{"error": {{"code": "ETARGET", "summary": "no"}}}}))
        sys.exit(1)
    shutil.copy(archive, target)
"""
ONE = Pinned("one", "1.0.0", integrity(b"the first"))
TWO = Pinned("two", "2.0.0", integrity(b"the second"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a stand-in for npm takes packages from."""
    program = tmp_path / "bin/npm"
    program.parent.mkdir()
    program.write_text(_NPM)
    program.chmod(0o755)
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / ONE.archive).write_bytes(b"the first")
    (folder / TWO.archive).write_bytes(b"the second")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("REGISTRY", str(folder))
    return folder


def test_fetched_once_then_offline(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "archives"
    paths = fetch([ONE, TWO], folder)
    assert [path.read_bytes() for path in paths] == [b"the first", b"the second"]
    assert sorted(folder.iterdir()) == paths
    monkeypatch.chdir(tmp_path)
    assert fetch([ONE], Path("others")) == [Path("others", ONE.archive)]  # npm runs in another folder
    monkeypatch.setenv("REGISTRY", str(tmp_path / "nowhere"))
    assert fetch([ONE, TWO], folder) == paths
    with pytest.raises(RepositoryError, match=r"^one@1\.0\.0 and 1 more: the package registry can't be reached$"):
        fetch([ONE, TWO], tmp_path / "empty")
    paths[0].write_bytes(b"half of it")
    with pytest.raises(RepositoryError, match=r"^one@1\.0\.0: the package registry can't be reached$"):
        fetch([ONE, TWO], folder)


def test_another_hash(registry: Path, tmp_path: Path) -> None:
    (registry / ONE.archive).write_bytes(b"another")
    with pytest.raises(RepositoryError, match=r"^one@1\.0\.0: npm gave another hash than the pinned one$"):
        fetch([TWO, ONE], tmp_path / "archives")
    assert [path.name for path in (tmp_path / "archives").iterdir()] == [TWO.archive]


def test_a_version_that_is_not_there(registry: Path, tmp_path: Path) -> None:
    (registry / ONE.archive).unlink()
    with pytest.raises(RepositoryError, match=r"^one@1\.0\.0: the package registry does not have this version$"):
        fetch([ONE], tmp_path / "archives")


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryError, match=r"^one@1\.0\.0: npm is not installed$"):
        fetch([ONE], tmp_path / "archives")
