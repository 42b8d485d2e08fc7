"""Sandboxed jobs on more machines: the sandbox's own workers behind a Prefect work pool.

    python -m flows.sandbox jobs.jsonl outcomes.jsonl                               on this machine
    python -m flows.sandbox jobs.jsonl outcomes.jsonl --deployment k2-sandbox/sandbox   wherever the pool has workers

A line of the input is a job (`gym.sandbox.Job.to_json`), a line of the output its outcome, in the same order. The jobs
are cut into shards; a shard is one flow run, which a worker of the pool picks up (`prefect worker start --pool k2`) and
runs in sandboxes of its machine. Both files lie where every worker sees them. A shard that is done is not run again.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from flows import environment

environment.prepare()

from prefect import flow, get_run_logger
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import State

from flows.server import local_server
from gym.sandbox import Job, SandboxError, open_sandbox
from stages.harness.errors import InputError
from stages.harness.files import check_writable, sha256_file, write_atomic

Level = Literal["fork", "namespaces"]


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a file.

    Raises:
        InputError: no file, no JSON, or no job; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    jobs = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            jobs.append(Job.from_json(json.loads(line)))
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: line {number}: no job: {error}") from None
    if not jobs:
        raise InputError(f"{path}: no jobs")
    return jobs


@flow(name="k2-sandbox")
def shard(jobs: str, out: str, start: int, count: int, level: Level = "fork", workers: int = 2) -> str:
    """Runs some of a file's jobs in sandboxes of this machine.

    Args:
        jobs: File of jobs, one JSON object a line.
        out: File of their outcomes; one that is there is kept.
        start: Number of the first job, from 0.
        count: How many jobs.
        level: Of the sandbox; only namespaces starts other programs than Python.
        workers: Jobs at once.
    """
    target = Path(out)
    if target.exists():
        return f"jobs {start} to {start + count - 1}: done before"
    chosen = read_jobs(Path(jobs))[start : start + count]
    with open_sandbox(level, workers=workers) as box:
        outcomes = box.map(chosen)
    with write_atomic(target) as tmp:
        tmp.write_text("".join(json.dumps(outcome.to_json()) + "\n" for outcome in outcomes), encoding="utf-8")
    line = f"jobs {start} to {start + len(chosen) - 1}: {sum(outcome.verdict == 'ok' for outcome in outcomes)} ok"
    get_run_logger().info(line)
    return line


def run_jobs(
    jobs: Path, out: Path, *, size: int, deployment: str = "", level: Level = "fork", workers: int = 2, at_once: int = 8
) -> dict[str, int]:
    """Runs every job in shards of `size`; writes the outcomes and gives how many had each verdict.

    Args:
        deployment: FLOW/NAME of the flow `shard` on a work pool; empty runs here.
        at_once: shards in flight.

    Raises:
        InputError: bad jobs, or a shard failed.
    """
    n = len(read_jobs(jobs))
    folder = out.with_name(f"{out.name}.{sha256_file(jobs)[:12]}-{size}")
    folder.mkdir(parents=True, exist_ok=True)

    def run_shard(start: int) -> Path:
        part = folder / f"shard-{start:08d}.jsonl"
        asked: dict[str, Any] = {"jobs": str(jobs.absolute()), "out": str(part.absolute()), "start": start}
        asked |= {"count": min(size, n - start), "level": level, "workers": workers}
        if part.exists():
            return part
        if not deployment:
            shard(**asked)
            return part
        run = run_deployment(deployment, parameters=asked, flow_run_name=f"jobs-{start}", timeout=None)
        state: State[Any] | None = run.state  # type: ignore[union-attr]
        if state is None or not state.is_completed() or not part.exists():
            raise InputError(f"{deployment}: jobs from {start} on: {state.message if state else 'no state'}")
        return part

    with ThreadPoolExecutor(at_once if deployment else 1) as pool:
        parts = list(pool.map(run_shard, range(0, n, size)))
    verdicts: dict[str, int] = {}
    with write_atomic(out) as tmp, tmp.open("w", encoding="utf-8") as file:
        for part in parts:
            for line in filter(None, part.read_text(encoding="utf-8").split("\n")):
                verdict = json.loads(line)["verdict"]
                verdicts[verdict] = verdicts.get(verdict, 0) + 1
                file.write(line + "\n")
    for part in parts:
        part.unlink()
    folder.rmdir()
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--deployment", default="", help="FLOW/NAME on a work pool (default: this machine)")
    parser.add_argument("--shard", type=int, default=500, help="jobs of a flow run")
    parser.add_argument("--level", choices=("fork", "namespaces"), default="fork")
    parser.add_argument("--workers", type=int, default=2, help="sandboxes at once on a machine")
    args = parser.parse_args()
    try:
        check_writable(args.out, "outcomes")
        for name in ("shard", "workers"):
            if getattr(args, name) < 1:
                raise InputError(f"--{name}: at least 1")
        with local_server() as url, temporary_settings({PREFECT_API_URL: url}):
            verdicts = run_jobs(
                args.jobs, args.out, size=args.shard, deployment=args.deployment, level=args.level, workers=args.workers
            )
    except (InputError, SandboxError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"sandbox: {sum(verdicts.values())} jobs: {', '.join(f'{n} {key}' for key, n in sorted(verdicts.items()))}")


if __name__ == "__main__":
    main()
