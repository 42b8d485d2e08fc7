"""A sandbox with a library folder of its own: no program finds any other Python code beside the standard library.

The package that is looked for is pip: Python's environments and its own wheels hold it on every machine.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gym.sandbox import Job, Limits, Outcome, Sandbox, SandboxError, Verdict, open_sandbox, third_party
from gym.sandbox.third_party import search
from gym.sandbox.workspace import Workspace

PURE, STANDARD = sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")
NEEDED = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


@pytest.fixture(scope="module")
def readable() -> Iterator[Path]:
    """A folder that other users can read, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture(scope="module")
def folder(readable: Path) -> Path:
    """pytest as it is installed here."""
    made = readable / "libraries"
    for name in NEEDED:
        for path in importlib.metadata.files(name) or ():
            if ".." not in path.parts:
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(path.locate()), made / path)  # with its time, so that the bytecode is taken
    return made


@pytest.fixture(scope="module")
def alone(folder: Path) -> Iterator[Sandbox]:
    with open_sandbox("namespaces", workers=1, libraries=folder) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def alone_fork(folder: Path) -> Iterator[Sandbox]:
    with open_sandbox("fork", workers=1, libraries=folder) as sandbox:
        yield sandbox


READS = yaml.safe_load(Path(__file__).with_name("reads.yaml").read_text(encoding="utf-8"))
START = f"""import os, sys
PURE, BASE, CHECKOUT = {PURE!r}, {STANDARD!r}, {str(Path(third_party.__file__).parents[2])!r}
STANDARD = next(path for path in sys.path if os.path.exists(path + "/ensurepip"))
"""


def _read(box: Sandbox, name: str) -> Outcome:
    return box.run(Job(source=f"{START}{READS['python'][name]}\nprint('FOUND')", limits=Limits(cpu_s=20)))


@pytest.mark.parametrize("name", READS["python"])
def test_reads_of_python(alone: Sandbox, alone_fork: Sandbox, name: str) -> None:
    for box in (alone, alone_fork):
        outcome = _read(box, name)
        assert "FOUND" not in outcome.stdout
        assert outcome.verdict in (Verdict.WRONG_EXIT, Verdict.DENIED), outcome.detail


@pytest.mark.parametrize("name", READS["shell"])
def test_reads_of_a_shell(alone: Sandbox, name: str) -> None:
    said = Workspace({"a.py": b"", ".git/HEAD": b"ref: refs/heads/main\n"}, alone).bash(f"true; {READS['shell'][name]}")
    assert "FOUND" not in said
    assert "[exit status" in said


def test_the_same_reads_find_it_without_a_library_folder(spaces: Sandbox) -> None:
    names = ("import", "runpy", "metadata", "beside the standard library", "the wheel of ensurepip", "any wheel")
    found = {name: "FOUND" in _read(spaces, name).stdout for name in names}
    assert all(found.values()), found


def test_the_libraries_are_there(alone: Sandbox, alone_fork: Sandbox) -> None:
    for box in (alone, alone_fork):
        outcome = box.run(
            Job(source="import pytest, sys, json, sqlite3; print(pytest.__version__, exit, 'x' in sys.path)")
        )
        assert outcome.stdout.split()[0] == pytest.__version__
    copy = Workspace({"test_a.py": b"def test_one():\n    assert 1 + 1 == 2\n"}, alone)
    for command in ("python -m pytest -q", "true; python -m pytest -q", "true; python3 -m pytest -q"):
        assert "1 passed" in copy.bash(command)


def test_hashes_of_texts_are_the_same(folder: Path) -> None:
    said = []
    for _ in range(2):
        with open_sandbox("fork", workers=1, libraries=folder) as box:
            said.append(box.run(Job(source="print(hash('a'), list({'a', 'b', 'c', 'd'}))")).stdout)
    assert said[0] == said[1]


def test_preloaded_modules_come_from_the_folder(folder: Path) -> None:
    with open_sandbox("fork", workers=1, preload=("pytest",), libraries=folder) as box:
        said = box.run(Job(source="import sys; print('pytest' in sys.modules, sys.modules['pytest'].__file__)")).stdout
    assert said.startswith("True")
    assert "/libraries/pytest/" in said
    with (
        pytest.raises(SandboxError, match="No module named 'numpy'"),
        open_sandbox("fork", workers=1, preload=("numpy",), libraries=folder),
    ):
        pass


def test_a_folder_that_is_not_there_or_not_readable(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no such folder"), open_sandbox("fork", libraries=tmp_path / "none"):
        pass
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        with pytest.raises(SandboxError, match="can't read"), open_sandbox("fork", libraries=tmp_path / "closed"):
            pass


def _lay(top: Path, *paths: str) -> None:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(b"")


def test_places_that_are_hidden(tmp_path: Path) -> None:
    """Told by what lies there, not by a list of this machine's folders."""
    _lay(tmp_path, "lib/python3.9/os.py", "lib/python3.9/encodings/a.py", "lib/python3.9/json/a.py")
    _lay(tmp_path, "lib/python3.9/site-packages/x/a.py", "lib/python3.9/ensurepip/_bundled/pip.whl")
    _lay(tmp_path, "lib/product/main.py", "lib/product/deep/er/a.py", "lib/product/notes.txt")
    _lay(tmp_path, "lib/arch/a.so", "lib/arch/b.so", "lib/arch/c.so", "lib/arch/hook.py", "lib/arch/kit/__init__.py")
    _lay(tmp_path, "lib/arch/kit/e.so", "lib/arch/kit/f.so", "lib/arch/kit/g.so", "share/wheel/a.whl", "share/wheel/b")
    _lay(tmp_path, "share/wheel/c", "share/java/a.jar", "bin/tool", "bin/tool.py", "lib/node/_vendor/a.js")
    assert [str(Path(place).relative_to(tmp_path)) for place in search([str(tmp_path)])] == [
        "bin/tool.py", "lib/arch/hook.py", "lib/arch/kit", "lib/node/_vendor", "lib/product",
        "lib/python3.9/ensurepip/_bundled", "lib/python3.9/site-packages", "share/wheel/a.whl",
    ]  # fmt: skip


def test_a_tree_too_large_to_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lay(tmp_path, "a/b.py", "a/c.py")
    monkeypatch.setattr(third_party, "MOST", 2)
    with pytest.raises(SandboxError, match="over 2 files"):
        search([str(tmp_path)])


def test_another_user_gets_the_same_or_a_refusal(readable: Path, folder: Path) -> None:
    """The zygote of a user who is not root mounts in a user namespace of its own."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if os.geteuid() != 0 or python is None or shutil.which("setpriv") is None:
        pytest.skip("needs root, setpriv and an interpreter that other users can start")
    checkout = Path(third_party.__file__).parents[2]
    for name in ("gym/__init__.py", *(f"gym/sandbox/{path.name}" for path in (checkout / "gym/sandbox").glob("*.py"))):
        _lay(readable / "copy", name)
        shutil.copyfile(checkout / name, readable / "copy" / name)
    code = (
        "from pathlib import Path\nfrom gym.sandbox import Job, open_sandbox\n"
        f"with open_sandbox('fork', workers=1, libraries=Path({str(folder)!r})) as box:\n"
        "    for name in ('pytest', 'yaml', 'pip'):\n"
        "        print(name, box.run(Job(source=f'import {name}')).verdict.value)\n"
    )
    made = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", code],
        cwd=readable / "copy",
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{readable}/copy", "TMPDIR": "/tmp"},
    )
    refused = "SandboxError" in made.stderr and "a layer is missing" in made.stderr
    assert refused or made.stdout.split() == ["pytest", "ok", "yaml", "wrong_exit", "pip", "wrong_exit"], made.stderr
