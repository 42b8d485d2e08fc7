"""A crashed worker's run goes on at another worker: `python -m flows.recovery` sets this up on the Prefect server.

A flow of this project says every few seconds that it is alive. The server marks a run that fell silent as crashed,
and a crashed run waits for a worker again: the same run, which finds the finished stages cached and the killed stage's
state in its work folder. A run that has crashed `MOST_CRASHES` times fails instead.
"""

import argparse
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from flows import environment

environment.prepare()

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger, emit_event
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Posture
from prefect.runtime import flow_run

ALIVE = "k2.flow-run.alive"
ENDS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling")}
MOST_CRASHES = 3
EVERY_S = 15.0
SILENCE_S = 60.0


@contextmanager
def alive() -> Iterator[None]:
    """Emits `ALIVE` for the current flow run every `K2_ALIVE_S` (15) seconds while the body runs.

    Raises:
        RuntimeError: this run was started more than `MOST_CRASHES` times.
    """
    run_id = flow_run.id
    if run_id is None:
        yield
        return
    if (flow_run.run_count or 0) > MOST_CRASHES:
        raise RuntimeError(f"crashed {MOST_CRASHES} times; look at the work folder's stage and run `resume`")
    every = float(os.environ.get("K2_ALIVE_S", EVERY_S))
    name = str(flow_run.name)
    done = threading.Event()

    def say() -> None:
        while True:
            emit_event(ALIVE, {"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.name": name})
            if done.wait(every):
                return

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def automations(silence_s: float) -> list[Automation]:
    """Silent runs are crashed; crashed runs of this project wait for a worker."""
    run = {"prefect.resource.id": "prefect.flow-run.*"}
    tag = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.k2"}
    silent = EventTrigger(
        match=run,
        after={ALIVE},
        expect={ALIVE} | ENDS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=silence_s),
    )
    crashed = EventTrigger(
        match=run,
        match_related=tag,
        expect={"prefect.flow-run.Crashed"},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
    )
    gone = f"silent for {silence_s:.0f} s: its worker is gone"
    return [
        Automation(
            name="k2: a silent run is crashed",
            trigger=silent,
            actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=gone)],
        ),
        Automation(
            name="k2: a crashed run goes on at another worker",
            trigger=crashed,
            actions=[
                ChangeFlowRunState(
                    state=StateType.SCHEDULED, name="AwaitingRetry", message="goes on at the next free worker"
                )
            ],
        ),
    ]


def install(silence_s: float = SILENCE_S) -> list[str]:
    """Creates both automations, replacing those of an earlier call; returns their names."""
    for wanted in automations(silence_s):
        with suppress(ValueError):  # there is none yet
            Automation.read(name=wanted.name).delete()  # type: ignore[union-attr]
        wanted.create()
    return [wanted.name for wanted in automations(silence_s)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Lets a crashed worker's run go on at another worker.")
    parser.add_argument(
        "--silence", type=float, default=SILENCE_S, help="seconds of silence after which a run is crashed (at least 10)"
    )
    args = parser.parse_args()
    if not 10 <= args.silence < math.inf:
        parser.error("--silence: at least 10")
    for name in install(args.silence):
        print(name)
    print(f"recovery: 2 automations, a run may be silent for {args.silence:.0f} s")


if __name__ == "__main__":
    main()
