"""Sweeps: a grid or an Optuna study over params.yaml, each trial a DVC experiment, all under one MLflow parent.

    python -m flows.sweep --grid pretrain.optimizer.lr=0.002,0.004 --grid seed=0,1 --jobs 2
    python -m flows.sweep --study pretrain.optimizer.lr=log:0.001:0.01 --trials 6 --metric validation_loss

Results: `dvc exp show`, MLflow's comparison of the children, and a table at the end; the three agree.
"""

import argparse
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from flows.experiment import override, parse_changes, run_experiment
from flows.process import StageFailed, StageTimeout
from flows.ui import mlflow_address
from stages.harness.errors import InputError
from stages.harness.section import load_yaml
from stages.tracking.groups import RunGroup

CHARTS = ("validation_loss", "text_loss", "facts")  # of every sweep, after the metric that was asked for


@dataclass(frozen=True)
class Trial:
    """One point of the sweep and, when it ended well, its metrics."""

    name: str
    changes: dict[str, str]
    metrics: dict[str, float] | None
    problem: str = ""


def grid(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    """Every combination of comma-separated values."""
    keys = list(pairs)
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(pairs[k].split(",") for k in keys))]


def _git(root: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout


def metrics_of(ref: str, root: Path) -> dict[str, float]:
    """The scores of an experiment, read from its own commit."""
    metrics: dict[str, Any] = json.loads(_git(root, "show", f"{ref}:metrics/scores.json"))
    return {key: float(value) for key, value in metrics.items() if isinstance(value, (int, float))}


def run_trial(name: str, changes: dict[str, str], runs: RunGroup, root: Path, timeout_s: float) -> Trial:
    """Runs one point as a DVC experiment and a child run of the same name; a failure is a result, not the end."""
    child = runs.start(name, changes, stage="trial", **{"dvc.exp": name})
    trial = _experiment(name, changes, child, root, timeout_s)
    if trial.problem:
        runs.tag(child, "problem", trial.problem)
    runs.finish(child, trial.metrics)
    return trial


def _experiment(name: str, changes: dict[str, str], parent_run: str, root: Path, timeout_s: float) -> Trial:
    try:
        run_experiment(
            changes, name=name, timeout_s=timeout_s, parent_run=parent_run, on_line=lambda line: None, root=root
        )
        refs = _git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()
        ref = next((line for line in refs if line.endswith(f"/{name}")), None)
        if ref is None:
            return Trial(name, changes, None, "DVC kept no experiment")
        return Trial(name, changes, metrics_of(ref, root))
    except (StageFailed, StageTimeout, subprocess.CalledProcessError) as error:
        return Trial(name, changes, None, str(error))


def sweep(
    points: Sequence[dict[str, str]],
    jobs: int,
    title: str,
    root: Path,
    timeout_s: float = 86_400.0,
    metric: str = "validation_loss",
) -> list[Trial]:
    """Runs all points, `jobs` at a time; MLflow's charts of them begin with `metric`."""
    base = load_yaml(root / "params.yaml")
    for point in points:
        override(json.loads(json.dumps(base)), point)
    runs = RunGroup.open(title, root, "sweep")
    with ThreadPoolExecutor(jobs) as pool:
        trials = list(
            pool.map(lambda k: run_trial(f"{title}-{k}", points[k], runs, root, timeout_s), range(len(points)))
        )
    _end(runs, trials, metric, title, root)
    return trials


def _end(runs: RunGroup, trials: Sequence[Trial], metric: str, title: str, root: Path) -> None:
    """Ends the parent, and says where the trials' charts are."""
    if page := runs.show([metric, *(one for one in CHARTS if one != metric)], sorted({*trials[0].changes})):
        print(f"{title}: charts: {mlflow_address(root)}/{page}", flush=True)
    runs.end(all(trial.metrics for trial in trials))


def suggest(trial: optuna.Trial, key: str, text: str) -> str:
    """`log:lo:hi`, `float:lo:hi`, `int:lo:hi`, or a comma-separated choice."""
    found = interval(key, text)
    if found is None:
        return str(trial.suggest_categorical(key, text.split(",")))
    kind, low, high = found
    if kind == "int":
        return str(trial.suggest_int(key, int(low), int(high)))
    return f"{trial.suggest_float(key, low, high, log=kind == 'log'):.6g}"


def interval(key: str, text: str) -> tuple[str, float, float] | None:
    """The kind and the ends of a range; None of a choice.

    Raises:
        InputError: its ends are no numbers, or not in order.
    """
    kind, _, rest = text.partition(":")
    if kind not in ("log", "float", "int"):
        return None
    try:
        low, high = map(int if kind == "int" else float, rest.split(":"))
    except ValueError:
        raise InputError(f"--study {key}={text}: wanted {kind}:LO:HI with two numbers") from None
    if not -math.inf < low <= high < math.inf or (kind == "log" and low <= 0):
        raise InputError(f"--study {key}={text}: wanted LO up to HI" + (", above 0" if kind == "log" else ""))
    return kind, low, high


def study(space: Mapping[str, str], trials: int, metric: str, title: str, root: Path, seed: int = 0) -> list[Trial]:
    """An Optuna study that minimises (metrics named `*loss*`) or maximises `metric`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed)
    made = optuna.create_study(direction="minimize" if lower_is_better(metric) else "maximize", sampler=sampler)
    runs = RunGroup.open(title, root, "sweep")
    finished: list[Trial] = []
    for number in range(trials):
        asked = made.ask()
        changes = {key: suggest(asked, key, text) for key, text in space.items()}
        done = run_trial(f"{title}-{number}", changes, runs, root, 86_400.0)
        finished.append(done)
        if done.metrics is None:
            made.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            made.tell(asked, done.metrics[metric])
    _end(runs, finished, metric, title, root)
    return finished


def lower_is_better(metric: str) -> bool:
    """Whether a metric's name says that less of it is better."""
    return "loss" in metric or "bits" in metric


def show(trials: Sequence[Trial], metric: str, title: str) -> str:
    """A line for each trial, the metric last; then the best of them.

    Raises:
        InputError: the trials have no such metric.
    """
    lines = []
    for trial in trials:
        if trial.metrics and metric not in trial.metrics:
            raise InputError(f"--metric: no {metric!r} in metrics/scores.json; there are {', '.join(trial.metrics)}")
        result = f"{trial.metrics[metric]:.6g}" if trial.metrics else f"failed: {trial.problem}"
        lines.append(f"{trial.name}  {' '.join(f'{k}={v}' for k, v in trial.changes.items())}  {metric} {result}")
    ranked = sorted(
        (trial.metrics[metric] * (1 if lower_is_better(metric) else -1), k)
        for k, trial in enumerate(trials)
        if trial.metrics
    )
    lines.append(f"{title}: best of {len(trials)}: {lines[ranked[0][1]] if ranked else 'none, all failed'}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a sweep of DVC experiments under one MLflow parent.")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=V1,V2", help="a key and its values")
    parser.add_argument("--study", action="append", default=[], metavar="KEY=log:LO:HI", help="a key and its range")
    parser.add_argument("--trials", type=int, default=8, help="of a study")
    parser.add_argument("--metric", default="validation_loss", help="a key of metrics/scores.json")
    parser.add_argument("--jobs", type=int, default=1, help="trials of a grid at once")
    parser.add_argument("--name", default="sweep", help="prefix of the experiments' names")
    args = parser.parse_args()
    if bool(args.grid) == bool(args.study):
        parser.error("give either --grid or --study")
    try:
        for option, value in (("--jobs", args.jobs), ("--trials", args.trials)):
            if value < 1:
                raise InputError(f"{option}: {value} is below 1")
        for key, text in parse_changes(args.study).items():
            interval(key, text)
        if args.grid:
            trials = sweep(grid(parse_changes(args.grid)), args.jobs, args.name, Path(), metric=args.metric)
        else:
            trials = study(parse_changes(args.study), args.trials, args.metric, args.name, Path())
        print(show(trials, args.metric, args.name))
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0 if all(trial.metrics for trial in trials) else 1)


if __name__ == "__main__":
    main()
