"""`python -m stages.trajectories`: agents serve simulated users in simulated worlds; a judge keeps the successes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agents.policy import Agent, make_agent
from agents.tasks import EASY, Application, Task, applications, make_task
from agents.tools.evolve import kinds, tools_of
from agents.trajectory import Trajectory, replay, simulate
from agents.users import script, untold
from k2model.chat import render
from stages.errors import InputError
from stages.run import Stage
from stages.schemas import AGENTS, TASKS, TOOLS, TRAJECTORIES, read_table, write_table
from stages.trajectories.params import TrajectoriesParams

TOOLS_IN = Path("data/tools.parquet")
AGENTS_OUT = Path("data/agents.parquet")
TASKS_OUT = Path("data/tasks.parquet")
OUT = Path("data/trajectories.parquet")
Row = dict[str, Any]


def available(names: set[str]) -> list[Application]:
    """Applications that have at least one kind of entity with its tools in `names`; tools that are not are left out.

    Raises:
        InputError: there is none.
    """
    whole = [kind for kind in kinds() if all(tool.name in names for tool in tools_of(kind))]
    found = [app for app in applications(whole) if len(app.kinds) >= 2]
    if not found:
        raise InputError(f"{TOOLS_IN}: no application has all its tools; raise tools.near_dup_threshold")
    return found


def _one(
    apps: list[Application], agents: list[Agent], p: TrajectoriesParams, seed: int
) -> tuple[Trajectory, Task, int]:
    """The trajectory with this seed, its task, and how many values the user failed to say."""
    rng = np.random.default_rng([seed, 41])
    app = apps[int(rng.integers(len(apps)))]
    if rng.random() < p.easy_share:
        task = make_task(app, seed, 1, forms=EASY, distractors=p.easy_distractors)
        persona = "plain"
    else:
        task = make_task(app, seed, int(rng.integers(1, p.max_subgoals + 1)), distractors=p.distractors)
        persona = str(rng.choice(p.personas))
    said = script(app, task, persona, seed)
    trajectory = simulate(app, said, agents[int(rng.integers(len(agents)))], seed)
    hashed, _ = replay(app, trajectory.task, trajectory.messages, seed)
    if hashed != trajectory.state_hash:
        raise RuntimeError(f"{task.id}: the replay ends in another state")
    return trajectory, task, len(untold(said))


def _rows(one: Trajectory, task: Task, number: int, untold_values: int) -> Row:
    render(one.messages, one.tools)  # every trajectory fits the chat format, kept or not
    return {
        "trajectory": {
            "traj_id": f"traj-{number:07d}",
            "task_id": task.id,
            "agent_id": one.agent.id,
            "domain": task.domain,
            "messages": json.dumps(one.messages, ensure_ascii=False),
            "tools": json.dumps(one.tools, ensure_ascii=False),
            "state_hash": one.state_hash,
            "verdict": one.verdict.verdict,
            "reason": one.verdict.reason,
            "kept": one.verdict.kept,
            "n_turns": one.n_turns,
            "n_calls": one.n_calls,
        },
        "task": {
            "task_id": task.id,
            "domain": task.domain,
            "application": task.application,
            "world_seed": task.world_seed,
            "subgoals": len(task.subgoals),
            "request": task.request,
            "rubric": json.dumps(task.rubric(), ensure_ascii=False),
            "gold": json.dumps([{"tool": c.tool, "arguments": c.arguments} for c in task.gold], ensure_ascii=False),
            "tools": json.dumps(list(task.tools)),
        },
        "persona": one.persona,
        "untold": untold_values,
    }


def _shards(p: TrajectoriesParams, apps: list[Application], agents: list[Agent], stage: Stage) -> Iterator[Row]:
    """Every row, from shards that a killed run left or made now; a shard is written whole."""
    base = stage.seed("trajectories") % 2**31
    with stage.progress(p.count, "trajectory") as progress:
        for start in range(0, p.count, p.shard):
            path = stage.work / f"shard-{start:08d}.jsonl"
            size = min(p.shard, p.count - start)
            if not path.exists():
                rows = []
                for number in range(start, start + size):
                    trajectory, task, missing = _one(apps, agents, p, base + number)
                    rows.append(_rows(trajectory, task, number, missing))
                tmp = path.with_suffix(".tmp")
                tmp.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
                tmp.replace(path)
            progress.update(size, "")
            for line in path.read_text(encoding="utf-8").splitlines():
                yield json.loads(line)


def main() -> None:
    with Stage("trajectories") as stage:
        p = stage.params.trajectories
        names = set(read_table(TOOLS_IN, TOOLS)["name"].to_pylist())
        apps = available(names)
        agents = [make_agent(number, stage.seed("agents") % 2**31) for number in range(p.agents)]
        rows = list(_shards(p, apps, agents, stage))
        write_table(AGENTS_OUT, [_agent(agent) for agent in agents], AGENTS)
        write_table(TASKS_OUT, [row["task"] for row in rows], TASKS)
        write_table(OUT, [row["trajectory"] for row in rows], TRAJECTORIES)
        verdicts = Counter(row["trajectory"]["verdict"] for row in rows)
        kept = sum(row["trajectory"]["kept"] for row in rows)
        metrics: dict[str, float] = {
            "trajectories": len(rows),
            "kept": kept,
            "kept_share": kept / len(rows),
            "calls": sum(row["trajectory"]["n_calls"] for row in rows),
            "longest": max(row["trajectory"]["n_turns"] for row in rows),
            "domains": len({row["trajectory"]["domain"] for row in rows}),
            "user_errors": sum(row["untold"] > 0 for row in rows) / len(rows),
        }
        stage.trace([row["trajectory"] for row in rows])
        metrics |= {f"verdict_{verdict}": count for verdict, count in sorted(verdicts.items())}
        stage.finish(f"{len(rows):,} trajectories, {kept:,} kept ({kept / len(rows):.0%}), all replayed", metrics)


def _agent(agent: Agent) -> Row:
    return {
        "agent_id": agent.id,
        "system": agent.system,
        "manner": agent.manner,
        "slip": agent.slip,
        "recover": agent.recover,
    }


if __name__ == "__main__":
    main()
