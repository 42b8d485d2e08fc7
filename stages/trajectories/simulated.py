"""Simulated conversations, one a number: the same numbers give the same rows, whoever makes them and whenever."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from agents.conversations.drafting import EASY, NoTask, make_task
from agents.conversations.llm_agent import Case
from agents.conversations.planner import Agent
from agents.conversations.tasks import Application, WorldTask, applications
from agents.conversations.trajectory import Trajectory, replay, simulate
from agents.conversations.users import script, untold
from agents.conversations.wording import Sentence, Wording, of_subgoal, worded
from agents.tools.spec import Tool
from k2model.chat.messages import render
from stages.harness.errors import InputError
from stages.trajectories.params import TrajectoriesParams

Row = dict[str, Any]
NEEDED = frozenset({"get", "list", "create", "delete", "count", "update"})  # of a kind, so that agents can work on it


def usable(tools: Iterable[Tool]) -> list[Application]:
    """Applications with two kinds of records or more that agents can work on."""
    tools = list(tools)
    actions: dict[tuple[str, str], set[str]] = {}
    for tool in tools:
        actions.setdefault((tool.kind.application, tool.kind.slug), set()).add(tool.action)
    whole = {key for key, available in actions.items() if available >= NEEDED}
    apps = applications(tool for tool in tools if (tool.kind.application, tool.kind.slug) in whole)
    return [app for app in apps if len(app.kinds) >= 2]


class Maker:
    """Makes the row with a number.

    Args:
        apps: applications by name. base: the seed of number 0.
    """

    def __init__(self, apps: Sequence[Application], agents: Sequence[Agent], p: TrajectoriesParams, base: int) -> None:
        self.apps = {app.name: app for app in apps}
        self.agents, self.p, self.base = agents, p, base
        self.plain = [a for a in agents if not (a.policy.read_first or a.policy.verify)] or list(agents)
        self.stride = max(1, p.count // p.worded) if p.worded else 0

    def worded(self, number: int) -> bool:
        """Whether the teacher words this conversation's requests."""
        return bool(self.stride) and number % self.stride == 0 and number // self.stride < self.p.worded

    def draw(self, number: int) -> tuple[Agent, WorldTask, str]:
        """The agent, the task in the script's words, and the persona."""
        seed = self.base + number
        rng = np.random.default_rng([seed, 41])
        easy = rng.random() < self.p.easy_share
        among = self.plain if easy else self.agents
        first = int(rng.integers(len(among)))
        subgoals = 1 if easy else int(rng.integers(1, self.p.max_subgoals + 1))
        persona = "plain" if easy else str(rng.choice(self.p.personas))
        for agent in (*among[first:], *among[:first]):
            with suppress(NoTask):
                return agent, self._task(agent, seed, subgoals, easy=easy), persona
        raise InputError(
            f"data/agents.parquet: no agent has the tools for a task of {subgoals} subgoals; keep more of them "
            "(tools.synthetic_per_kind), or lower trajectories.max_subgoals"
        )

    def _task(self, agent: Agent, seed: int, subgoals: int, *, easy: bool) -> WorldTask:
        app, allowed = self.apps[agent.application], frozenset(agent.tools)
        if easy:
            return make_task(app, seed, 1, forms=EASY, distractors=self.p.easy_distractors, allowed=allowed)
        return make_task(app, seed, subgoals, distractors=self.p.distractors, allowed=allowed, helpers=True)

    def sentences(self, numbers: Sequence[int]) -> list[Sentence]:
        """What the teacher words for these conversations, subgoal by subgoal."""
        sentences = []
        for number in filter(self.worded, numbers):
            agent, task, _ = self.draw(number)
            sentences += [of_subgoal(self.apps[agent.application], goal) for goal in task.subgoals]
        return sentences

    def cases(self, numbers: Sequence[int], wordings: Sequence[Wording]) -> list[tuple[Case, str]]:
        """Who serves whom in these numbers, and who worded the requests; `wordings` answer `sentences(numbers)`."""
        left = list(wordings)
        drawn = []
        for number in numbers:
            agent, task, persona = self.draw(number)
            wording = "script"
            if self.worded(number):
                mine, left = left[: len(task.subgoals)], left[len(task.subgoals) :]
                task = worded(task, mine)
                wording = "teacher" if any(answer.reworded for answer in mine) else "script"
            app, seed = self.apps[agent.application], self.base + number
            drawn.append((Case(app, script(app, task, persona, seed), agent, seed), wording))
        return drawn

    def rows(self, numbers: Sequence[int], wordings: Sequence[Wording]) -> list[Row]:
        """The rows of these numbers, with a planner in the agents' place."""
        return [
            row(case, simulate(case.app, case.script, case.agent, case.seed), wording, number, "simulated")
            for number, (case, wording) in zip(numbers, self.cases(numbers, wordings), strict=True)
        ]


def row(case: Case, done: Trajectory, wording: str, number: int, source: str) -> Row:
    """The row of a conversation that has ended.

    Args:
        source: `simulated` or `llm`, who acted.
    """
    hashed, _ = replay(case.app, done.task, done.messages, case.seed)
    if hashed != done.state_hash:
        raise RuntimeError(f"{done.task.id}: the replay ends in another state")
    render(done.messages, done.tools)  # every trajectory fits the chat format, kept or not
    untold_n = len(untold(case.script))
    return {
        "trajectory": _trajectory(done, number, source)
        | {"seed": case.seed, "wording": wording, "untold": untold_n, "llm_verdict": "", "llm_reason": ""},
        "task": task_row(done.task, case.agent),
    }


def _trajectory(done: Trajectory, number: int, source: str) -> Row:
    return {
        "traj_id": f"traj-{number:07d}",
        "task_id": done.task.id,
        "agent_id": done.agent.id,
        "domain": done.task.domain,
        "messages": json.dumps(done.messages, ensure_ascii=False),
        "tools": json.dumps(done.tools, ensure_ascii=False),
        "state_hash": done.state_hash,
        "verdict": done.verdict.verdict,
        "reason": done.verdict.reason,
        "kept": done.verdict.kept,
        "n_turns": done.n_turns,
        "n_calls": done.n_calls,
        "source": source,
        "persona": done.persona,
        "patch": "",
    }


def task_row(task: WorldTask, agent: Agent) -> Row:
    rules = agent.policy.rules()
    return {
        "task_id": task.id,
        "domain": task.domain,
        "application": task.application,
        "world_seed": task.world_seed,
        "subgoals": len(task.subgoals),
        "request": task.request,
        "rubric": json.dumps(task.rubric() | ({"policy": rules} if rules else {}), ensure_ascii=False),
        "gold": json.dumps([{"tool": c.tool, "arguments": c.arguments} for c in task.gold], ensure_ascii=False),
        "tools": json.dumps(list(task.tools)),
        "kinds": json.dumps(list(task.kinds)),
        "locked": json.dumps(list(task.locked)),
    }


def agent_row(agent: Agent) -> Row:
    return {
        "agent_id": agent.id,
        "system": agent.system,
        "manner": agent.manner,
        "slip": agent.slip,
        "recover": agent.recover,
        "policy": json.dumps(asdict(agent.policy)),
        "application": agent.application,
        "tools": json.dumps(list(agent.tools)),
        "author": agent.author,
    }
