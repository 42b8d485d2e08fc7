"""From a repository to repair tasks, as its owner runs it, and what stands in the way."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gym.repositories.errors import RepositoryError
from gym.repositories.project import Project
from gym.repositories.stored import StoredTasks
from gym.repositories.task import RepairTask
from stages.harness.errors import InputError
from stages.harness.section import validate
from stages.repositories import __main__ as stage
from stages.repositories.making import Wanted
from stages.repositories.params import RepositoriesParams

ROOT = Path(__file__).parents[3]
PARCELS = ROOT / "docs" / "parcels"
PARAMS: dict[str, Any] = {
    "packages": ["funcy", "toolz"],
    "held": ["tinydb"],
    "own": [],
    "tasks": 7,
    "held_tasks": 3,
    "javascript": [],
    "javascript_tasks": 0,
    "teacher": "none",
    "rewritten": 0.0,
    "worded": 0.0,
}


def _params(**changed: Any) -> RepositoriesParams:
    return validate(RepositoriesParams, PARAMS | changed, prefix="repositories.")


def test_tasks_are_shared_out_evenly_and_one_s_own_repository_has_both_sides() -> None:
    assert stage.wanted(_params()) == [
        Wanted("funcy", False, 4, 0),
        Wanted("toolz", False, 3, 0),
        Wanted("tinydb", False, 0, 3),
    ]
    assert Wanted("mine", True, 2, 1) in stage.wanted(_params(own=["mine"]))


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"packages": ["tinydb"]}, r"packages: no 'tinydb'; there are .*toolz"),
        ({"held": ["toolz"]}, r"held: no 'toolz'; there are markdown"),
        ({"packages": [], "own": []}, "neither packages nor own name a repository to learn from"),
        (
            {"javascript": ["left-pad"]},
            "javascript: no 'left-pad'; there are fast-uri, minimist, qs, secure-json-parse",
        ),
        ({"javascript_tasks": 1}, "javascript_tasks: javascript names no package"),
        ({"worded": 0.5}, "rewritten, worded: need a teacher"),
        ({"teacher": "gpt"}, "teacher 'gpt'"),
    ],
)
def test_impossible_parameters_are_one_line(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        _params(**changed)


def _read(monkeypatch: pytest.MonkeyPatch, gone: Sequence[str]) -> None:
    def read(one: Wanted, folder: Path) -> Project:
        if one.source in gone:
            raise RepositoryError(f"{one.source}==1.0: the package registry can't be reached")
        return Project(one.source, "1.0", {}, ("",), (), ())

    monkeypatch.setattr(stage, "read_project", read)


def test_a_package_that_can_not_be_had_is_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    p = _params(packages=["funcy", "toolz", "glom"])
    _read(monkeypatch, ["glom"])
    found, missing = stage.projects(p, stage.wanted(p))
    assert set(found) == {"funcy", "toolz", "tinydb"} and set(missing) == {"glom"}
    assert "left out: glom==1.0: the package registry can't be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gone", "line"),
    [(["toolz"], "repositories.packages: toolz"), (["tinydb"], "repositories.held: tinydb")],
)
def test_too_few_packages_stop_the_stage(monkeypatch: pytest.MonkeyPatch, gone: list[str], line: str) -> None:
    _read(monkeypatch, gone)
    with pytest.raises(InputError, match=line):
        stage.projects(_params(), stage.wanted(_params()))


def test_one_s_own_repository_must_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    _read(monkeypatch, ["mine"])
    p = _params(own=["mine"])
    with pytest.raises(InputError, match=r"repositories.own: mine==1.0: the package registry"):
        stage.projects(p, stage.wanted(p))


def _run(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stages.repositories", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with parameters, from which the command can run."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def test_a_folder_without_a_suite_is_one_line(checkout: Path) -> None:
    (checkout / "empty").mkdir()
    (checkout / "empty" / "a.py").write_text("x = 1\n")
    done = _run("empty", "--out", "out", cwd=checkout)
    assert done.returncode == 2
    assert done.stderr.startswith("repositories: empty:") and done.stderr.count("\n") == 1
    assert not (checkout / "out").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--out", "out", "--tasks", "-1"), "argument --tasks: -1 is below 0"),
        (("--out", "params.yaml"), "repositories: --out params.yaml: can't be written: File exists"),
    ],
)
def test_impossible_arguments_are_one_line(checkout: Path, words: Sequence[str], line: str) -> None:
    done = _run(str(PARCELS), *words, cwd=checkout)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_suite_that_proves_no_bug_is_one_line(checkout: Path) -> None:
    (checkout / "mine").mkdir()
    (checkout / "mine" / "a.py").write_text("ONE = 1\n")
    (checkout / "mine" / "test_a.py").write_text("from a import ONE\n\n\ndef test_one():\n    assert ONE == 1\n")
    done = _run("mine", "--out", "out", cwd=checkout)
    assert (done.returncode, done.stderr) == (
        2,
        "repositories: mine: no bug that its 1 tests prove: no place for one\n",
    )


@pytest.mark.slow
def test_from_a_repository_to_tasks_in_one_command(checkout: Path) -> None:
    words = ("--tasks", "4", "--held-tasks", "2")
    before = {path: path.read_bytes() for path in PARCELS.rglob("*") if path.is_file()}
    done = _run(str(PARCELS), "--out", "out", *words, cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "4 tasks to learn from and 2 held" in done.stdout
    assert {path: path.read_bytes() for path in PARCELS.rglob("*") if path.is_file()} == before

    rows = pq.read_table(checkout / "out/repairs.parquet").to_pylist()
    functions: dict[bool, set[str]] = {True: set(), False: set()}
    for row in rows:
        task = RepairTask.from_row(row)
        functions[row["held"]] |= {edit.function for edit in task.edits}
        assert task.fail_to_pass and task.pass_to_pass and not set(task.fail_to_pass) & set(task.pass_to_pass)
        assert "parcels/" not in task.issue and json.loads(row["edits"])
    assert not functions[True] & functions[False]
    card = (checkout / "out/repairs_card.md").read_text()
    assert card.count("\n### parcels-") == 6 and "| proven |" in card

    first = {path.name: path.read_bytes() for path in (checkout / "out").rglob("*") if path.is_file()}
    shutil.rmtree(checkout / "out/work")
    again = _run(str(PARCELS), "--out", "out", *words, cwd=checkout)
    assert again.returncode == 0, again.stderr
    second = {path.name: path.read_bytes() for path in (checkout / "out").rglob("*") if path.is_file()}
    assert second.keys() == first.keys()
    assert [name for name in first if first[name] != second[name]] == []
    with StoredTasks(checkout / "out/repairs.parquet") as stored:
        assert len(stored.of(held=True)) == 2
