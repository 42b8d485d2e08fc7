"""The doctor's line about data, in a small repository of its own with DVC's own commands."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows import data_status, doctor
from tests.conftest import checkout_env

STAGES = {
    "inputs": {"cmd": "python -c 1", "always_changed": True, "deps": ["a.txt"]},
    "first": {"cmd": "cp a.txt b.txt", "deps": ["a.txt"], "outs": ["b.txt"]},
    "second": {"cmd": "cp b.txt c.txt", "deps": ["b.txt"], "outs": ["c.txt"]},
}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def repo(tmp_path: Path, run_in: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=checkout_env())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _state() -> str:
    (finding,) = doctor._data()
    assert finding.good == finding.line().startswith("ok    data ")
    return finding.state


def test_the_doctor_says_which_stages_have_changed_and_what_is_missing(repo: Path, run_in: Run) -> None:
    assert _state() == "3 of 3 stages changed (inputs, first, second), 2 outputs missing (b.txt, c.txt)"
    run_in(repo, sys.executable, "-m", "dvc", "repro", "-q")
    assert _state() == "3 stages as in dvc.lock, every output here and in the cache"
    (repo / "c.txt").unlink()
    assert _state() == "1 of 3 stages changed (second), 1 outputs missing (c.txt)"
    shutil.rmtree(repo / ".dvc" / "cache")
    assert _state().endswith("2 outputs not in the cache (b.txt, c.txt)")
    run_in(repo, sys.executable, "-m", "dvc", "repro", "-q", "--force")
    (repo / "a.txt").write_text("two")
    found = data_status.read()
    assert (found.changed, found.missing) == (["inputs", "first"], []), "second follows when first has run"


def test_a_folder_without_a_pipeline_has_no_line_and_a_broken_one_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(doctor._data()) == []
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    (finding,) = doctor._data()
    assert not finding.good and "you are not inside of a DVC repository" in finding.line()
