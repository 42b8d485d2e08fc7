"""The user's git and folders are the user's: clones, worktrees, submodules, folders with a blank, moved folders."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import checkout_env, make_checkout

Run = Callable[..., "subprocess.CompletedProcess[str]"]
KINDS = ("clone", "worktree", "submodule", "a folder with blanks", "a folder that is in no repository")
GIT = ("git", "-c", "user.name=u", "-c", "user.email=u@localhost", "-c", "protocol.file.allow=always")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("origin") / "checkout")


def _place(kind: str, origin: Path, folder: Path, run_in: Run) -> Path:
    if kind == "worktree":
        run_in(origin, *GIT, "worktree", "add", "-q", "-b", folder.name, str(folder / "tree"))
        return folder / "tree"
    if kind == "submodule":
        run_in(folder, *GIT, "init", "-q")
        (folder / "mine.txt").write_text("a user's project")
        run_in(folder, *GIT, "submodule", "--quiet", "add", str(origin), "k2")
        run_in(folder, *GIT, "commit", "-qam", "mine")
        return folder / "k2"
    target = folder / ("my own checkout" if kind == "a folder with blanks" else "checkout")
    run_in(folder, *GIT, "clone", "-q", str(origin), str(target))
    if kind == "a folder that is in no repository":
        subprocess.run(["rm", "-r", target / ".git"], check=True)
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_make_sets_up_and_commits_in_no_repository_that_exists(
    kind: str, origin: Path, tmp_path: Path, run_in: Run
) -> None:
    checkout = _place(kind, origin, tmp_path, run_in)
    if kind != KINDS[-1]:
        before = run_in(checkout, "git", "rev-parse", "HEAD").stdout
    (checkout / ".venv").mkdir()
    run_in(checkout, "make", "-t", "setup")  # as if everything were installed
    made = run_in(checkout, "make", "setup")
    assert made.stderr == ""
    if kind == KINDS[-1]:
        assert run_in(checkout, "git", "log", "--format=%s").stdout == "Import\n"
    else:
        assert run_in(checkout, "git", "rev-parse", "HEAD").stdout == before
    assert run_in(checkout, "git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[2:4])
def test_stages_run_under_dvc_wherever_the_checkout_is(kind: str, origin: Path, tmp_path: Path, run_in: Run) -> None:
    checkout = _place(kind, origin, tmp_path, run_in)
    run_in(checkout, sys.executable, "-m", "stages.dial", "--size", "smoke", "--write")
    dvc = (sys.executable, "-m", "dvc")
    done = run_in(checkout, *dvc, "repro", "corpus")
    assert "corpus: " in done.stdout and (checkout / "mlflow.db").exists()
    moved = checkout.with_name("moved away")
    if kind == "a folder with blanks":
        checkout.rename(moved)
        again = run_in(moved, *dvc, "repro", "corpus")
        assert "Stage 'corpus' didn't change" in again.stdout
        run_in(moved, sys.executable, "-m", "stages.corpus")
        assert not checkout.exists()


def test_the_tests_see_only_what_git_tracks_and_no_run_made(origin: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=origin, capture_output=True, text=True, check=True).stdout.split()
    assert "dvc.yaml" in listed
    assert not [name for name in listed if name == "dvc.lock" or name.startswith(("metrics/", "plots/", "data/"))]
    assert "GIT_DIR" not in checkout_env()
