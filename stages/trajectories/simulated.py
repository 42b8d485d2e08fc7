"""Conversations in worlds, one a number: the same numbers give the same rows, whoever makes them and whenever."""

import json
from collections.abc import Sequence
from random import Random

from agents.chat.spec import is_endpoint
from agents.conversations.agents import Agent
from agents.conversations.making import NoTask, Proof, make_task
from agents.conversations.task import WorldTask, rubric
from agents.conversations.trajectory import Case, Trajectory, replay, simulate
from agents.conversations.wording import Wish, Wording, wishes, worded
from agents.worlds.surface import Surface
from k2model.chat.messages import render
from stages.harness.errors import InputError
from stages.trajectories.params import TrajectoriesParams
from stages.trajectories.rows import Row, ended, whole

TRIES = 8  # agents that are asked for a task


class Maker:
    """Makes the row with a number.

    Args:
        base: the seed of number 0.
    """

    def __init__(self, surfaces: Sequence[Surface], agents: Sequence[Agent], p: TrajectoriesParams, base: int) -> None:
        self.surfaces = {(each.app.name, each.number): each for each in surfaces}
        self.agents, self.p, self.base = agents, p, base
        words = is_endpoint(p.teacher) and p.worded > 0
        self.stride = max(1, p.count // p.worded) if words else 0

    def worded(self, number: int) -> bool:
        """Whether the teacher words this conversation's wishes."""
        return bool(self.stride) and number % self.stride == 0 and number // self.stride < self.p.worded

    def draw(self, number: int) -> tuple[Surface, Agent, Proof, str]:
        """Where, who serves, the proven task in the script's words, and the persona.

        Raises:
            InputError: no agent has the tools for such a task.
        """
        seed = self.base + number
        rng = Random(f"{seed}|draw")
        easy = rng.random() < self.p.easy_share
        goals = 1 if easy else rng.randint(1, self.p.max_goals)
        persona = rng.choice(self.p.personas)
        distractors = self.p.easy_distractors if easy else self.p.distractors
        failed = 0
        for agent in rng.sample(self.agents, min(TRIES, len(self.agents))):
            surface = self.surfaces[agent.application, agent.shape]
            try:
                proof = make_task(surface, seed, goals, persona, actions=agent.actions, distractors=distractors)
            except NoTask as none:
                failed += none.failed
            else:
                return surface, agent, Proof(proof.task, proof.failed + failed), persona
        raise InputError(
            f"data/tools.parquet: no agent has the tools for a task of {goals} goals; lower trajectories.max_goals, or "
            "raise tools.shapes"
        )

    def wishes(self, numbers: Sequence[int]) -> list[Wish]:
        """What the teacher words for these conversations."""
        asked = []
        for number in filter(self.worded, numbers):
            surface, _, proof, _ = self.draw(number)
            asked += wishes(surface.app, proof.task)
        return asked

    def cases(self, numbers: Sequence[int], wordings: Sequence[Wording]) -> list[tuple[Case, Proof, str]]:
        """Who serves whom, the task's proof, and who worded it, of these numbers.

        Args:
            wordings: answers to `wishes(numbers)`.
        """
        left = list(wordings)
        drawn = []
        for number in numbers:
            surface, agent, proof, persona = self.draw(number)
            task, wording = proof.task, "script"
            if self.worded(number):
                count = len(wishes(surface.app, task))
                mine, left = left[:count], left[count:]
                task = worded(task, mine)
                wording = "teacher" if any(not answer.reason for answer in mine) else "script"
            drawn.append((Case(surface, task, agent, persona, self.base + number), proof, wording))
        return drawn

    def rows(self, numbers: Sequence[int], wordings: Sequence[Wording]) -> list[Row]:
        """The rows of these numbers, with the planner in the agents' place."""
        return [
            row(case, simulate(case), proof, wording, number, "simulated")
            for number, (case, proof, wording) in zip(numbers, self.cases(numbers, wordings), strict=True)
        ]


def row(case: Case, done: Trajectory, proof: Proof, wording: str, number: int, source: str) -> Row:
    """The row of a conversation that has ended.

    Args:
        source: `simulated` or `llm`, who acted.
    """
    hashed, _ = replay(case, done.messages)
    if hashed != done.state_hash:
        raise RuntimeError(f"{done.task.id}: the replay ends in another state")
    render(done.messages, done.tools)  # every conversation fits the chat format, kept or not
    trajectory = {
        "agent_id": done.agent.id,
        "domain": done.task.domain,
        **ended(done),
        "source": source,
        "seed": case.seed,
        "persona": done.persona,
        "wording": wording,
        "unsolved": proof.failed,
    }
    trajectory |= {"traj_id": f"traj-{number:07d}"}
    return whole(done.task.id, trajectory, _task(case.surface, case.task))


def _task(surface: Surface, task: WorldTask) -> Row:
    wanted = [goal.wanted() for goal in task.goals]
    return {
        "domain": task.domain,
        "application": task.application,
        "world_seed": task.world_seed,
        "goals": len(task.goals),
        "request": " ".join(goal.says for goal in task.goals),
        "rubric": rubric(surface.app, task),
        "gold": [{"action": goal.action, "with": goal.stored()} for goal in wanted if goal is not None],
        "tools": list(task.tools),
        "kinds": [goal.expected for goal in task.goals],
    }


def agent_row(agent: Agent) -> Row:
    return {
        "agent_id": agent.id,
        "system": agent.system,
        "application": agent.application,
        "shape": agent.shape,
        "tools": json.dumps(list(agent.actions)),
        "slip": agent.slip,
        "recover": agent.recover,
        "thinks": agent.thinks,
        "author": agent.author,
    }
