"""Coding sessions: repairs in real repositories, each judged by hidden tests on a fresh tree."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache

import numpy as np

from agents.coding.sessions import Case, CodingSessions, CodingTrajectory, act
from agents.conversations.agents import Agent
from agents.conversations.llm_agent import Acting
from gym.repositories.stored import StoredTasks
from gym.repositories.task import RepairTask
from k2model.chat.messages import render
from stages.harness.teacher import Teacher
from stages.trajectories.rows import Row, ended, whole


class Engineers:
    """Sessions by number: which task, who works on it.

    Args:
        stored: the tasks to learn from are taken; each comes once before one comes again.

    Raises:
        ValueError: there is no task.
    """

    def __init__(self, stored: StoredTasks, agents: Sequence[Agent], base: int) -> None:
        self.stored, self.agents, self.base = stored, agents, base
        tasks = stored.of(held=False)
        if not tasks:
            raise ValueError("no task to learn from; repositories.tasks makes them")
        self.tasks = [tasks[k] for k in np.random.default_rng([base, 47]).permutation(len(tasks)).tolist()]
        self._sessions = lru_cache(maxsize=None)(self._opened)

    def _opened(self, project: str) -> CodingSessions:
        return CodingSessions(self.stored.project(project), self.stored.box(project))

    def session(self, number: int) -> tuple[CodingSessions, RepairTask, Agent, int]:
        """(sessions of its project, task, agent, seed).

        Raises:
            SandboxError: the project's sandbox can't be opened, or holds a copy of the good code.
        """
        task = self.tasks[number % len(self.tasks)]
        return self._sessions(task.project), task, self.agents[number % len(self.agents)], self.base + number

    def rows(self, numbers: Sequence[int], workers: int) -> list[Row]:
        """Sessions of a scripted engineer, in order; each is replayed to the same files.

        Raises:
            InfrastructureError, SandboxError: the sandbox failed.
        """
        for number in numbers:
            self.session(number)  # sandboxes are opened before threads share them
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._row, numbers))

    def attended(self, numbers: Sequence[int], model: Teacher, acting: Acting) -> list[Row]:
        """Sessions of the model behind a URL, in order.

        Raises:
            ChatError: no request can be answered.
            InfrastructureError, SandboxError: the sandbox failed.
        """
        done: dict[int, CodingTrajectory] = {}
        cases = [Case(*self.session(number)) for number in numbers]
        model.submit(act, cases, acting, done.__setitem__).result()
        return [row(done[k], number, self.base + number) for k, number in enumerate(numbers)]

    def _row(self, number: int) -> Row:
        sessions, task, agent, seed = self.session(number)
        done = sessions.solve(task, agent, seed)
        state, _ = sessions.replay(task, done.messages)
        if state != done.state_hash:
            raise RuntimeError(f"{task.id}: the replay ends in other files")
        return row(done, number, seed)


def row(done: CodingTrajectory, number: int, seed: int) -> Row:
    """Of a session and its task."""
    task = done.task
    render(done.messages, done.tools)
    rubric = {
        "success": ["every test passes on a fresh tree, hidden ones too", "the answer says what is so"],
        "expected_tools": ["bash", "edit"],
        "checkpoints": [f"{edit.path}: {edit.function}" for edit in task.edits],
    }
    trajectory = {
        "traj_id": f"code-{number:07d}",
        "agent_id": done.agent.id,
        "domain": "swe",
        **ended(done),
        "source": "coding",
        "seed": seed,
        "persona": "issue",
        "patch": done.patch,
    }
    asked = {
        "domain": "swe",
        "application": task.project,
        "world_seed": seed,
        "goals": len(task.edits),
        "request": task.issue,
        "rubric": rubric,
        "gold": [json.loads(json.dumps(asdict(edit))) for edit in task.edits],
        "tools": [tool["function"]["name"] for tool in done.tools],
        "kinds": list(task.kinds),
    }
    return whole(f"{task.id}-{number}", trajectory, asked)
