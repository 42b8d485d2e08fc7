"""What MLflow is told of stage runs. Its import takes seconds: `stages.tracking.runs` asks for it when a run begins."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource  # noqa: F401  (registers sources)
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.time import get_current_time_millis

from stages.harness.files import write_json
from stages.tracking import charts, prompts, stage_models
from stages.tracking.outbox import Event
from stages.tracking.store import EXPERIMENT, experiment_id, flatten, tracking_uri

PARAM_CHARS = 5000


def _existing(client: MlflowClient, run_id: str) -> str | None:
    """`run_id`, or None when this store has no such run or it was deleted."""
    try:
        stage = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run_id if stage == "active" else None


class Sender:
    """Tells MLflow the events of one stage run; its ids stand in the work folder, so that another process goes on."""

    def __init__(self, root: Path, work: Path) -> None:
        self.root, self.work = root, work
        self._logged: dict[str, int] = {}  # the last step of a metric that an earlier process sent

    def __call__(self, event: Event) -> None:
        mlflow.set_tracking_uri(tracking_uri(self.root))
        client = MlflowClient()
        kind = event["event"]
        if kind == "start":
            self._start(client, event)
            return
        ids = json.loads((self.work / "mlflow_run.json").read_text())
        run_id, parent = ids["run"], ids["parent"]
        if kind == "metrics":
            points = [Metric(*point) for point in event["points"]]
            if ids["resumed"]:
                points = [point for point in points if point.step > self._last(client, run_id, point.key)]
            for first in range(0, len(points), 1000):
                client.log_batch(run_id, metrics=points[first : first + 1000])
        elif kind == "artifact":
            path = Path(event["path"])
            if path.is_dir():
                client.log_artifacts(run_id, str(path), path.name)
            elif path.exists():
                client.log_artifact(run_id, str(path))
        elif kind == "tag":
            client.set_tag(run_id, event["key"], event["value"])
        elif kind == "prompts":
            prompts.record(client, run_id, event["templates"])
        elif kind == "model":
            stage_models.log(client, run_id, event)
        elif kind == "end":
            points = [Metric(*point) for point in event["points"]]
            client.set_terminated(run_id, event["status"])
            if parent is None:
                return
            if points:
                client.log_batch(parent, metrics=points)
            client.set_terminated(parent, event["status"])

    def _start(self, client: MlflowClient, event: Event) -> None:
        """Starts a run, or goes on with the one that a killed process has left."""
        path = self.work / "mlflow_run.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        run_id = _existing(client, noted["run"]) if noted else None
        parent = self._parent(client, event) if event["pipeline"] else None
        above = {} if parent is None else {"mlflow.parentRunId": parent}
        resumed = run_id is not None
        if run_id is None:
            tags = {**event["tags"], **above}
            experiment = experiment_id(self.root)
            run = client.create_run(experiment, run_name=event["stage"], tags=tags)
            run_id = str(run.info.run_id)
            params = [Param(key, str(value)[:PARAM_CHARS]) for key, value in event["params"].items()]
            for first in range(0, len(params), 100):
                client.log_batch(run_id, params=params[first : first + 100])
            client.log_inputs(run_id, [_dataset(event["stage"], *item) for item in event["inputs"].items()])
            stage_models.log_start(client, run_id, experiment, event["models"])
        for key, value in above.items():
            client.set_tag(run_id, key, value)
        client.update_run(run_id, status="RUNNING")
        write_json(path, {"run": run_id, "parent": parent, "resumed": resumed})
        if parent is not None:
            self._note(client, event["stage"], run_id, parent)

    def _parent(self, client: MlflowClient, event: Event) -> str:
        path = self.root / "work" / "pipeline.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        parent = _existing(client, noted["parent_run_id"]) if noted.get("pipeline") == event["pipeline"] else None
        if parent is None:
            tags = event["tags"] | {"stage": "pipeline"}
            if event["above"]:
                tags["mlflow.parentRunId"] = event["above"]
            experiment = experiment_id(self.root)
            charts.share(client, experiment, EXPERIMENT, charts.view(charts.SECTIONS))
            run = client.create_run(experiment, run_name="pipeline", tags=tags)
            parent = str(run.info.run_id)
            write_json(path, {"pipeline": event["pipeline"], "parent_run_id": parent})
        client.update_run(parent, status="RUNNING")
        return parent

    def _note(self, client: MlflowClient, stage: str, run_id: str, parent: str) -> None:
        """work/runs.json: where the last run of each stage, and of the pipeline, is found in MLflow."""
        path = self.root / "work" / "runs.json"
        noted = json.loads(path.read_text()) if path.exists() else {}
        experiment = client.get_run(run_id).info.experiment_id
        for name, one_id in ((stage, run_id), ("pipeline", parent)):
            noted[name] = {"run": one_id, "experiment": experiment}
        write_json(path, noted)

    def _last(self, client: MlflowClient, run_id: str, key: str) -> int:
        if key not in self._logged:
            history = client.get_metric_history(run_id, key)
            self._logged[key] = max((point.step for point in history), default=-1)
        return self._logged[key]


def _dataset(stage: str, path: str, digest_: str) -> DatasetInput:
    dataset = MetaDataset(LocalArtifactDatasetSource(path), name=Path(path).name, digest=digest_[:16])
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag(MLFLOW_DATASET_CONTEXT, stage)])


def log_finished(
    root: Path, name: str, params: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, str], once: bool
) -> bool:
    """Logs a finished run, with `once` unless one of this name is there; returns whether it did."""
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
        params=[Param(key, str(value)[:PARAM_CHARS]) for key, value in flatten(params).items()],
    )
    client.set_terminated(run_id, "FINISHED")
    return True
