"""The pipeline as a Prefect flow: one task per stage of `dvc.yaml`, in graph order.

    python -m flows.pipeline [--target evaluate] [--force]

DVC decides what has to run; Prefect owns time, retries, time-outs and what a person sees.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from flows import environment

environment.prepare()

from prefect import flow, get_run_logger
from prefect.assets import Asset, materialize
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from flows import assets
from flows.artifacts import StageProgress, leave_curve, leave_note, leave_samples
from flows.graph import Node, restrict, stage_graph
from flows.hooks import on_completion, on_failure, stop
from flows.process import StageFailed, dvc, run, stop_all, stopping
from flows.recovery import alive
from flows.server import local_server
from stages.dial import Params, PipelineParams
from stages.harness import checkout_lock
from stages.harness.errors import InputError
from stages.preflight import preflight

LEASE_S = 60.0  # a place whose holder was killed is free again after this
WAIT_S = 3.0  # between two looks at whether the flow was stopped


def _is_current(name: str) -> bool:
    lines = run(dvc("status", "--json", name), timeout_s=600, on_line=lambda line: None)
    return json.loads(lines[-1]) == {}


def _limits(policy: PipelineParams, names: list[str]) -> None:
    """Brings the server's limits, `k2-<stage>`, to what params.yaml says."""
    with get_client(sync_client=True) as client:
        for name in names:
            if at_once := policy.stages.get(name, policy.default).at_once:
                client.upsert_global_concurrency_limit_by_name(f"k2-{name}", at_once)


@contextmanager
def _place(name: str, at_once: int) -> Iterator[None]:
    """Holds a place of the stage's limit; waits for one, but not longer than the flow lives.

    Raises:
        StageFailed: the flow was stopped meanwhile.
    """
    with ExitStack() as stack:
        while at_once:
            if stopping.is_set():
                raise StageFailed(f"{name}: stopped while it waited for a place")
            with suppress(TimeoutError):
                stack.enter_context(concurrency(f"k2-{name}", timeout_seconds=WAIT_S, lease_duration=LEASE_S))
                break
        yield


def run_stage(name: str, outs: Sequence[str], timeout_s: float, at_once: int, force: bool) -> State[Any]:
    """Runs one DVC stage; its state is named `Cached` when its inputs have not changed."""
    log = get_run_logger()
    started = time.monotonic()
    if not force and _is_current(name):
        leave_note(name, "inputs unchanged: nothing ran", 0.0)
        return Completed(name="Cached", message=f"{name}: inputs unchanged")
    command = dvc("repro", "--single-item", *(["--force"] if force else []), name)
    progress = StageProgress(name)

    def heard(line: str) -> None:
        log.info(line)
        progress.heard(line)

    with _place(name, at_once):
        lines = run(command, timeout_s=timeout_s, on_line=heard)
    own = [line for line in lines if line.startswith(f"{name}:")]
    last = own[-1] if own else f"{name}: restored from the run cache"
    progress.end(last)
    leave_note(name, last, time.monotonic() - started)
    leave_curve(name, outs)
    leave_samples(name, outs)
    assets.describe(outs, name)
    return Completed(message=last)


def _submit(
    node: Node, policy: PipelineParams, known: Mapping[str, Asset], done: dict[str, PrefectFuture[Any]], force: bool
) -> PrefectFuture[Any]:
    mine = policy.stages.get(node.name, policy.default)
    stage = materialize(
        *(known[path] for path in node.outs),
        by="dvc",
        asset_deps=[known[path] for path in node.reads],
        task_run_name="{name}",
        retries=mine.retries,
        retry_delay_seconds=exponential_backoff(mine.retry_delay_s),
        tags=["k2", node.name],
    )(run_stage)
    needs = [done[need] for need in node.needs]
    return stage.submit(node.name, node.outs, mine.timeout_s, mine.at_once, force, wait_for=needs)


@flow(
    name="k2-pipeline",
    task_runner=ThreadPoolTaskRunner(max_workers=1),  # type: ignore[arg-type]
    on_completion=[on_completion],
    on_failure=[on_failure],
    on_cancellation=[stop],
    on_crashed=[stop],
)
def pipeline(targets: list[str] | None = None, force: bool = False) -> dict[str, str]:
    """Runs every stage (or `targets` and what they need) and returns each stage's state name.

    Args:
        targets: Stages to run, with everything that they need. Empty is the whole pipeline.
        force: Run stages whose inputs have not changed, too.
    """
    with alive():
        return _run_all(targets or [], force)


def _run_all(targets: list[str], force: bool) -> dict[str, str]:
    params = preflight()
    stopping.clear()
    with checkout_lock.hold(Path("work")):
        return _run_stages(params, targets, force)


def _run_stages(params: Params, targets: list[str], force: bool) -> dict[str, str]:
    done: dict[str, PrefectFuture[Any]] = {}
    try:
        nodes = restrict(stage_graph(), targets)
        _limits(params.pipeline, [node.name for node in nodes])
        known = assets.of(nodes)
        for node in nodes:
            done[node.name] = _submit(node, params.pipeline, known, done, force)
        states = {name: future.wait() or future.state for name, future in done.items()}
    except BaseException:
        stop_all()
        raise
    names = {name: str(future.state.name) for name, future in done.items()}
    failed = [name for name, future in done.items() if not future.state.is_completed()]
    if failed:
        raise StageFailed(f"stage {failed[0]}: {states[failed[0]] or done[failed[0]].state.message}")
    return names


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    parser = argparse.ArgumentParser(description="Runs the pipeline as a Prefect flow on a local server.")
    parser.add_argument("--target", action="append", help="a stage to run with what it needs (repeatable)")
    parser.add_argument("--force", action="store_true", help="run stages whose inputs have not changed too")
    args = parser.parse_args()
    try:
        preflight()
        if args.target:
            restrict(stage_graph(), args.target)  # before a server starts for it
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    try:
        with local_server() as url, temporary_settings({PREFECT_API_URL: url}):
            print(f"Prefect UI: {url.removesuffix('/api')}")
            names = pipeline(args.target, args.force)
    except (StageFailed, InputError, RuntimeError) as error:
        print(f"pipeline: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("pipeline: stopped; the next run goes on from work/", file=sys.stderr)
        raise SystemExit(130) from None
    print("pipeline: " + ", ".join(f"{name} {state.lower()}" for name, state in names.items()))


if __name__ == "__main__":
    main()
