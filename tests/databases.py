"""Databases of MLflow and Prefect as their first start makes them: migrated once on this machine, then copied.

What a first start does in a new checkout is tested where it matters (tests/test_pipeline.py, tests/flows/test_ui.py).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

FOLDER = Path(tempfile.gettempdir()) / f"k2-tests-{os.getuid()}"
MLFLOW = "from mlflow.tracking import MlflowClient; MlflowClient('sqlite:///made.db').search_experiments()"


def mlflow_database(path: Path) -> None:
    """An MLflow store in which nothing was recorded."""
    _copy("mlflow", [sys.executable, "-c", MLFLOW], "made.db", path)


def tracked_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes into a folder, where MLflow keeps its runs from now on."""
    mlflow_database(folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.chdir(folder)


def prefect_database(path: Path) -> None:
    """A Prefect server's database in which nothing ran."""
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    _copy("prefect", command, "prefect.db", path)


def _copy(package: str, command: list[str], made: str, path: Path) -> None:
    kept = FOLDER / f"{package}-{version(package)}.db"
    if not kept.exists():
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            env = os.environ | {"PREFECT_HOME": folder, "DO_NOT_TRACK": "true"}
            subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)
            Path(folder, made).replace(kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, path)
