"""Coding sessions: repairs of real modules in a sandbox, each judged by running its tests on a fresh copy."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from agents.coding.repairs import gold_edit, replay, solve
from agents.conversations.agents import Agent
from gym.sandbox import Sandbox
from gym.tasksets.repair import Repair
from k2model.chat.messages import render
from stages.trajectories.rows import Row, ended, whole


def rows(box: Sandbox, agents: Sequence[Agent], numbers: Sequence[int], base: int, workers: int) -> list[Row]:
    """The sessions with these numbers, in order; each is replayed to the same files.

    Raises:
        InfrastructureError: the sandbox failed.
    """
    taskset = Repair(box)
    taskset.tasks(1, base)  # the originals are read before threads share them

    def session(number: int) -> Row:
        (task,) = taskset.tasks(1, base + number)
        agent = agents[number % len(agents)]
        done = solve(taskset, task, agent, base + number, box)
        if replay(task, done.messages, box) != done.state_hash:
            raise RuntimeError(f"{task.id}: the replay ends in other files")
        render(done.messages, done.tools)
        payload = task.payload
        edit, line = gold_edit(task)
        names = [tool["function"]["name"] for tool in done.tools]
        rubric = {
            "success": ["every test passes on a fresh copy, hidden ones too", "the answer says what is so"],
            "expected_tools": ["bash", "edit", "view"],
            "checkpoints": ["tests run", f"line {line} found", "edited", "tests run again"],
        }
        trajectory = {
            "traj_id": f"code-{number:07d}",
            "agent_id": agent.id,
            "domain": task.domain,
            **ended(done),
            "source": "coding",
            "seed": base + number,
            "persona": "issue",
            "patch": done.patch,
        }
        asked = {
            "domain": task.domain,
            "application": payload["module"],
            "world_seed": base + number,
            "goals": 1,
            "request": task.messages[0]["content"],
            "rubric": rubric,
            "gold": [{"tool": "edit", "arguments": {"old_str": edit.old, "new_str": edit.new}}],
            "tools": names,
        }
        return whole(task.id, trajectory, asked)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(session, numbers))
