from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories.baseline import Baseline
from gym.repositories.errors import RepositoryError
from gym.repositories.project import Project
from gym.repositories.store import names, read_project, write_project

BASELINE = Baseline(
    tests=("tests/test_a.py::test_one[é]", "tests/test_a.py::test_two"),
    seconds={"tests/test_a.py::test_one[é]": 0.25, "tests/test_a.py::test_two": 0.0004},
    groups=((0,), (0, 1)),
    lines={"shapes/plane.py": {7: 1, 12: 0}},
    left_out={"failed": 1},
    cpu_s=0.5,
)


def test_what_was_written_is_read(toy_project: Project, tmp_path: Path) -> None:
    project = replace(toy_project, needs=("glue==1",), options=("-x",), environment={"A": "b"}, held=True)
    write_project(tmp_path, project, BASELINE)
    write_project(tmp_path, replace(project, name="other", environment=None), BASELINE)
    assert names(tmp_path) == ["other", "shapes"]
    assert read_project(tmp_path, "shapes") == (project, BASELINE)
    assert read_project(tmp_path, "other")[0].environment is None


def test_equal_projects_give_equal_bytes(toy_project: Project, tmp_path: Path) -> None:
    turned = replace(toy_project, files=dict(reversed(toy_project.files.items())))
    one = write_project(tmp_path / "one", toy_project, BASELINE)
    two = write_project(tmp_path / "two", turned, BASELINE)
    assert one.read_bytes() == two.read_bytes()
    three = write_project(tmp_path / "three", toy_project, replace(BASELINE, cpu_s=0.6))
    assert three.read_bytes() != one.read_bytes()


def test_a_repository_has_a_limit(toy_project: Project, tmp_path: Path) -> None:
    large = replace(toy_project, files={**toy_project.files, "data.bin": bytes(50_000_000)})
    with pytest.raises(RepositoryError, match="^shapes: 50 MB"):
        write_project(tmp_path, large, BASELINE)
    assert not names(tmp_path)


def test_no_such_project(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_project(tmp_path, "shapes")
