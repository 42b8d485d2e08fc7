"""MLflow runs of a sweep or an experiment: one parent, a child for each trial, or for each arm and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from mlflow.utils.time import get_current_time_millis

from stages.harness.errors import InputError
from stages.tracking import charts
from stages.tracking.store import experiment_id, identity, reason, store_errors, tracking_uri


@dataclass(frozen=True)
class RunGroup:
    """A parent run and its children.

    A store that is away when the group is opened is an error; afterwards what it does not take is named on the standard
    output, and the work goes on: an experiment keeps its own file of results.
    """

    client: MlflowClient
    experiment: str
    parent: str

    @classmethod
    def open(cls, title: str, root: Path, kind: str) -> Self:
        """Starts the parent in the experiment `k2`; `kind` becomes its tag `stage`.

        Raises:
            InputError: MLflow's store can't be reached or used.
        """
        mlflow.set_tracking_uri(tracking_uri(root))
        client = MlflowClient()
        try:
            experiment = experiment_id(root)
            run = client.create_run(experiment, run_name=title, tags={"stage": kind, **identity(root)})
        except store_errors() as error:
            raise InputError(f"mlflow: {reason(error)}") from None
        return cls(client, experiment, str(run.info.run_id))

    def start(self, name: str, params: Mapping[str, Any], **tags: str) -> str:
        """Starts a child; returns its id, empty when the store does not take it."""
        named = {"mlflow.parentRunId": self.parent, **tags}
        try:
            run_id = str(self.client.create_run(self.experiment, run_name=name, tags=named).info.run_id)
            for key, value in params.items():
                self.client.log_param(run_id, key, value)
        except store_errors() as error:
            _say(name, error)
            return ""
        return run_id

    def finish(
        self, run_id: str, metrics: Mapping[str, float] | None, curves: Mapping[str, Mapping[int, float]] | None = None
    ) -> None:
        """Ends a child as FINISHED, or as FAILED where it has no metrics.

        Args:
            curves: name → step → value.
        """
        if not run_id:
            return
        now = get_current_time_millis()
        points = [Metric(key, float(value), now, 0) for key, value in (metrics or {}).items()]
        for key, values in (curves or {}).items():
            points += [Metric(key, float(value), now, step) for step, value in values.items()]
        try:
            for first in range(0, len(points), 1000):
                self.client.log_batch(run_id, metrics=points[first : first + 1000])
            self.client.set_terminated(run_id, "FINISHED" if metrics is not None else "FAILED")
        except store_errors() as error:
            _say(run_id, error)

    def tag(self, run_id: str, key: str, value: str) -> None:
        """A tag of a child."""
        try:
            if run_id:
                self.client.set_tag(run_id, key, value)
        except store_errors() as error:
            _say(run_id, error)

    def log(self, metrics: Mapping[str, float]) -> None:
        """Metrics of the parent."""
        now = get_current_time_millis()
        try:
            self.client.log_batch(self.parent, metrics=[Metric(key, float(v), now, 0) for key, v in metrics.items()])
        except store_errors() as error:
            _say(self.parent, error)

    def show(self, metrics: Sequence[str], params: Sequence[str]) -> str:
        """Makes the view of the children's charts: these metrics, the first one set against the parameters.

        Returns:
            Its page in MLflow's UI, from `#` on; empty when the store does not take it.
        """
        try:
            shown = charts.view({"Compared": metrics}, self.parent, params)
            page = charts.share(self.client, self.experiment, self.parent, shown)
            self.client.set_tag(self.parent, "mlflow.note.content", f"Charts of its runs: [{page}]({page})")
            return page
        except store_errors() as error:
            _say(self.parent, error)
            return ""

    def end(self, good: bool, artifact: Path | None = None) -> None:
        """Ends the parent."""
        try:
            if artifact is not None:
                self.client.log_artifact(self.parent, str(artifact))
            self.client.set_terminated(self.parent, "FINISHED" if good else "FAILED")
        except store_errors() as error:
            _say(self.parent, error)


def _say(name: str, error: Exception) -> None:
    print(f"mlflow: {reason(error)}; not logged: {name}", flush=True)
