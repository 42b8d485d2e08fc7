"""Deployments served from this machine: `python -m flows.deploy` (Ctrl-C stops serving; schedules stay).

Each shows in the Prefect UI with a form for its parameters. `prefect.yaml` holds the same for work pools.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from flows import environment

environment.prepare()

from prefect import flow, get_run_logger, serve
from prefect.artifacts import create_table_artifact
from prefect.schedules import Cron, Interval
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import BaseModel, Field

from flows.experiment import run_experiment
from flows.hooks import on_failure, stop
from flows.pipeline import pipeline
from flows.recovery import install
from flows.server import local_server
from flows.sweep import grid, show, sweep
from stages.harness.errors import InputError


class Parameters(BaseModel):
    """What people change most; anything else goes into `more`. Empty fields keep params.yaml's value."""

    seed: int | None = Field(None, ge=0, description="Seed of every random choice")
    pretrain_steps: int | None = Field(None, ge=1, description="Optimizer steps of the first pre-training phase")
    learning_rate: float | None = Field(None, gt=0, description="MuonClip's learning rate")
    rl_iterations: int | None = Field(None, ge=0, description="Iterations of RL")
    more: dict[str, str] = Field(default_factory=dict, description="Other keys of params.yaml, e.g. sft.steps: 100")

    def changes(self) -> dict[str, str]:
        """Keys of params.yaml and their new values."""
        keys = {
            "seed": self.seed,
            "pretrain.steps": self.pretrain_steps,
            "pretrain.optimizer.lr": self.learning_rate,
            "rl.iterations": self.rl_iterations,
        }
        return {key: str(value) for key, value in keys.items() if value is not None} | self.more


HOOKS: dict[str, Any] = {"on_failure": [on_failure], "on_cancellation": [stop], "on_crashed": [stop]}


@flow(name="k2-experiment", **HOOKS)
def experiment(parameters: Parameters, name: str | None = None, targets: list[str] | None = None) -> str:
    """Runs the pipeline with other parameters as a DVC experiment; the checkout stays as it is.

    Args:
        parameters: What to change in params.yaml.
        name: Of the experiment in `dvc exp show`; DVC makes one up when it is empty.
        targets: Stages to run, with everything that they need. Empty is the whole pipeline.
    """
    lines = run_experiment(parameters.changes(), name=name, targets=targets or [], on_line=get_run_logger().info)
    return lines[-1]


@flow(name="k2-sweep", **HOOKS)
def sweep_flow(values: dict[str, str], name: str = "sweep", metric: str = "validation_loss", jobs: int = 1) -> str:
    """Runs every combination of values as DVC experiments under one MLflow parent.

    Args:
        values: Key of params.yaml → comma-separated values, such as pretrain.optimizer.lr → 0.002,0.004.
        name: Prefix of the experiments' names in `dvc exp show`.
        metric: Key of metrics/scores.json in the table at the end.
        jobs: Experiments at once.
    """
    trials = sweep(grid(values), jobs, name, Path(), metric=metric)
    create_table_artifact(
        [
            {"experiment": trial.name, **trial.changes, metric: (trial.metrics or {}).get(metric, trial.problem)}
            for trial in trials
        ],
        key="sweep",
        description=name,
    )
    return show(trials, metric, name)


def main() -> None:
    try:
        _serve()
    except (InputError, RuntimeError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _serve() -> None:
    parser = argparse.ArgumentParser(description="Serves the deployments from this machine.")
    parser.add_argument("--nightly", default="0 2 * * *", help="cron of the nightly full run, in UTC")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="instead of --nightly: an interval")
    parser.add_argument("--target", action="append", help="a stage of the scheduled run (default: all)")
    args = parser.parse_args()
    when = Interval(args.every) if args.every else Cron(args.nightly, timezone="UTC")
    with local_server() as url:
        print(f"Prefect UI: {url.removesuffix('/api')}", flush=True)
        with temporary_settings({PREFECT_API_URL: url}):
            install()
            serve(
                pipeline.to_deployment(
                    "nightly",
                    schedule=when,
                    parameters={"targets": args.target},
                    tags=["k2"],
                    concurrency_limit=1,
                ),
                pipeline.to_deployment("run", tags=["k2"], concurrency_limit=1),
                pipeline.to_deployment("resume", tags=["k2"], concurrency_limit=1),
                pipeline.to_deployment(
                    "evaluate", parameters={"targets": ["evaluate"]}, tags=["k2"], concurrency_limit=1
                ),
                experiment.to_deployment("experiment", tags=["k2"]),
                sweep_flow.to_deployment("sweep", tags=["k2"]),
                pause_on_shutdown=False,
                limit=1,
            )


if __name__ == "__main__":
    main()
