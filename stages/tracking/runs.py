"""MLflow runs: one parent for each pipeline execution, one child for each executed stage."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.harness import checkout_lock
from stages.tracking.dvc_store import digest
from stages.tracking.outbox import NAME, Outbox
from stages.tracking.store import flatten, identity, reason, store_errors

FLUSH_EVERY = 100
MODELS = "models"  # the folder of the checkout in which stages leave them


def _outbox(root: Path, work: Path) -> Outbox:
    from stages.tracking.sender import Sender  # MLflow: seconds, which a stage that is refused doesn't take

    return Outbox(work, Sender(root, work))


def _now() -> int:
    return int(time.time() * 1000)


def send_unsent(root: Path) -> int:
    """Sends what earlier stage runs of this checkout could not send; returns how many of them are still waiting.

    Nobody else may use the checkout meanwhile.
    """
    waiting = sorted((root / "work").glob(f"*/*/{NAME}"))
    while waiting and _outbox(root, waiting[0].parent).deliver():
        del waiting[0]
    return len(waiting)


class Track:
    """The MLflow run of one stage.

    A stage that was killed continues the run whose id stands in its work folder; points up to the last
    logged step are not logged twice. Nothing that MLflow does or doesn't do ends a stage.

    Args:
        apart: the run belongs to no pipeline run.
    """

    def __init__(
        self,
        stage: str,
        root: Path,
        work: Path,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        *,
        system: bool,
        apart: bool = False,
    ) -> None:
        self.root, self.work, self.stage = root, work, stage
        self._points: list[tuple[str, float, int, int]] = []
        self._final: dict[str, tuple[str, float, int, int]] = {}  # what has no step: said of the model, too
        self._data = {path: sha256 for path, sha256 in inputs.items() if not _is_model(path)}
        start = {
            "event": "start",
            "stage": stage,
            "pipeline": "" if apart else checkout_lock.pipeline_run(),
            "above": os.environ.get("K2_MLFLOW_PARENT", ""),  # a sweep's run
            "tags": {"stage": stage, **identity(root)},
            "params": flatten(params),
            "inputs": dict(inputs),
            "models": [digest(root / path) for path in inputs if _is_model(path)],
        }
        self._outbox = _outbox(root, work)
        self._outbox.put(start)
        if self._outbox.deliver():
            send_unsent(root)
            self._activate(system)

    def _activate(self, system: bool) -> None:
        """MLflow's current run is this one: models are logged under it, and its system metrics are watched."""
        import mlflow  # as the sender has done

        run_id = json.loads((self.work / "mlflow_run.json").read_text())["run"]
        with suppress(*store_errors()):
            mlflow.start_run(run_id=run_id, log_system_metrics=system)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Buffers points; `flush` sends them. `step=None` logs at step 0."""
        now = _now()
        points = {key: (key, float(value), now, step or 0) for key, value in metrics.items()}
        self._points += points.values()
        if step is None:
            self._final |= points
        if len(self._points) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Sends buffered points, or keeps them on disk. Call it before a checkpoint is written, so that a resumed run
        misses none.
        """
        if self._points:
            self._outbox.put({"event": "metrics", "points": self._points})
            self._points = []
        self._outbox.deliver()

    def artifact(self, path: Path) -> None:
        """Uploads a file or a folder as an artifact of the run."""
        self._outbox.put({"event": "artifact", "path": path.as_posix()})
        self._outbox.deliver()

    def prompts(self, templates: Mapping[str, Any]) -> None:
        """What the run asks language models with: name → template, a text or a chat."""
        if templates:
            self._outbox.put({"event": "prompts", "templates": dict(templates)})

    def tag(self, key: str, value: str) -> None:
        self._outbox.put({"event": "tag", "key": key, "value": value})

    def _model(self, path: Path) -> None:
        event = {"event": "model", "stage": self.stage, "path": path.as_posix(), "checkpoint": digest(path)}
        self._outbox.put(event | {"data": self._data, "points": list(self._final.values())})

    def end(self, status: str, metrics: Mapping[str, float], outs: Sequence[Path] = ()) -> None:
        """Closes the run as FINISHED, FAILED or KILLED, and the parent with it; final metrics go to both.

        Args:
            outs: what the stage made; DVC's identity of each becomes a tag.
        """
        for path in outs:
            if path.exists():
                self.tag(f"out.{path.as_posix()}", digest(path))
        self.flush()
        for path in outs:
            if status == "FINISHED" and _is_model(path.as_posix()) and path.exists():
                self._model(path)
        import mlflow  # as the sender has done

        with suppress(*store_errors()):
            mlflow.end_run(status)
        now = _now()
        points = [(key, float(value), now, 0) for key, value in metrics.items()]
        self._outbox.put({"event": "end", "status": status, "points": points})
        if not self._outbox.deliver(now=True):
            kept = f"{len(self._outbox)} records of this run are in {self._outbox.path}"
            print(f"mlflow: {self._outbox.problem}; {kept}; the next stage or k2 models --send sends them", flush=True)


def _is_model(path: str) -> bool:
    return path.split("/")[0] == MODELS


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
        Whether a run was logged; a store that does not take it is named on the standard output.
    """
    from stages.tracking.sender import log_finished  # MLflow: seconds to import

    try:
        return log_finished(root, name, params, metrics, tags, once)
    except store_errors() as error:
        print(f"mlflow: {reason(error)}; the run {name!r} is not logged", flush=True)
        return False
