import io
import py_compile
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories.project import Project
from gym.repositories.reach import copies, distinctive_lines, refuse_if_found
from gym.sandbox import Box, SandboxError, open_sandbox


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as held:
        for name, content in files.items():
            held.writestr(name, content)
    return packed.getvalue()


def _bytecode(folder: Path, source: bytes) -> bytes:
    (folder / "source.py").write_bytes(source)
    return Path(py_compile.compile(str(folder / "source.py"), cfile=str(folder / "made.pyc")) or "").read_bytes()


def _changed(source: bytes) -> bytes:
    return source.replace(b"x0 * y1 - x1 * y0", b"x0 * y1 + x1 * y0").replace(b"    ", b"\t")


@pytest.fixture(scope="module")
def planted(toy_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, set[str]]]:
    """A library folder with copies of every kind, and where they lie."""
    plane = toy_project.files["shapes/plane.py"]
    scratch = tmp_path_factory.mktemp("scratch")
    content = {
        "shapes/__init__.py": b"",
        "shapes-1.0.dist-info/METADATA": b"Name: shapes\n",
        "tool/_vendor/shapes/plane.py": b"",
        "tool/geometry.py": plane,
        "tool/changed.py": _changed(plane),
        "tool/notes.txt": plane,
        "tool/__pycache__/quiet.cpython-311.pyc": _bytecode(scratch, plane),
        "tool/plane.pyc": _bytecode(scratch, plane),
        "wheels/shapes-1.0-py3-none-any.whl": _zip({"shapes/plane.py": b""}),
        "wheels/other-2.0-py3-none-any.whl": _zip({"other/shapes.py": b""}),
        "wheels/renamed.zip": _zip({"one/two.py": plane}),
        "wheels/shapes-1.0.tar.gz": _tar({"x": b""}),
        "wheels/source.tgz": _tar({"one/two.py": plane}),
        "eggs/shapes.egg": _zip({"x": b""}),
    }
    for path, held in content.items():
        (scratch / "lib" / path).parent.mkdir(parents=True, exist_ok=True)
        (scratch / "lib" / path).write_bytes(held)
    for folder in [scratch, *scratch.parents]:
        if str(folder).startswith(str(tmp_path_factory.getbasetemp())):
            folder.chmod(0o755)
    yield scratch / "lib", set(content)


def test_every_kind_of_copy_is_found(toy_project: Project, planted: tuple[Path, set[str]]) -> None:
    folder, places = planted
    with open_sandbox("fork", workers=1, libraries=folder) as box:
        found = copies(box, toy_project)
        with pytest.raises(SandboxError, match="shapes can be read before a session starts: import shapes finds"):
            refuse_if_found(box, toy_project)
    folders = {"shapes/__init__.py", "shapes-1.0.dist-info/METADATA", "tool/_vendor/shapes/plane.py"}
    told = {place.rpartition("/")[0] if place in folders else place for place in places}
    assert [place for place in sorted(told) if not any(f"/{place}" in line for line in found)] == []


def test_names_of_a_user_s_own_repository_may_be_in_use(toy_project: Project, planted: tuple[Path, set[str]]) -> None:
    folder, _ = planted
    own = replace(toy_project, version="")
    with open_sandbox("fork", workers=1, libraries=folder) as box:
        found = copies(box, own)
    assert found and all(" is a copy of shapes/plane.py" in line for line in found)


def test_nothing_is_found_beside_other_packages(toy_project: Project, box: Box) -> None:
    refuse_if_found(box, toy_project)


def test_lines_that_tell_a_file(toy_project: Project) -> None:
    lines = distinctive_lines(toy_project.files["shapes/plane.py"])
    assert 'raise ValueError(f"a polygon has three points or more, not {len(points)}")' in lines
    assert not [line for line in lines if line.startswith("import") or len(line) < 30]
