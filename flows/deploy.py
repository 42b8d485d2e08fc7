"""Deployments served from this machine: `python -m flows.deploy` (Ctrl-C stops serving; schedules stay).

Each shows in the Prefect UI with a form for its parameters. `prefect.yaml` holds the same for work pools.
"""

import argparse

from flows import environment

environment.prepare()

from prefect import flow, serve
from pydantic import BaseModel, Field

from flows.experiment import run_experiment
from flows.pipeline import pipeline
from flows.server import local_server
from flows.sweep import grid, show, sweep


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


@flow(name="k2-experiment")
def experiment(parameters: Parameters, name: str | None = None) -> str:
    """Runs the pipeline with other parameters as a DVC experiment; the checkout stays as it is."""
    lines = run_experiment(parameters.changes(), name=name)
    return lines[-1]


@flow(name="k2-sweep")
def sweep_flow(values: dict[str, str], name: str = "sweep", metric: str = "validation_loss", jobs: int = 1) -> str:
    """Runs every combination of comma-separated values (key of params.yaml → values) as DVC experiments."""
    from pathlib import Path

    table = show(sweep(grid(values), jobs, name, Path()), metric)
    print(table)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves the deployments from this machine.")
    parser.add_argument("--nightly", default="0 2 * * *", help="cron of the nightly full run, in UTC")
    args = parser.parse_args()
    with local_server() as url:
        print(f"Prefect UI: {url.removesuffix('/api')}", flush=True)
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: url}):
            serve(
                pipeline.to_deployment("nightly", cron=args.nightly, tags=["k2"], concurrency_limit=1),
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
