"""A private copy of the checkout at smoke size, for tests that run the pipeline as a user would."""

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import yaml

from tests import forked
from tests.databases import mlflow_database

# Each worker has a core of its own; what starts more threads waits for the other worker's.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each worker and each process would compile our modules anew: a third of what collecting takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
gc.disable()  # until all tests are imported: what that makes stays

# The same examples at each run; HYPOTHESIS_PROFILE=search draws others.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("search", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).parents[1]
pytest_plugins = ["tests.script_project", "tests.shapes_project"]

LONGEST = (  # files that take minutes start first, so that no worker waits for one at the end
    "tests/test_pipeline.py",
    "tests/flows/test_workers.py",
    "tests/flows/test_deployments.py",
    "tests/flows/test_pipeline.py",
    "tests/test_docs.py",
    "tests/flows/test_sweep.py",
    "tests/gym/benchmarks/test_parity.py",
    "tests/stages/pretrain/test_pretrain.py",
    "tests/k2model/training/test_engine.py",
    "tests/stages/trajectories/test_trajectories.py",
    "tests/test_cluster.py",
    "tests/stages/test_ranks.py",
    "tests/stages/rephrase/test_rephrase.py",
    "tests/stages/test_inputs.py",
    "tests/flows/test_shards.py",
)


BY_HAND = ("soak", "drivers")  # marks of tests that run only when they are asked for: pytest -m soak


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of drivers alone isn't read without need: they import what no other test does, for seconds."""
    if "drivers" in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return "\npytestmark = [pytest.mark.drivers," in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [mark for mark in BY_HAND if mark not in config.option.markexpr]
    items[:] = [item for item in items if not any(item.get_closest_marker(mark) for mark in left_out)]
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(ROOT).as_posix(), len(LONGEST)))


def pytest_collection_finish() -> None:
    gc.freeze()  # a million objects that no collection walks through again
    gc.enable()


@pytest.fixture(scope="session")
def run_in() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`run_in(folder, "dvc", "repro")`: a command of this Python environment, run in a checkout of its own.

    `python -m stages.…` is forked from a process that has imported what takes seconds; under DVC stages start as a
    user's do.
    """

    def run(
        folder: Path, *command: str, check: bool = True, timeout: float = 600, **env: str
    ) -> "subprocess.CompletedProcess[str]":
        whole = checkout_env() | env
        if command[:2] == (sys.executable, "-m") and command[2].startswith("stages."):
            done = forked.run_module(folder, command[2:], whole, timeout)
        else:
            done = subprocess.run(
                command, cwd=folder, env=whole, text=True, capture_output=True, timeout=timeout, check=False
            )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run


def checkout_env() -> dict[str, str]:
    """The environment of a command in a checkout: this interpreter first, nobody else's MLflow store or Prefect home.

    Prefect's too, since a test that imports a flow leaves its own home in this process.
    """
    dropped = {"MLFLOW_TRACKING_URI", "K2_PIPELINE_RUN", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    others = ("GIT_", "PREFECT_")
    env = {key: value for key, value in os.environ.items() if key not in dropped and not key.startswith(others)}
    return env | {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONSAFEPATH": "",
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "true",
        "HF_HUB_OFFLINE": "1",
        "DS_ACCELERATOR": "cpu",
    }


def made_by_runs() -> set[str]:
    """What `dvc repro` leaves beside ignored folders: the lock, metrics and plots; a user may have committed them."""
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    files = [entry for stage in graph.values() for key in ("outs", "metrics", "plots") for entry in stage.get(key, [])]
    return {"dvc.lock", *(name for entry in files for name in ([entry] if isinstance(entry, str) else entry))}


def make_checkout(folder: Path) -> Path:
    """Copies the files that git tracks to `folder`, but for what a run made, as a git and DVC repository.

    The stage `inputs` has run there, for tests that start a stage without DVC, and MLflow's database is there, empty.
    """
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in set(filter(None, listed.stdout.split("\0"))) - made_by_runs():
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            compiled = Path(importlib.util.cache_from_source(str(source)))
            if source.suffix == ".py" and compiled.exists():
                here = target.parent / "__pycache__" / compiled.name
                here.parent.mkdir(exist_ok=True)
                shutil.copy2(compiled, here)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "copy"]):
        subprocess.run([*git, *command], cwd=folder, env=checkout_env(), check=True)
    mlflow_database(folder / "mlflow.db")
    inputs = [sys.executable, "-m", "stages.inputs"]
    subprocess.run(inputs, cwd=folder, env=checkout_env(), stdout=subprocess.DEVNULL, check=True)
    return folder


@pytest.fixture(scope="module")
def smoke_checkout(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[..., object]) -> Path:
    """A checkout at smoke size in which nothing has run, for the tests of one file."""
    folder = make_checkout(tmp_path_factory.mktemp("smoke") / "checkout")
    run_in(folder, sys.executable, "-m", "stages.dial", "--size", "smoke", "--write")
    return folder
