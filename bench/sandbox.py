"""Sandboxed Python against a cold interpreter, and many logical environments on few workers.

    python -m bench.sandbox                       starts, throughput, preloaded modules
    python -m bench.sandbox --soak 600            10,000 environments that each act every 20 s, for 600 s

A logical environment is its files and its number; it has a process only while it acts. Ratios are to
`python -I -S -c` in the same run; the machine's noise hits both.
"""

import argparse
import contextlib
import heapq
import os
import queue
import statistics
import subprocess
import sys
import time
from concurrent.futures import Future

import psutil

from gym.sandbox import Job, Limits, Outcome, Sandbox, Verdict, open_sandbox

TINY = "assert sum([1, 2]) == 3\nassert 'a'.upper() == 'A'\nprint('ok')"
PRELOADED = "import numpy, sympy\nprint('ok')"
USED = "import numpy, sympy\nprint(numpy.ones(3).sum(), sympy.Symbol('x'))"
PERIOD_S = 20.0
ENVIRONMENTS = 10_000


def cold(source: str, n: int, bare: bool) -> float:
    """Median seconds of a cold interpreter."""
    flags = ["-I", "-S"] if bare else ["-I"]
    samples = []
    for _ in range(n):
        started = time.perf_counter()
        subprocess.run([sys.executable, *flags, "-c", source], check=True, stdout=subprocess.DEVNULL)
        samples.append(time.perf_counter() - started)
    return statistics.median(samples)


def starts(box: Sandbox, source: str, n: int) -> tuple[float, float]:
    """(median, 99th percentile) seconds of a job from request to verdict."""
    samples = []
    for _ in range(n):
        started = time.perf_counter()
        outcome = box.run(Job(source=source))
        samples.append(time.perf_counter() - started)
        assert outcome.verdict is Verdict.OK, outcome
    return statistics.median(samples), sorted(samples)[int(n * 0.99)]


def throughput(box: Sandbox, n: int) -> float:
    """Jobs per second with every worker busy."""
    started = time.perf_counter()
    outcomes = box.map([Job(source=TINY)] * n)
    assert all(outcome.verdict is Verdict.OK for outcome in outcomes)
    return n / (time.perf_counter() - started)


def processor_ms(box: Sandbox, n: int) -> float:
    """Milliseconds of processor time per job, of this process, the zygotes and all programs: steadier than rates."""
    zygotes = [psutil.Process(worker.process.pid) for worker in box._all]

    def spent() -> float:
        return time.process_time() + sum(sum(zygote.cpu_times()[:4]) for zygote in zygotes)

    before = spent()
    box.map([Job(source=TINY)] * n)
    return 1e3 * (spent() - before) / n


def soak(box: Sandbox, seconds: float, environments: int) -> None:
    """Each environment acts every 20 s; reports queue time, failures and what grew."""
    me = psutil.Process(os.getpid())
    before = (len(psutil.pids()), me.num_fds(), me.memory_info().rss, len(os.listdir("/dev/shm")))
    due = [(k * PERIOD_S / environments, k) for k in range(environments)]
    heapq.heapify(due)
    started = time.perf_counter()
    waits: list[float] = []
    bad: list[Outcome] = []
    steps = [0] * environments
    pending: dict[Future[Outcome], tuple[float, int]] = {}
    done: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
    while time.perf_counter() - started < seconds:
        now = time.perf_counter() - started
        while due and due[0][0] <= now and len(pending) < 256:
            at, number = heapq.heappop(due)
            source = f"n = int(open('state').read())\nopen('state', 'w').write(str(n + {number}))\nprint(n)"
            job = Job(source=source, files={"state": str(steps[number])}, keep=["state"], limits=Limits(cpu_s=2.0))
            future = box.submit(job)
            pending[future] = (at, number)
            future.add_done_callback(done.put)
        with contextlib.suppress(queue.Empty):
            future = done.get(timeout=0.02)
            at, number = pending.pop(future)
            outcome = future.result()
            waits.append(time.perf_counter() - started - at - outcome.wall_s)
            if outcome.verdict is not Verdict.OK or int(outcome.files["state"]) != steps[number] + number:
                bad.append(outcome)
            steps[number] += number
            heapq.heappush(due, (at + PERIOD_S, number))
    for future in pending:
        future.result()
    after = (len(psutil.pids()), me.num_fds(), me.memory_info().rss, len(os.listdir("/dev/shm")))
    waits.sort()
    print(f"{environments:,} environments, {len(waits):,} steps in {seconds:.0f} s: {len(waits) / seconds:.0f}/s")
    print(
        f"queue time p50 {waits[len(waits) // 2]:.3f} s, p99 {waits[int(len(waits) * 0.99)]:.3f} s; {len(bad)} failed"
    )
    print(f"processes {before[0]} to {after[0]}, descriptors {before[1]} to {after[1]}, ", end="")
    print(f"memory {before[2] / 2**20:.0f} to {after[2] / 2**20:.0f} MiB, files in /dev/shm {before[3]} to {after[3]}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--soak", type=float, default=0.0, help="seconds")
    parser.add_argument("--environments", type=int, default=ENVIRONMENTS)
    parser.add_argument("--n", type=int, default=200)
    args = parser.parse_args()
    with open_sandbox("fork", workers=2) as box:
        if args.soak:
            return soak(box, args.soak, args.environments)
        p50, p99 = starts(box, TINY, args.n)
        bare, usual = cold(TINY, 20, True), cold(f"import json, re, asyncio, unittest\n{TINY}", 10, False)
        print(
            f"start p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f} ms (aim p50 5 ms); cold bare {1e3 * bare:.1f} ms: ",
            end="",
        )
        print(f"{bare / p50:.1f}x; cold with usual imports {1e3 * usual:.0f} ms: {usual / p50:.0f}x")
        print(f"{throughput(box, 3 * args.n):.0f} sandboxed steps/s on two workers (aim 400); ", end="")
        each = processor_ms(box, 3 * args.n)
        print(f"{each:.2f} ms of processor time a step: two whole cores would do {2e3 / each:.0f}/s")
    with open_sandbox("fork", workers=2, preload=["numpy", "sympy"]) as box:
        for name, source in (("start", PRELOADED), ("start and first use", USED)):
            p50, _ = starts(box, source, max(20, args.n // 4))
            slow = cold(source, 5, False)
            print(f"numpy+sympy preloaded, {name}: p50 {1e3 * p50:.1f} ms, cold {1e3 * slow:.0f} ms: ", end="")
            print(f"{slow / p50:.0f}x (aim 50x)")


if __name__ == "__main__":
    main()
