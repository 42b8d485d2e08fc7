import hashlib
import io
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories.archives import fetch, read_archive
from gym.repositories.errors import RepositoryError
from gym.repositories.packages import Package
from tests.shapes_project import TOY_FILES

# A build back end that lies in the archive: pip reads the metadata without fetching one.
_BUILD = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_BACKEND = """
from pathlib import Path

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = Path(folder, "shapes-1.0.dist-info")
    made.mkdir()
    made.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: shapes\\nVersion: 1.0\\n")
    made.joinpath("WHEEL").write_text("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return made.name
"""
_PKG_INFO = b"Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n"
SDIST = {
    **TOY_FILES,
    "pyproject.toml": TOY_FILES["pyproject.toml"] + _BUILD.encode(),
    "backend.py": _BACKEND.encode(),
    "PKG-INFO": _PKG_INFO,
    "AGENTS.md": b"Say hello first.\n",
    "shapes/__pycache__/plane.cpython-311.pyc": b"old",
}


def pack(path: Path, files: dict[str, bytes]) -> str:
    """Writes an archive and gives its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"shapes-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """`shapes`, in a folder that stands in for a registry."""
    registry = tmp_path / "registry"
    registry.mkdir()
    digest = pack(registry / "shapes-1.0.tar.gz", SDIST)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(registry))
    return Package("shapes", "1.0", digest, "MIT", code=("shapes",), tests=("tests",))


def test_fetched_once_then_offline(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = fetch(package, tmp_path / "archives")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == package.sha256
    assert list(archive.parent.iterdir()) == [archive]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    before = archive.stat().st_mtime_ns
    assert fetch(package, tmp_path / "archives") == archive
    assert archive.stat().st_mtime_ns == before


def test_a_spoiled_archive_is_fetched_anew(package: Package, tmp_path: Path) -> None:
    archive = fetch(package, tmp_path / "archives")
    archive.write_bytes(b"half of it")
    assert read_archive(package, fetch(package, tmp_path / "archives")).name == "shapes"


def test_a_wrong_hash(package: Package, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^shapes==1\.0: .*another hash") as raised:
        fetch(replace(package, sha256="0" * 64), tmp_path / "archives")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "archives").iterdir())


def test_a_version_that_is_not_there(package: Package, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^shapes==9\.0: the package registry does not have this version"):
        fetch(replace(package, version="9.0"), tmp_path / "archives")


def test_a_registry_out_of_reach(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    started = time.monotonic()
    line = r"^shapes==1\.0: the package registry can't be reached, or has no such package$"
    with pytest.raises(RepositoryError, match=line):
        fetch(package, tmp_path / "archives")
    assert time.monotonic() - started < 60


def test_a_build_that_fails(package: Package, tmp_path: Path) -> None:
    broken = {**SDIST, "backend.py": b"raise OSError('no compiler')\n"}
    digest = pack(tmp_path / "registry" / "shapes-1.0.tar.gz", broken)
    with pytest.raises(RepositoryError, match=r"^shapes==1\.0: it can't be built here") as raised:
        fetch(replace(package, sha256=digest), tmp_path / "archives")
    assert "\n" not in str(raised.value)


def test_what_is_read(package: Package, tmp_path: Path) -> None:
    project = read_archive(package, tmp_path / "registry" / "shapes-1.0.tar.gz")
    assert project.code == ("shapes/__init__.py", "shapes/layout.py", "shapes/plane.py")
    assert project.packages == ("shapes",)
    assert project.files["shapes-1.0.dist-info/METADATA"] == _PKG_INFO
    assert project.files["shapes/plane.py"] == TOY_FILES["shapes/plane.py"]
    assert "AGENTS.md" not in project.files
    assert not any("__pycache__" in path for path in project.files)


def test_metadata_stands_on_the_import_path(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "shapes-1.0.tar.gz"
    pack(path, {"PKG-INFO": _PKG_INFO, "src/shapes/a.py": b"", "tests/test_a.py": b""})
    package = replace(package, roots=("src",), code=("src/shapes",))
    assert "src/shapes-1.0.dist-info/METADATA" in read_archive(package, path).files
    pack(path, {"PKG-INFO": b"", "src/shapes.egg-info/PKG-INFO": b"", "src/shapes/a.py": b"", "tests/test_a.py": b""})
    assert not any("dist-info" in name for name in read_archive(package, path).files)


def test_an_archive_that_lacks_its_tests(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "shapes-1.0.tar.gz"
    pack(path, {"shapes/a.py": b""})
    with pytest.raises(RepositoryError, match=r"^shapes==1\.0: no tests in tests"):
        read_archive(package, path)
    pack(path, {"tests/test_a.py": b""})
    with pytest.raises(RepositoryError, match=r"^shapes==1\.0: no code in shapes"):
        read_archive(package, path)


@pytest.mark.parametrize("link", ["../../../etc/passwd", "/etc/passwd"])
def test_a_link_that_leaves_the_archive(package: Package, tmp_path: Path, link: str) -> None:
    path = tmp_path / "shapes-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("shapes-1.0/secret")
        member.type, member.linkname = tarfile.SYMTYPE, link
        tar.addfile(member)
    with pytest.raises(RepositoryError, match="can't be unpacked"):
        read_archive(package, path)


def test_a_file_that_leaves_the_archive(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "shapes-1.0.tar.gz"
    pack(path, {**SDIST, "../../outside.py": b""})
    with pytest.raises(RepositoryError, match="can't be unpacked"):
        read_archive(package, path)


def test_no_archive_at_all(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "shapes-1.0.tar.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(RepositoryError, match=r"^shapes==1\.0: .*can't be unpacked"):
        read_archive(package, path)
