"""The harness of a stage: parameters, work folder, MLflow run, progress, last line, exit status.

with Stage("corpus") as stage:
    p = stage.params.corpus
    ...
    stage.finish("10,289 documents, 11.2 MB", metrics={"docs": 10289})
"""

import errno
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from k2model.errors import CheckpointError, ConfigError
from stages.dial import load_params
from stages.harness import seeds
from stages.harness.declared import declared
from stages.harness.errors import InputError
from stages.harness.files import fingerprint, sha256_tree, write_json
from stages.harness.progress import Progress
from stages.tracking.dvc_store import digest
from stages.tracking.runs import Track
from stages.tracking.traces import choose, log_traces

USER_ERRORS = (InputError, ConfigError, CheckpointError)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


class Stage:
    """One execution of a stage, run from the root of the checkout.

    Attributes:
        params: the validated `params.yaml`.
        work: `work/<stage>/<fingerprint>/`, which a killed run finds again. The fingerprint covers the
            parameters, the bytes of every input and the code that `dvc.yaml` names.
        track: the MLflow run.

    A user's error ends the process with one line and status 2, SIGTERM and SIGINT with status 128 + n.
    """

    def __init__(self, name: str, *, system_metrics: bool = False) -> None:
        self.name, self.system_metrics = name, system_metrics
        self.root = Path()
        self.started = time.monotonic()
        self._metrics: dict[str, float] | None = None
        try:
            self._open()
        except USER_ERRORS as error:
            print(f"{name}: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    def _open(self) -> None:
        from stages.harness import checkout_lock as owner

        self.params = load_params()
        owner.claim(self.root / "work")
        wants = declared(self.name)
        for path in wants.data:
            if not path.exists():
                raise InputError(f"{path}: not found; run the stage that makes it first (dvc repro {self.name})")
        chosen = {key: _section(self.params.model_dump(mode="json"), key) for key in wants.sections}
        inputs = {path.as_posix(): sha256_tree([path]) for path in wants.data}
        identity = {"params": chosen, "inputs": inputs, "code": sha256_tree(wants.code)}
        self.work = self.root / "work" / self.name / fingerprint(identity)
        self.work.mkdir(parents=True, exist_ok=True)
        self._outs = wants.outs
        signal.signal(signal.SIGTERM, _terminate)
        self.track = Track(self.name, self.root, self.work, chosen, inputs, system=self.system_metrics)

    def __enter__(self) -> "Stage":
        return self

    def seed(self, *names: str | int) -> int:
        """The sub-seed of this stage's random choice called `names`."""
        return seeds.sub_seed(self.params.seed, self.name, *names)

    def rng(self, *names: str | int) -> np.random.Generator:
        """A numpy generator on `seed(*names)`."""
        return seeds.rng(self.params.seed, self.name, *names)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics to MLflow (buffered; `stage.track.flush()` before a checkpoint)."""
        self.track.log(metrics, step)

    def trace(self, trajectories: Sequence[Mapping[str, Any]]) -> None:
        """Shows `params.traces` of these rows of trajectories.parquet as MLflow traces, each once."""
        log_traces(self.root, choose(trajectories, self.params.traces))

    def progress(self, total: int, unit: str = "it") -> Progress:
        """A bar on a terminal, a line a minute in a log."""
        return Progress(self.name, total, unit)

    def finish(self, line: str, metrics: Mapping[str, float] | None = None, *, write: bool = True) -> None:
        """Ends the stage: writes `metrics/<stage>.json` and prints the last line with the time it took.

        Args:
            line: what was made and how much.
            metrics: final metrics, also logged to the MLflow run and its parent.
            write: False when the stage writes its own metrics file.
        """
        self._metrics = dict(metrics or {})
        if write:
            write_json(self.root / "metrics" / f"{self.name}.json", self._metrics)
        self.track.log(self._metrics)
        seconds = time.monotonic() - self.started
        self.track.log({"stage_seconds": seconds})
        self._note_time(seconds)
        print(f"{self.name}: {line}, {seconds:,.1f} s", flush=True)

    def _note_time(self, seconds: float) -> None:
        path = self.root / "work" / "timings.json"
        timings: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        timings[self.name] = round(seconds, 2)
        write_json(path, timings)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            if self._metrics is None:
                raise RuntimeError(f"stage {self.name} ended without stage.finish(...)")
            for path in self._outs:
                if path.exists():
                    self.track.tag(f"out.{path.as_posix()}", digest(path))
            self.track.end("FINISHED", {f"{self.name}/{k}": v for k, v in self._metrics.items()})
            return
        killed = isinstance(error, (SystemExit, KeyboardInterrupt))
        self.track.end("KILLED" if killed else "FAILED", {})
        if isinstance(error, USER_ERRORS):
            print(f"{self.name}: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print(f"{self.name}: {error.filename or self.work}: the disk is full", file=sys.stderr)
            raise SystemExit(2) from None


def _section(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value[part]
    return value
