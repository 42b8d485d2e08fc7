"""One LoggedModel for each model that a stage makes: the run that made it, from what, and what was measured on what."""

from collections.abc import Mapping
from typing import Any

from mlflow.entities import LoggedModelInput, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.tracking import MlflowClient

TYPE = "k2"
MEASURED_ON = {  # beginning of a metric → the data set that it is measured on; others say nothing of their data
    "text_loss": "data/corpus.parquet",
    "validation_": "data/corpus.parquet",
    "facts": "data/facts.parquet",
}


def dataset_of(metric: str, data: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and digest of what `metric` was measured on, as the run names it; None when that isn't known.

    Args:
        data: path → sha256 of the data that the stage read.
    """
    path = next((path for start, path in MEASURED_ON.items() if metric.startswith(start)), "")
    return (path.rpartition("/")[2], data[path][:16]) if path in data else None


def find(client: MlflowClient, experiment: str, checkpoint: str, run_id: str = "") -> str | None:
    """The newest LoggedModel of these bytes (by this run); None when no run has logged them."""
    wanted = f"tags.checkpoint = '{checkpoint}'" + (f" AND source_run_id = '{run_id}'" if run_id else "")
    order = [{"field_name": "creation_timestamp", "ascending": False}]
    models = client.search_logged_models([experiment], f"{wanted} AND model_type = '{TYPE}'", order_by=order)
    return str(models[0].model_id) if models else None


def log(client: MlflowClient, run_id: str, event: Mapping[str, Any]) -> None:
    """Logs what the run made as a READY model; told twice, it is one model."""
    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    model_id = find(client, experiment, event["checkpoint"], run_id)
    if model_id is None:
        tags = {"checkpoint": event["checkpoint"], "path": event["path"], "stage": event["stage"]}
        tags |= {f"data.{path}": digest[:16] for path, digest in event["data"].items()}
        tags |= {key: value for key, value in run.data.tags.items() if key in ("git.commit", "git.dirty")}
        made = client.create_logged_model(
            experiment, event["stage"], source_run_id=run_id, tags=tags, params=run.data.params, model_type=TYPE
        )
        model_id = str(made.model_id)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    points = []
    for key, value, timestamp, step in event["points"]:
        name, digest = dataset_of(key, event["data"]) or (None, None)
        points.append(Metric(key, value, timestamp, step, model_id, name, digest, run_id))
    for first in range(0, len(points), 500):
        client.log_batch(run_id, metrics=points[first : first + 500])
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def log_start(client: MlflowClient, run_id: str, experiment: str, checkpoints: list[str]) -> None:
    """The models that a run goes on from; one that no run has logged is none."""
    known = [model_id for one in checkpoints if (model_id := find(client, experiment, one))]
    if known:
        client.log_inputs(run_id, models=[LoggedModelInput(model_id) for model_id in known])
