from dataclasses import replace
from pathlib import Path

import pytest

from gym.repositories.baseline import Baseline
from gym.repositories.errors import RepositoryError
from gym.repositories.libraries import library_path, needed, open_project
from gym.repositories.project import Project
from gym.repositories.store import LIBRARIES, read_baseline, read_project, write_baseline, write_project

BASELINE = Baseline(
    tests=("tests/test_a.py::test_one[é]", "tests/test_a.py::test_two"),
    seconds={"tests/test_a.py::test_one[é]": 0.25, "tests/test_a.py::test_two": 0.0004},
    groups=((0,), (0, 1)),
    lines={"shapes/plane.py": {7: 1, 12: 0}},
    left_out={"failed": 1},
    cpu_s=0.5,
)


def test_what_was_written_is_read(toy_project: Project, library_store: Path, tmp_path: Path) -> None:
    project = replace(toy_project, options=("-x",), environment={"A": "b"}, held=True)
    write_project(tmp_path, project, library_store)
    write_project(tmp_path, replace(toy_project, name="other"), library_store)
    assert read_project(tmp_path, "shapes") == project
    assert read_project(tmp_path, "other") == replace(toy_project, name="other")
    assert library_path(needed(project), tmp_path / LIBRARIES).exists()
    assert len(list((tmp_path / LIBRARIES).iterdir())) == 1  # shared


def test_what_was_written_opens_alone(
    toy_project: Project, library_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, toy_project, library_store)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with open_project(read_project(tmp_path, "shapes"), tmp_path / LIBRARIES, workers=1) as box:
        assert box.level == "namespaces"


def test_equal_projects_give_equal_bytes(toy_project: Project, library_store: Path, tmp_path: Path) -> None:
    turned = replace(toy_project, files=dict(reversed(toy_project.files.items())))
    one = write_project(tmp_path / "one", toy_project, library_store)
    two = write_project(tmp_path / "two", turned, library_store)
    assert one.read_bytes() == two.read_bytes()
    other = write_project(tmp_path / "three", replace(toy_project, version="1.1"), library_store)
    assert other.read_bytes() != one.read_bytes()


def test_a_repository_has_a_limit(toy_project: Project, library_store: Path, tmp_path: Path) -> None:
    large = replace(toy_project, files={**toy_project.files, "data.bin": bytes(50_999_000)})
    with pytest.raises(RepositoryError, match="^shapes: 51 MB"):
        write_project(tmp_path, large, library_store)
    assert not list(tmp_path.iterdir())


def test_no_such_project(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_project(tmp_path, "shapes")


def test_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "shapes.json"
    write_baseline(path, BASELINE)
    assert read_baseline(path) == BASELINE
    assert read_baseline(path).covering("shapes/plane.py", 7) == BASELINE.tests
    assert list(tmp_path.iterdir()) == [path]
