"""Simulated trajectories per hour and core, memory while the stage writes them, and many environments alive at once.

    python -m bench.trajectories [--count 4000] [--alive 10000]

One process, one thread, what the stage does: each trajectory is a task, a user, an agent's conversation, the verdict,
its replay and its rendering in the chat format, written shard by shard and then as parquet.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil

from agents.conversations.agents import make_agent
from agents.worlds.reading import apart
from agents.worlds.simulator import Simulator
from agents.worlds.surface import surface
from agents.worlds.world import World
from stages.dial import load_params
from stages.harness.tables import TRAJECTORIES, write_batches
from stages.trajectories import shards
from stages.trajectories.simulated import Maker

SHARD = 500
SHAPES = 20  # of each application


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--alive", type=int, default=10_000)
    args = parser.parse_args()
    desks = [surface(app.name, k) for app in apart(held=False) for k in range(SHAPES)]
    process = psutil.Process(os.getpid())
    p = load_params().trajectories.model_copy(update={"count": args.count, "judge": "none"})
    maker = Maker(desks, [make_agent(number, 0, desks, p.thoughts) for number in range(p.agents)], p, 0)
    used: list[float] = []
    calls = 0
    with tempfile.TemporaryDirectory() as name:
        started = time.process_time()
        paths = []
        for numbers in shards.ranges(args.count, SHARD):
            paths.append(shards.path_of(Path(name), "simulated", numbers))
            shards.make(paths[-1], lambda numbers=numbers: maker.rows(numbers, []))  # type: ignore[misc]
            used.append(process.memory_info().rss / 2**20)
        seconds = time.process_time() - started
        write_batches(Path(name) / "out.parquet", shards.read(paths, "trajectory"), TRAJECTORIES)
        written = process.memory_info().rss / 2**20
        for rows in shards.read(paths, "trajectory"):
            calls += sum(row["n_calls"] for row in rows)
    per_hour = args.count / seconds * 3600
    print(f"{per_hour:,.0f} trajectories per hour and core, {calls / args.count:.1f} calls each (aim 100,000)")
    tenth = used[max(0, len(used) // 10 - 1)]
    print(f"memory after a tenth {tenth:.0f} MiB, after all {used[-1]:.0f} MiB, with parquet written {written:.0f} MiB")
    before = process.memory_info().rss
    started = time.process_time()
    alive = []
    for seed in range(args.alive):
        desk = desks[seed % len(desks)]
        alive.append(Simulator(desk, World.generate(desk.app, seed), seed))
    for simulator in alive:
        tool = next(tool for tool in simulator.surface.tools.values() if tool.action.shows)
        key = next(iter(simulator.world.tables[tool.action.shows]))
        simulator.call(tool.name, tool.written({tool.action.parameters[0].name: key}))
    grown = (process.memory_info().rss - before) / 2**20
    print(f"{len(alive):,} environments alive in one process: {grown:.0f} MiB, {time.process_time() - started:.1f} s")


if __name__ == "__main__":
    main()
