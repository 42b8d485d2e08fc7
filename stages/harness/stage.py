"""The harness of a stage: parameters, work folder, record of the run, progress, last line, exit status.

with Stage("corpus", CorpusParams, Track) as stage:
    p = stage.params
    ...
    stage.finish("10,289 documents, 11.2 MB", metrics={"docs": 10289})
"""

import errno
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel

from agents.chat.redact import public_values
from k2model.errors import CheckpointError, ConfigError, NotFiniteError
from stages import COLLECTOR
from stages.harness import checkout_lock, seeds
from stages.harness.declared import declared, graph
from stages.harness.errors import InputError
from stages.harness.files import fingerprint, sha256_tree, write_json
from stages.harness.own_model import OwnModel
from stages.harness.progress import Progress
from stages.harness.ranks import RanksSection, leads
from stages.harness.section import load_common, load_section, load_yaml

MODELS = "models"
USER_ERRORS = (InputError, ConfigError, CheckpointError, NotFiniteError)
P = TypeVar("P", bound=BaseModel)


class Recorder(Protocol):
    """Where a run is recorded; `stages.tracking.runs.Track` is MLflow's."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def flush(self) -> None: ...

    def artifact(self, path: Path) -> None: ...

    def prompts(self, templates: Mapping[str, Any]) -> None: ...

    def tag(self, key: str, value: str) -> None: ...

    def end(self, status: str, metrics: Mapping[str, float], outs: Sequence[Path] = ()) -> None: ...


class OpenRecorder(Protocol):
    def __call__(
        self,
        stage: str,
        root: Path,
        work: Path,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        *,
        system: bool,
        apart: bool,
    ) -> Recorder: ...


class _Unrecorded:
    """A rank other than 0 leaves the record to rank 0."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def flush(self) -> None: ...

    def artifact(self, path: Path) -> None: ...

    def prompts(self, templates: Mapping[str, Any]) -> None: ...

    def tag(self, key: str, value: str) -> None: ...

    def end(self, status: str, metrics: Mapping[str, float], outs: Sequence[Path] = ()) -> None: ...


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


class Stage(Generic[P]):
    """One execution of a stage, run from the root of the checkout.

    Attributes:
        params: the stage's own section of `params.yaml`, validated.
        common: what stands above the sections: seed, model, threads.
        work: `work/<stage>/<fingerprint>/`, which a killed run finds again. The fingerprint covers the
            parameters, the bytes of every input and the code that `dvc.yaml` names.
        code: of the fingerprint, for what answers the same to other parameters.
        shown: the values of params.yaml that `dvc.yaml` gives the stage, without passwords.
        track: the record of the run.
        leads: whether this process records, prints and writes; of several ranks it is rank 0. The others end the stage
            without `finish` when their part is done.

    With `own`, a model folder of the user's takes the place of the one that `dvc.yaml` gives the stage; all that is
    made goes into a folder of theirs, and nothing of the pipeline's is touched.

    A user's error ends the process with one line and status 2, SIGTERM and SIGINT with status 128 + n.
    """

    params: P
    work: Path
    code: str
    shown: dict[str, Any]
    track: Recorder
    _outs: Sequence[Path]

    def __init__(
        self,
        name: str,
        section: type[P],
        open_recorder: OpenRecorder,
        *,
        system_metrics: bool = False,
        own: OwnModel | None = None,
    ) -> None:
        self.name, self.own, self.leads = name, own, leads()
        self.root = Path()
        self.started = time.monotonic()
        self._metrics: dict[str, float] | None = None
        try:
            if self.leads:
                self._open(section, open_recorder, system_metrics)
            self._meet(section)
        except USER_ERRORS as error:
            self._say(error)
            raise SystemExit(2) from None
        gc.set_threshold(*COLLECTOR)

    def _say(self, error: object) -> None:
        rank = "" if self.leads else f" (rank {os.environ['RANK']})"
        print(f"{self.name}{rank}: {error}", file=sys.stderr)

    def _open(self, section: type[P], open_recorder: OpenRecorder, system_metrics: bool) -> None:
        self.common = load_common()
        self.params = load_section(self.name, section) if section.model_fields else section()
        self._check_ranks()
        signal.signal(signal.SIGTERM, _terminate)
        checkout_lock.end_with_dvc()
        self._lock = checkout_lock.claim(self.root / "work")
        try:
            self._open_work(open_recorder, system_metrics)
        except BaseException:
            self._lock.close()
            raise

    def _check_ranks(self) -> None:
        started = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
        if isinstance(self.params, RanksSection) and self.params.ranks != started:
            raise InputError(f"{self.name}.ranks: {self.params.ranks}, but {started} processes were started")

    def _meet(self, section: type[P]) -> None:
        """Several ranks start together, once rank 0 has found nothing to refuse; the others work in its folder."""
        if not issubclass(section, RanksSection) or "RANK" not in os.environ:
            return
        from k2model.training.process_group import from_rank_0  # torch, which stages without ranks don't wait for

        self.work, self.code = from_rank_0((self.work, self.code) if self.leads else (Path(), ""))
        if self.leads:
            return
        signal.signal(signal.SIGTERM, _terminate)
        checkout_lock.end_with_dvc()
        self.common, self.params = load_common(), load_section(self.name, section)
        self.shown, self._outs, self.track, self._lock = {}, (), _Unrecorded(), ExitStack()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)

    def _open_work(self, open_recorder: OpenRecorder, system_metrics: bool) -> None:
        wants = declared(self.name)
        data = [path for path in wants.data if self.own is None or path.parts[0] != MODELS]
        if self.own is not None:
            self.own.check()
        for path in data:
            if not path.exists():
                raise InputError(
                    f"{path}: not found; run the stage that makes it first (dvc repro {_maker(path) or self.name})"
                )
        if self.own is not None:
            data.append(self.own.model)
        values = load_yaml()
        chosen = {key: _section(values, key) for key in wants.sections}
        inputs = {path.as_posix(): sha256_tree([path]) for path in data}
        self.code = sha256_tree(wants.code)
        identity = {"params": chosen, "inputs": inputs, "code": self.code}
        self.work = self.root / "work" / self.name / fingerprint(identity)
        self.work.mkdir(parents=True, exist_ok=True)
        self._outs = wants.outs if self.own is None else ()
        self.shown = public_values(chosen)  # a URL in params.yaml may hold a password
        self.track = open_recorder(
            self.name, self.root, self.work, self.shown, inputs, system=system_metrics, apart=self.own is not None
        )

    def __enter__(self) -> "Stage[P]":
        return self

    @property
    def threads(self) -> int:
        """CPU threads of this process: its share of them, where several ranks run."""
        ranks = self.params.ranks if isinstance(self.params, RanksSection) else 1
        return max(1, self.common.threads // ranks)

    @property
    def start(self) -> Path:
        """The model folder that the stage goes on from: the only one that `dvc.yaml` gives it, or the user's."""
        if self.own is not None:
            return self.own.model
        (start,) = (path for path in declared(self.name).data if path.parts[0] == MODELS)
        return start

    def place(self, output: Path) -> Path:
        """Where an output goes: to its place in the checkout, or into the user's folder, the model as that folder."""
        if self.own is None:
            return self.root / output
        out = self.own.out.resolve()  # where a link leads: the link stays
        return out if output.parts[0] == MODELS else out / "run" / output.name

    def seed(self, *names: str | int) -> int:
        """The sub-seed of this stage's random choice called `names`."""
        return seeds.sub_seed(self.common.seed, self.name, *names)

    def seed32(self, *names: str | int) -> int:
        """`seed` for what takes a signed 32-bit integer."""
        return seeds.seed32(self.common.seed, *names)

    def rng(self, *names: str | int) -> np.random.Generator:
        """A numpy generator on `seed(*names)`."""
        return seeds.rng(self.common.seed, self.name, *names)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics to MLflow (buffered; `stage.track.flush()` before a checkpoint)."""
        self.track.log(metrics, step)

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
            write_json(self.place(Path("metrics") / f"{self.name}.json"), self._metrics)
        self.track.log(self._metrics)
        seconds = time.monotonic() - self.started
        self.track.log({"stage_seconds": seconds})
        if self.own is None:
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
        with self._lock:
            self._close(error)

    def _close(self, error: BaseException | None) -> None:
        if error is None:
            if self._metrics is None:
                if not self.leads:
                    return
                raise RuntimeError(f"stage {self.name} ended without stage.finish(...)")
            self.track.end("FINISHED", {f"{self.name}/{k}": v for k, v in self._metrics.items()}, self._outs)
            return
        killed = isinstance(error, (SystemExit, KeyboardInterrupt))
        self.track.end("KILLED" if killed else "FAILED", {})
        if isinstance(error, USER_ERRORS):
            self._say(error)
            raise SystemExit(2) from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            self._say(f"{error.filename or self.work}: the disk is full")
            raise SystemExit(2) from None


def _maker(path: Path) -> str:
    """The stage that makes a file of the pipeline, itself or in a folder; empty where none does."""
    outs = ((name, out) for name, stage in graph().items() for out in stage.outs)
    return next((name for name, out in outs if path.is_relative_to(out)), "")


def _section(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value[part]
    return value
