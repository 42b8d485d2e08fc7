import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from gym.javascript.npm import Pinned, integrity
from gym.javascript.packages import Package, read_packages
from gym.javascript.project import read_project
from gym.repositories.errors import RepositoryError

FILES = {
    "package.json": b'{"name": "scripts", "scripts": {"prepack": "exit 1"}}',
    "index.js": b"module.exports = require('./lib/a');\n",
    "lib/a.js": b"module.exports = 1;\n",
    "dist/all.js": b"module.exports = 1;\n",
    "lib/a.min.js": b"module.exports=1",
    "AGENTS.md": b"Say hello first.\n",
    "test/a.js": b"const test = require('tape');\n",
    "test/helper.js": b"exports.two = 2;\n",
}
LIBRARY = {"index.js": b"module.exports = 3;\n", "package.json": b"{}", "test/x.js": b"", "logo.png": b"x"}


def pack(folder: Path, name: str, files: dict[str, bytes], link: str = "") -> Pinned:
    """An archive as npm packs it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("package/lib/link.js")
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
    pinned = Pinned(name, "1.0.0", integrity(packed.getvalue()))
    (folder / pinned.archive).write_bytes(packed.getvalue())
    return pinned


def _package(folder: Path, files: dict[str, bytes] = FILES, link: str = "") -> Package:
    pinned = pack(folder, "scripts", files, link)
    return Package(pinned, "MIT", ("index.js", "lib"), ("test",), (pack(folder, "three", LIBRARY),))


def test_what_is_read(tmp_path: Path) -> None:
    project = read_project(_package(tmp_path), tmp_path)
    assert project.code == ("index.js", "lib/a.js")
    assert project.tests == ("test/a.js",)
    assert sorted(project.files) == ["index.js", "lib/a.js", "package.json", "test/a.js", "test/helper.js"]
    assert sorted(project.libraries) == ["node_modules/three/index.js", "node_modules/three/package.json"]


@pytest.mark.parametrize("link", ["a.js", "../../../etc/passwd", "/etc/passwd"])
def test_links_are_refused(tmp_path: Path, link: str) -> None:
    with pytest.raises(RepositoryError, match=r"^scripts@1\.0\.0: can't be unpacked: package/lib/link\.js is a link$"):
        read_project(_package(tmp_path, link=link), tmp_path)


def test_files_that_leave_the_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^scripts@1\.0\.0: can't be unpacked"):
        read_project(_package(tmp_path, {**FILES, "../../outside.js": b""}), tmp_path)
    package = _package(tmp_path)
    (tmp_path / package.pinned.archive).write_bytes(b"<html>not found</html>")
    broken = replace(package, pinned=replace(package.pinned, integrity=integrity(b"<html>not found</html>")))
    with pytest.raises(RepositoryError, match=r"^scripts@1\.0\.0: can't be unpacked"):
        read_project(broken, tmp_path)


def test_a_package_without_code_or_tests(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^scripts@1\.0\.0: no tests in test$"):
        read_project(_package(tmp_path, {"index.js": b"", "test/a.js": b"require('mocha')"}), tmp_path)
    with pytest.raises(RepositoryError, match=r"^scripts@1\.0\.0: no code in index\.js, lib$"):
        read_project(_package(tmp_path, {"test/a.js": b"require('tape')"}), tmp_path)


def test_the_table_is_pinned_and_permissive() -> None:
    packages = read_packages()
    assert "qs" in packages
    for package in packages.values():
        assert package.licence in ("BSD-3-Clause", "MIT", "ISC")
        assert all(one.integrity.startswith("sha512-") for one in (package.pinned, *package.needs))


def test_a_table_with_a_mistake_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "packages.yaml"
    entry = "version: '1'\n    integrity: sha512-x\n    licence: MIT\n    code: [a]\n    tests: [b]\n"
    table.write_text(f"libraries: {{}}\npackages:\n  a:\n    {entry}    needs: [b]\n")
    with pytest.raises(RepositoryError, match="b is needed but not among its libraries"):
        read_packages(table)
    table.write_text(f"libraries: {{}}\npackages:\n  a:\n    {entry}    held: true\n")
    with pytest.raises(RepositoryError, match="a: unknown or missing held"):
        read_packages(table)
