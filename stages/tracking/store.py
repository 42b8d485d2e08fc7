"""Where MLflow's records of this checkout are, and what may go wrong on the way there."""

import importlib.util
import json
import logging
import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from agents.chat.redact import redact
from stages.harness.files import sha256_file

EXPERIMENT = "k2"
VIEW_TAG = "mlflow.sharedViewState."  # of an experiment: a view of its charts
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
for noisy in (
    "mlflow.store.db.utils",
    "alembic.runtime.migration",
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.tracing.export.async_export_queue",
):
    logging.getLogger(noisy).setLevel(logging.WARNING)


@cache
def store_errors() -> tuple[type[Exception], ...]:
    """A store that is away, of another version, or refuses; for `except`, which asks only when there is an error."""
    from mlflow.exceptions import MlflowException  # with the next two seconds to import
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    kinds: tuple[type[Exception], ...] = (MlflowException, RequestException, SQLAlchemyError, OSError)
    if importlib.util.find_spec("boto3") is not None:  # artifacts on S3
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        kinds += (Boto3Error, BotoCoreError, ClientError)
    return kinds


def reason(error: Exception) -> str:
    """One line of what a store said, without a password of its address."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return redact(line)


def tracking_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else SQLite in the checkout (absolute: `dvc exp run --temp` works elsewhere)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / DATABASE}"


def experiment_id(root: Path) -> str:
    """The experiment `k2` (or `MLFLOW_EXPERIMENT_NAME`): made when it isn't there, restored when it was deleted.

    Artifacts go beside a SQLite file, else where `MLFLOW_DEFAULT_ARTIFACT_ROOT` says (such as `s3://bucket/path`).
    """
    import mlflow  # seconds to import

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    _follow(root)
    experiment = mlflow.get_experiment_by_name(name)
    if experiment is not None:
        if experiment.lifecycle_stage == "deleted":
            mlflow.MlflowClient().restore_experiment(experiment.experiment_id)
            print(f"mlflow: experiment {name} was deleted: restored", flush=True)
        return str(experiment.experiment_id)
    local = tracking_uri(root).startswith("sqlite")
    location = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    if location is None and local:
        location = _artifacts(root)
    # The tag opens the UI at "Model training" instead of at traces.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(mlflow.create_experiment(name, artifact_location=location, tags=tags))


@contextmanager
def running(root: Path, name: str) -> Iterator[str]:
    """The id of MLflow's active run, else of a new one of this name."""
    import mlflow  # seconds to import

    active = mlflow.active_run()
    if active is not None:
        yield str(active.info.run_id)
        return
    tags = {"stage": name, **identity(root)}
    with mlflow.start_run(experiment_id=experiment_id(root), run_name=name, tags=tags) as run:
        yield str(run.info.run_id)


def _artifacts(root: Path) -> str:
    return (root.resolve() / ARTIFACTS).as_uri()


MOVED = (  # columns of MLflow's database that hold the place of artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def _follow(root: Path) -> None:
    """Brings the places of artifacts in the checkout's own database to where the checkout is now.

    MLflow stores them as absolute paths: in a checkout that was renamed or copied they lead to the old one.
    """
    path = root.resolve() / DATABASE
    own = os.environ.get("MLFLOW_TRACKING_URI") in (None, "", f"sqlite:///{path}")
    if not own or not path.exists():
        return
    here = _artifacts(root)
    with sqlite3.connect(path, timeout=30) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        if "experiments" not in tables:
            return
        locations = [location for (location,) in database.execute("select artifact_location from experiments")]
        old = {
            location for location in locations if location and location.endswith(f"/{ARTIFACTS}") and location != here
        }
        for table, column in MOVED:
            for location in old if table in tables else ():
                change = f"update {table} set {column} = ? || substr({column}, ?) where {column} like ? || '%'"
                database.execute(change, (here, len(location) + 1, location))
    database.close()


def chart_page(experiment: str, key: str = EXPERIMENT) -> str:
    """The page of MLflow's UI with the charts that matter (stages/tracking/charts.py), from `#` on."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode=CHART"


def identity(root: Path) -> dict[str, str]:
    """What a run is made of: git commit, whether the tree was dirty, and the hash of `dvc.lock`."""

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    lock = root / "dvc.lock"
    tags = {
        "git.commit": git("rev-parse", "HEAD") or "none",
        "git.dirty": str(bool(git("status", "--porcelain", "--untracked-files=no"))).lower(),
        "dvc.lock": sha256_file(lock) if lock.exists() else "none",
    }
    for variable, tag in {"DVC_EXP_NAME": "dvc.exp", "PREFECT__FLOW_RUN_ID": "prefect.flow_run_id"}.items():
        if value := os.environ.get(variable):
            tags[tag] = value
    return tags


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` → `{"a.b": 1}`; lists become JSON."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{name}.")
        else:
            flat[name] = json.dumps(item) if isinstance(item, (list, tuple)) else item
    return flat
