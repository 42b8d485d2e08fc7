"""Rephrasing over document shards: `python -m flows.shards 4` gives four shards to the workers of the pool `k2-shards`.

`prefect worker start --pool k2-shards` runs wherever there is a processor or a way to the endpoint. The shards fill one
store of answers (`K2_ANSWERS`); when all are done, `dvc repro rephrase` assembles without asking.
"""

import argparse
import sys
import time
from typing import Any

from flows import environment

environment.prepare()

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.hooks import on_failure, stop
from flows.process import StageFailed, run, stopping
from flows.recovery import alive
from flows.server import local_server
from stages.harness.errors import InputError

DEPLOYMENT = "k2-rephrase-shard/rephrase-shard"
POLL_S = 2.0
HOOKS: dict[str, Any] = {"on_failure": [on_failure], "on_cancellation": [stop], "on_crashed": [stop]}


@flow(name="k2-rephrase-shard", flow_run_name="shard {shard} of {shards}", retries=2, retry_delay_seconds=10, **HOOKS)
def shard_flow(shard: int, shards: int, timeout_s: float = 86400.0) -> str:
    """Fills the store of answers for one shard of the documents.

    Args:
        shard: Which one, from 0.
        shards: How many there are.
        timeout_s: Seconds after which it is stopped; what was answered stays.
    """
    stopping.clear()
    command = [sys.executable, "-m", "stages.rephrase.shard", str(shard), str(shards)]
    with alive():
        return run(command, timeout_s=timeout_s, on_line=get_run_logger().info)[-1]


@flow(name="k2-rephrase", **HOOKS)
def shards_flow(shards: int = 2, deployment: str = DEPLOYMENT) -> dict[str, str]:
    """Submits every shard to the deployment's work pool and waits for all; returns each one's final state.

    Args:
        shards: Into how many parts the documents are dealt.
        deployment: Of `k2-rephrase-shard`, as flow/name.

    Raises:
        StageFailed: a shard did not complete.
    """
    stopping.clear()
    runs = [
        run_deployment(deployment, parameters={"shard": k, "shards": shards}, timeout=0, tags=["k2", "rephrase"])
        for k in range(shards)
    ]
    waiting = {flow_run.id: str(flow_run.name) for flow_run in runs}  # type: ignore[union-attr]
    states: dict[str, str] = {}
    with alive(), get_client(sync_client=True) as client:
        while waiting:
            for run_id, name in list(waiting.items()):
                state = client.read_flow_run(run_id).state
                if state is not None and state.is_final():
                    get_run_logger().info("%s: %s", name, state.name)
                    states[name] = str(state.name)
                    del waiting[run_id]
            time.sleep(POLL_S if waiting else 0.0)
    failed = sorted(name for name, state in states.items() if state != "Completed")
    if failed:
        raise StageFailed(f"{', '.join(failed)}: not completed")
    return states


def main() -> None:
    parser = argparse.ArgumentParser(description="Gives shards of the rephrasing to the workers of a pool.")
    parser.add_argument("shards", type=int)
    args = parser.parse_args()
    try:
        with local_server() as url, temporary_settings({PREFECT_API_URL: url}):
            states = shards_flow(args.shards)
    except (StageFailed, InputError) as error:
        print(f"rephrase: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"rephrase: {len(states)} shards completed; next: dvc repro rephrase")


if __name__ == "__main__":
    main()
