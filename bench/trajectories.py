"""Simulated trajectories per hour and core, and many environments alive at once.

    python -m bench.trajectories [--count 2000] [--alive 10000]

One process, one thread. Each trajectory makes a task, a user, an agent's conversation, the verdict and its replay.
"""

import argparse
import os
import time

import psutil

from agents.policy import make_agent
from agents.tasks import applications, make_task
from agents.tools.evolve import evolve
from agents.trajectory import replay, simulate
from agents.users import PERSONAS, script
from agents.world.simulator import Simulator


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--alive", type=int, default=10_000)
    args = parser.parse_args()
    apps = applications(evolve())
    process = psutil.Process(os.getpid())
    used: list[float] = []
    started = time.process_time()
    calls = 0
    for seed in range(args.count):
        app = apps[seed % len(apps)]
        said = script(app, make_task(app, seed, 1 + seed % 8), PERSONAS[seed % len(PERSONAS)], seed)
        done = simulate(app, said, make_agent(seed, 0), seed)
        state, _ = replay(app, done.task, done.messages, seed)
        assert state == done.state_hash
        calls += done.n_calls
        if seed in (args.count // 2, args.count - 1):
            used.append(process.memory_info().rss / 2**20)
    seconds = time.process_time() - started
    per_hour = args.count / seconds * 3600
    print(f"{per_hour:,.0f} trajectories per hour and core, {calls / args.count:.1f} calls each (aim 10,000)")
    print(f"memory half-way {used[0]:.0f} MiB, at the end {used[-1]:.0f} MiB")
    before = process.memory_info().rss
    started = time.process_time()
    alive = []
    for seed in range(args.alive):
        app = apps[seed % len(apps)]
        task = make_task(app, seed, 2)
        alive.append((task, Simulator([app.tools[name] for name in task.tools], app.world(task), seed)))
    for task, simulator in alive:
        simulator.call(task.gold[0].tool, task.gold[0].arguments)
    grown = (process.memory_info().rss - before) / 2**20
    print(f"{len(alive):,} environments alive in one process: {grown:.0f} MiB, {time.process_time() - started:.1f} s")


if __name__ == "__main__":
    main()
