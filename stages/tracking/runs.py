"""MLflow: the only module that imports it. One parent run per pipeline execution, one child per executed stage."""

import json
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.time import get_current_time_millis

from stages.harness import checkout_lock
from stages.harness.files import sha256_file, write_json
from stages.tracking.dvc_store import digest

EXPERIMENT = "k2"
for noisy in (
    "mlflow.store.db.utils",
    "alembic.runtime.migration",
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.tracing.export.async_export_queue",
):
    logging.getLogger(noisy).setLevel(logging.WARNING)
FLUSH_EVERY = 100


def tracking_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else SQLite in the checkout (absolute: `dvc exp run --temp` works elsewhere)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def experiment_id(root: Path) -> str:
    """The experiment `k2` (or `MLFLOW_EXPERIMENT_NAME`), made when it isn't there.

    Artifacts go beside a SQLite file, else where `MLFLOW_DEFAULT_ARTIFACT_ROOT` says (such as `s3://bucket/path`).
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = tracking_uri(root).startswith("sqlite")
    location = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    if location is None and local:
        location = (root.resolve() / "mlartifacts").as_uri()
    # The tag opens the UI at "Model training" instead of at traces.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(mlflow.create_experiment(name, artifact_location=location, tags=tags))


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


class Track:
    """The MLflow run of one stage.

    A stage that was killed continues the run whose id stands in its work folder; points up to the last
    logged step are not logged twice.
    """

    def __init__(
        self, stage: str, root: Path, work: Path, params: Mapping[str, Any], inputs: Mapping[str, str], *, system: bool
    ) -> None:
        mlflow.set_tracking_uri(tracking_uri(root))
        self.client = MlflowClient()
        self.root, self.work, self.stage = root, work, stage
        self.parent = self._parent_run()
        id_file = work / "mlflow_run_id"
        found = self._noted_run(id_file)
        resumed = found is not None
        if found is not None:
            self.run_id = found
            self.client.set_tag(self.run_id, "mlflow.parentRunId", self.parent)
            mlflow.start_run(run_id=self.run_id, log_system_metrics=system)
        else:
            run = mlflow.start_run(
                run_name=stage,
                experiment_id=experiment_id(root),
                parent_run_id=self.parent,
                tags={"stage": stage, **identity(root)},
                log_system_metrics=system,
            )
            self.run_id = run.info.run_id
            mlflow.log_params(flatten(params))
            for path, digest in inputs.items():
                self._log_input(Path(path), digest)
            id_file.write_text(self.run_id)
        self._note_run()
        self._resumed = resumed
        self._last_step: dict[str, int] = {}
        self._buffer: list[Metric] = []

    def _noted_run(self, path: Path) -> str | None:
        """The run that a killed start left in the work folder; None without one, or when it is in another store."""
        if not path.exists():
            return None
        run_id = path.read_text().strip()
        try:
            self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run_id

    def _note_run(self) -> None:
        """work/runs.json: where the last run of each stage, and of the pipeline, is found in MLflow."""
        path = self.root / "work" / "runs.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        experiment = self.client.get_run(self.run_id).info.experiment_id
        for name, run_id in ((self.stage, self.run_id), ("pipeline", self.parent)):
            noted[name] = {"run": run_id, "experiment": experiment}
        write_json(path, noted)

    def _parent_run(self) -> str:
        name, path = checkout_lock.pipeline_run(), self.root / "work" / "pipeline.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        if noted.get("pipeline") == name:
            self.client.update_run(noted["parent_run_id"], status="RUNNING")
            return str(noted["parent_run_id"])
        tags = {"stage": "pipeline", **identity(self.root)}
        if above := os.environ.get("K2_MLFLOW_PARENT"):  # a sweep's run
            tags["mlflow.parentRunId"] = above
        parent = self.client.create_run(experiment_id(self.root), run_name="pipeline", tags=tags)
        write_json(path, {"pipeline": name, "parent_run_id": parent.info.run_id})
        return str(parent.info.run_id)

    def _log_input(self, path: Path, digest: str) -> None:
        from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource  # noqa: F401  (registers sources)
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource

        dataset = MetaDataset(LocalArtifactDatasetSource(path.as_posix()), name=path.name, digest=digest[:16])
        mlflow.log_input(dataset, context=self.stage)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Buffers points; `flush` sends them. `step=None` logs at step 0."""
        now = get_current_time_millis()
        for key, value in metrics.items():
            at = step or 0
            if self._resumed and step is not None and at <= self._last(key):
                continue
            self._buffer.append(Metric(key, float(value), now, at))
        if len(self._buffer) >= FLUSH_EVERY:
            self.flush()

    def _last(self, key: str) -> int:
        if key not in self._last_step:
            history = self.client.get_metric_history(self.run_id, key)
            self._last_step[key] = max((point.step for point in history), default=-1)
        return self._last_step[key]

    def flush(self) -> None:
        """Sends buffered points. Call it before a checkpoint is written, so that a resumed run misses none."""
        if self._buffer:
            self.client.log_batch(self.run_id, metrics=self._buffer)
            self._buffer = []

    def artifact(self, path: Path) -> None:
        """Uploads a file or a folder as an artifact of the run."""
        if path.is_dir():
            mlflow.log_artifacts(str(path), path.name)
        else:
            mlflow.log_artifact(str(path))

    def tag(self, key: str, value: str) -> None:
        mlflow.set_tag(key, value)

    def end(self, status: str, metrics: Mapping[str, float], outs: Sequence[Path] = ()) -> None:
        """Closes the run as FINISHED, FAILED or KILLED, and the parent with it; final metrics go to both.

        Args:
            outs: what the stage made; DVC's identity of each becomes a tag.
        """
        for path in outs:
            if path.exists():
                self.tag(f"out.{path.as_posix()}", digest(path))
        self.flush()
        mlflow.end_run(status)
        now = get_current_time_millis()
        if metrics:
            self.client.log_batch(self.parent, metrics=[Metric(k, float(v), now, 0) for k, v in metrics.items()])
        self.client.set_terminated(self.parent, status)


def log_run(
    root: Path,
    name: str,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    once: bool = False,
) -> bool:
    """A finished run that belongs to no pipeline, such as an evaluation of an endpoint or a published figure.

    Args:
        once: log nothing when a run of this name is there already.

    Returns:
        Whether a run was logged.
    """
    mlflow.set_tracking_uri(tracking_uri(root))
    client = MlflowClient()
    experiment = experiment_id(root)
    if once:
        quoted = name.replace("'", "")
        if client.search_runs([experiment], f"tags.`mlflow.runName` = '{quoted}'", max_results=1):
            return False
    run_id = client.create_run(experiment, run_name=name, tags={"stage": "evaluate", **tags}).info.run_id
    now = get_current_time_millis()
    client.log_batch(
        run_id,
        metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
        params=[mlflow.entities.Param(key, str(value)[:5000]) for key, value in flatten(params).items()],
    )
    client.set_terminated(run_id, "FINISHED")
    return True
