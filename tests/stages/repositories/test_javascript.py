from dataclasses import replace
from pathlib import Path

import pytest

from gym.javascript.bugs import find_bugs, measure
from gym.javascript.packages import Package, read_packages
from gym.javascript.project import Project, read_project
from gym.javascript.store import read_all
from gym.repositories.errors import RepositoryError
from gym.sandbox import Box
from stages.repositories import __main__ as stage
from stages.repositories import javascript
from stages.repositories.card import script_card
from stages.repositories.javascript import Scripts, scripts
from tests.script_project import PROJECT

NAMES = ["minimist", "qs", "secure-json-parse"]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, node_box: Box) -> None:
    """Gives the small package under every name but qs, which can't be had."""

    def read(package: Package, archives: Path) -> Project:
        if package.pinned.name == "qs":
            raise RepositoryError("qs@6.9.7: the package registry can't be reached")
        return replace(PROJECT, name=package.pinned.name)

    monkeypatch.setattr(javascript, "read_project", read)


def test_tasks_are_shared_out_and_what_can_not_be_had_is_left_out(
    registry: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = scripts(NAMES, 3, tmp_path, seed=5)
    assert [len(one.bugs) for one in made.stored] == [1, 2]
    assert made.missing == {"qs": "qs@6.9.7: the package registry can't be reached"}
    assert "repositories: left out: qs@6.9.7: the package registry can't be reached\n" in capsys.readouterr().out
    text = script_card(made)
    assert "- qs was left out: qs@6.9.7: the package registry can't be reached" in text and "| proven | 3 |" in text


def test_the_stage_stores_what_the_benchmark_reads(registry: None, tmp_path: Path) -> None:
    made = scripts(["minimist"], 2, tmp_path / "archives", seed=5)
    stage.publish(tmp_path, {}, {}, {}, "", 0, made)
    (stored,) = read_all(tmp_path / "repositories/javascript")
    assert stored == made.stored[0] and len(stored.bugs) == 2
    assert "JavaScript" in (tmp_path / "repairs_card.md").read_text()


def test_no_package_asks_for_nothing(tmp_path: Path) -> None:
    assert scripts([], 0, tmp_path, seed=5) == Scripts([], {}, {})
    assert script_card(Scripts([], {}, {})) == ""


def test_without_node_every_package_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(javascript, "has_program", lambda box, name: False)
    assert list(scripts(NAMES, 3, tmp_path, seed=5).missing) == NAMES
    assert "repositories: left out: minimist: node does not run in the sandbox\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tests"), [("qs", 145), ("fast-uri", 207), ("secure-json-parse", 78), ("minimist", 61)]
)
def test_real_packages(name: str, tests: int, node_box: Box, tmp_path: Path) -> None:
    package = read_packages()[name]
    try:
        project = read_project(package, tmp_path)
    except RepositoryError as error:
        pytest.skip(str(error))  # no npm, or no registry
    baseline = measure(node_box, project)
    assert len(baseline.seen) == tests
    bugs, _ = find_bugs(node_box, project, baseline, 2, seed=5)
    assert len(bugs) == 2
