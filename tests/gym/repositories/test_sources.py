import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gym.repositories.errors import RepositoryError
from gym.repositories.sources import read_repository
from tests.shapes_project import TOY_FILES

METADATA = {"shapes-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n"}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *own, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with the toy package, an ignored file, and one that is neither ignored nor committed."""
    folder = write(tmp_path / "shapes", {**TOY_FILES, ".gitignore": b"*.log\n"})
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "all")
    write(folder, {"run.log": b"secret", "shapes/fresh.py": b"NEW = 1\n"})
    return folder


def test_a_folder(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "shapes", {**TOY_FILES, "shapes/__pycache__/plane.cpython-311.pyc": b"", "CLAUDE.md": b""}
    )
    project = read_repository(str(folder), tmp_path / "work")
    assert project.files == {**TOY_FILES, **METADATA}
    assert (project.name, project.version, project.roots, project.tests) == ("shapes", "", ("",), ("tests",))
    assert project.code == ("shapes/__init__.py", "shapes/layout.py", "shapes/plane.py")
    assert project.packages == ("shapes",)
    assert not project.needs


def test_a_working_tree_without_what_git_ignores(checkout: Path, tmp_path: Path) -> None:
    (checkout / "shapes/layout.py").unlink()
    project = read_repository(str(checkout), tmp_path / "work")
    assert project.code == ("shapes/__init__.py", "shapes/fresh.py", "shapes/plane.py")
    assert "run.log" not in project.files
    assert not any(path.startswith(".git/") for path in project.files)


def test_a_folder_of_a_larger_repository(checkout: Path, tmp_path: Path) -> None:
    write(checkout / "apps/one", {"core.py": b"", "test_core.py": b"", "run.log": b"secret"})
    assert {*read_repository(str(checkout / "apps/one"), tmp_path / "work").files} == {
        "core.py",
        "run.log",
        "test_core.py",
    }
    git(checkout, "add", "apps")
    files = read_repository(str(checkout / "apps/one"), tmp_path / "work").files
    assert {*files} == {"core.py", "test_core.py"}  # the larger one ignores logs


def test_a_repository_s_settings_start_no_program(checkout: Path, tmp_path: Path) -> None:
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    monitor.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(monitor))
    read_repository(str(checkout), tmp_path / "work")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["url", "bare"])
def test_a_clone(checkout: Path, tmp_path: Path, kind: str) -> None:
    source = checkout.as_uri()
    if kind == "bare":
        git(tmp_path, "clone", "--bare", str(checkout), "shapes.git")
        source = str(tmp_path / "shapes.git")
    project = read_repository(source, tmp_path / "work", held=True)
    assert project.files == {**TOY_FILES, **METADATA, ".gitignore": b"*.log\n"}
    assert project.name == "shapes"
    assert len(project.version) == 40
    assert project.held
    assert not list((tmp_path / "work").iterdir())


def test_an_address_that_git_does_not_find(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"^file:///.*nowhere: git clone failed: ") as raised:
        read_repository((tmp_path / "nowhere").as_uri(), tmp_path / "work")
    assert "\n" not in str(raised.value)


def test_neither_folder_nor_address(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="nowhere: neither a folder nor an address"):
        read_repository(str(tmp_path / "nowhere"), tmp_path / "work")


def test_code_below_src(tmp_path: Path) -> None:
    files = {"src/app/core.py": b"", "src/app/core_test.py": b"", "setup.py": b"", "docs/conf.py": b""}
    files["pyproject.toml"] = b'[project]\nname = "my-app"\ndynamic = ["version"]\n'
    project = read_repository(str(write(tmp_path / "app", files)), tmp_path / "work")
    assert project.roots == ("src", "")
    assert project.code == ("src/app/core.py",)
    assert project.tests == ("src/app/core_test.py",)
    assert b"Name: my-app\n" in project.files["src/my_app-0.dist-info/METADATA"]


def test_code_without_src(tmp_path: Path) -> None:
    files = {"core.py": b"", "part/more.py": b"", "setup.py": b"", "docs/conf.py": b"", "conftest.py": b""}
    files[".tools/check.py"] = b""
    project = read_repository(str(write(tmp_path / "app", {**files, "test_core.py": b""})), tmp_path / "work")
    assert project.code == ("core.py", "part/more.py")
    assert project.tests == ("test_core.py",)


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        ("pyproject.toml", b'[tool.pytest.ini_options]\ntestpaths = ["checks/"]\npython_files = ["check_*.py"]\n'),
        ("pytest.ini", b"[pytest]\ntestpaths = checks\npython_files = check_*.py\n"),
        ("setup.cfg", b"[tool:pytest]\ntestpaths = checks\npython_files = check_*.py\n"),
    ],
)
def test_settings_of_pytest_are_followed(tmp_path: Path, settings: str, content: bytes) -> None:
    files = {"core.py": b"", "checks/check_core.py": b"", "tests/test_old.py": b"", settings: content}
    project = read_repository(str(write(tmp_path / "app", files)), tmp_path / "work")
    assert project.tests == ("checks",)
    assert project.code == ("core.py",)


def test_no_suite(tmp_path: Path) -> None:
    folder = write(tmp_path / "app", {"core.py": b"", "tests/data.txt": b"", "tests/helpers.py": b""})
    with pytest.raises(RepositoryError, match=r"^app: no pytest suite: no file named test_\*\.py or \*_test\.py$"):
        read_repository(str(folder), tmp_path / "work")


def test_no_code(tmp_path: Path) -> None:
    folder = write(tmp_path / "app", {"tests/test_core.py": b""})
    with pytest.raises(RepositoryError, match="^app: no Python code"):
        read_repository(str(folder), tmp_path / "work")


@pytest.mark.parametrize("settings", [b"[tool", b"tool = 3", b"[tool]\npytest = []", b"project = 'app'"])
def test_settings_that_can_not_be_read(tmp_path: Path, settings: bytes) -> None:
    folder = write(tmp_path / "app", {"core.py": b"", "test_core.py": b"", "pyproject.toml": settings})
    with pytest.raises(RepositoryError, match=r"^app: pyproject\.toml can't be read") as raised:
        read_repository(str(folder), tmp_path / "work")
    assert "\n" not in str(raised.value)


def test_links_stay_inside(tmp_path: Path) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("KEY = 1")
    folder = write(tmp_path / "app", {"core.py": b"ONE = 1", "test_core.py": b""})
    os.symlink(outside, folder / "secret.py")
    os.symlink("core.py", folder / "alias.py")
    files = read_repository(str(folder), tmp_path / "work").files
    assert files["alias.py"] == b"ONE = 1"
    assert "secret.py" not in files


def test_a_folder_that_is_too_large(tmp_path: Path) -> None:
    folder = write(tmp_path / "app", {"core.py": b"", "test_core.py": b""})
    with (folder / "data.bin").open("wb") as handle:
        handle.truncate(60_000_000)
    with pytest.raises(RepositoryError, match="60 MB of files"):
        read_repository(str(folder), tmp_path / "work")
