import re
from pathlib import Path

import pytest

from gym.repositories.errors import RepositoryError
from gym.repositories.packages import read_packages, tool

TABLE = """
packages:
  shapes:
    version: "1.0"
    sha256: abc
    licence: MIT
    code: [shapes]
    tests: [tests]
    needs: [glue]
tools:
  pytest: [glue]
libraries:
  glue:
    version: "2.0"
    sha256: [first, second]
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "packages.yaml"
    path.write_text(TABLE)
    return path


def test_a_need_is_a_requirement_with_its_hashes(table: Path) -> None:
    package = read_packages(table)["shapes"]
    assert package.needs == ("glue==2.0 --hash=sha256:first --hash=sha256:second",)
    assert package.roots == ("",)
    assert not package.held
    assert tool("pytest", table) == package.needs


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    licence: MIT\n", "", "shapes: no licence"),
        ("    code:", "    source: here\n    code:", "shapes: unknown source"),
        ("needs: [glue]", "needs: [paste]", "paste is needed"),
    ],
)
def test_a_wrong_table_is_one_line(table: Path, old: str, new: str, said: str) -> None:
    table.write_text(TABLE.replace(old, new))
    with pytest.raises(RepositoryError, match=said):
        read_packages(table)


def test_no_such_tool(table: Path) -> None:
    with pytest.raises(RepositoryError, match="no tool nose"):
        tool("nose", table)


def test_the_table_pins_everything_and_keeps_sides_apart() -> None:
    packages = read_packages()
    held = {name for name, package in packages.items() if package.held}
    assert held == {"markdown", "tinydb", "pyflakes"}
    assert len(packages) - len(held) >= 12
    lines = [line for package in packages.values() for line in package.needs]
    lines += [*tool("pytest"), *tool("coverage")]
    lines += [f"{package.name}=={package.version} --hash=sha256:{package.sha256}" for package in packages.values()]
    for line in lines:
        assert re.fullmatch(r"[\w-]+==[\w.]+( --hash=sha256:[0-9a-f]{64})+", line), line
    needed = {line.split("==")[0] for line in lines if line not in tool("coverage")}
    assert "coverage" not in needed  # the solver's library folder has no use for it
