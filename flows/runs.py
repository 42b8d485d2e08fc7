"""MLflow runs of a sweep or an experiment: one parent, a child for each trial, or for each arm and seed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from flows import environment


@dataclass(frozen=True)
class Runs:
    """The parent run; `client` is an `MlflowClient`."""

    client: Any
    experiment: str
    parent: str

    @classmethod
    def open(cls, title: str, root: Path, kind: str) -> Self:
        """Starts the parent in the experiment `k2`; `kind` becomes its tag `stage`."""
        environment.prepare(root)
        import mlflow
        from mlflow.tracking import MlflowClient

        from stages.tracking.store import experiment_id, identity

        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        client = MlflowClient()
        experiment = experiment_id(root)
        run = client.create_run(experiment, run_name=title, tags={"stage": kind, **identity(root)})
        return cls(client, experiment, str(run.info.run_id))

    def start(self, name: str, params: Mapping[str, Any], **tags: str) -> str:
        """Starts a child; returns its id."""
        named = {"mlflow.parentRunId": self.parent, **tags}
        run_id = str(self.client.create_run(self.experiment, run_name=name, tags=named).info.run_id)
        for key, value in params.items():
            self.client.log_param(run_id, key, value)
        return run_id

    def finish(
        self, run_id: str, metrics: Mapping[str, float] | None, curves: Mapping[str, Mapping[int, float]] | None = None
    ) -> None:
        """Ends a child as FINISHED, or as FAILED where it has no metrics.

        Args:
            curves: name → step → value.
        """
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        points = [Metric(key, float(value), now, 0) for key, value in (metrics or {}).items()]
        for key, values in (curves or {}).items():
            points += [Metric(key, float(value), now, step) for step, value in values.items()]
        for first in range(0, len(points), 1000):
            self.client.log_batch(run_id, metrics=points[first : first + 1000])
        self.client.set_terminated(run_id, "FINISHED" if metrics is not None else "FAILED")

    def end(self, good: bool, artifact: Path | None = None) -> None:
        """Ends the parent."""
        if artifact is not None:
            self.client.log_artifact(self.parent, str(artifact))
        self.client.set_terminated(self.parent, "FINISHED" if good else "FAILED")
