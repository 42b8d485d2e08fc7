import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories import libraries
from gym.repositories.errors import RepositoryError
from gym.repositories.libraries import library, library_path, open_project, read_tar, write_tar
from gym.repositories.packages import tool
from gym.repositories.project import Project
from gym.sandbox import Box, Job, SandboxError, Verdict

_ENTRIES = "[console_scripts]\nglue = glue:main\n"


@pytest.fixture
def glue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A requirement that pip finds in a folder."""
    registry = tmp_path / "registry"
    registry.mkdir()
    wheel = registry / "glue-2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("glue/__init__.py", "def main():\n    return 7\n")
        packed.writestr("glue-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: glue\nVersion: 2.0\n")
        packed.writestr("glue-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("glue-2.0.dist-info/entry_points.txt", _ENTRIES)
        packed.writestr("glue-2.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(registry))
    return f"glue==2.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def test_a_library_is_made_once_and_always_the_same(glue: str, tmp_path: Path) -> None:
    first = library([glue], tmp_path / "one")
    second = library([glue, glue], tmp_path / "two")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert sorted(read_tar(first)) == [
        "glue-2.0.dist-info/METADATA",
        "glue-2.0.dist-info/WHEEL",
        "glue-2.0.dist-info/entry_points.txt",
        "glue/__init__.py",
    ]
    before = first.stat().st_mtime_ns
    assert library([glue], tmp_path / "one").stat().st_mtime_ns == before


def test_other_needs_are_another_library(glue: str, tmp_path: Path) -> None:
    assert library_path([glue], tmp_path) != library_path([glue, *tool("pytest")], tmp_path)


def test_a_library_with_a_wrong_hash(glue: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="^libraries glue: .*another hash"):
        library([glue.split(" ")[0] + " --hash=sha256:" + "0" * 64], tmp_path)
    assert not list(tmp_path.glob("*.tar*"))


def test_a_tar_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    files = {"b/c.txt": b"1", "a.txt": b"", f"{'long/' * 40}name.txt": b"2"}
    write_tar(tmp_path / "one.tar", files)
    write_tar(tmp_path / "two.tar", dict(reversed(files.items())))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert read_tar(tmp_path / "one.tar") == files


def test_a_sandbox_shows_the_library_alone(box: Box) -> None:
    names = ["pytest", "pluggy", "torch", "numpy", "xdist", "hypothesis", "shapes"]
    source = "import importlib.util, sys\nprint(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    shown = box.run(Job(source=source, args=names))
    shell = box.run(Job(argv=["python3", "-c", source, *names]))
    assert shown.verdict is Verdict.OK
    assert shown.stdout == "pytest pluggy\n"
    assert shell.stdout == "pytest pluggy\n"


def test_a_project_that_lies_in_the_sandbox_already(toy_project: Project, library_store: Path) -> None:
    files = {"pluggy/__init__.py": b"", "tests/test_a.py": b""}
    twin = replace(toy_project, name="twin", files=files, code=("pluggy/__init__.py",))
    with (
        pytest.raises(RepositoryError, match=r"^twin: can be imported without it: pluggy$"),
        open_project(twin, library_store, workers=1),
    ):
        pass


def test_no_sandbox_where_the_project_can_be_looked_up(
    toy_project: Project, library_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(box: object, project: object) -> None:
        raise SandboxError("shapes can be read before a session starts: /usr/lib/shapes.py")

    monkeypatch.setattr(libraries, "refuse_if_found", refuse)
    with pytest.raises(SandboxError, match="can be read"), open_project(toy_project, library_store, workers=1):
        pass
