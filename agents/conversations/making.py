"""Tasks that are proven: an agent without mistakes serves the user in a quiet world, and the judge keeps it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from random import Random

from agents.conversations.agents import Agent
from agents.conversations.drafting import Drafter
from agents.conversations.task import Goal, WorldTask
from agents.conversations.trajectory import QUIET, Case, Trajectory, simulate
from agents.conversations.users import habits_of
from agents.worlds.surface import Surface

ATTEMPTS = 6
LONGEST = 100  # calls, before it is known how many are needed


class NoTask(Exception):
    """The tools that an agent has make no task.

    Attributes:
        failed: tasks that were drawn but that an agent without mistakes did not solve.
    """

    def __init__(self, message: str, failed: int) -> None:
        super().__init__(message)
        self.failed = failed


@dataclass(frozen=True)
class Proof:
    """A task, and how many were drawn before it that an agent without mistakes did not solve."""

    task: WorldTask
    failed: int


def make_task(
    surface: Surface,
    seed: int,
    goals: int,
    persona: str = "plain",
    *,
    actions: Collection[str] | None = None,
    distractors: int = 4,
) -> Proof:
    """A task of `goals` wishes; equal for equal arguments.

    Args:
        actions: of the application that the agent has tools for; None is every one.
        distractors: tools that are not needed.

    Raises:
        NoTask: none was found.
    """
    failed = 0
    allowed = [name for name in surface.app.actions if actions is None or name in actions]
    for attempt in range(ATTEMPTS):
        rng = Random(f"{surface.app.name}|{surface.number}|{seed}|{attempt}|task")
        drawn = _draft(surface, rng, goals, persona, allowed, f"{surface.name}-{goals}-{seed}")
        if drawn is None:
            continue
        agent = Agent("", "", surface.app.name, surface.number, tuple(allowed), together=rng.random() < 0.5)
        proof = simulate(Case(surface, drawn, agent, persona, seed, QUIET))
        if not proof.verdict.kept:
            failed += 1
            continue
        task = _chosen(surface, drawn, proof, rng, distractors)
        if task.tools != drawn.tools:  # with fewer tools other ways may be taken
            proof = simulate(Case(surface, task, agent, persona, seed, QUIET))
            if not proof.verdict.kept:
                failed += 1
                continue
        return Proof(replace(task, calls=proof.n_calls), failed)
    raise NoTask(f"{surface.name}: no task of {goals} goals with seed {seed}", failed)


def _draft(
    surface: Surface, rng: Random, goals: int, persona: str, allowed: Collection[str], name: str
) -> WorldTask | None:
    world_seed = rng.randrange(2**31)
    drafter = Drafter(surface, world_seed, rng, allowed, habits_of(persona))
    if not drafter.writes:
        return None
    drawn: list[Goal] = []
    for _ in range(6 * goals):
        if len(drawn) == goals:
            break
        goal = drafter.goal()
        if goal is not None:
            drawn.append(goal)
    if len(drawn) < goals:
        return None
    tools = tuple(surface.by_action[action].name for action in allowed)
    app = surface.app
    turns = _turns(drawn, persona, rng)
    return WorldTask(name, app.domain, app.name, surface.number, world_seed, tuple(drawn), turns, tools, LONGEST)


def _turns(goals: list[Goal], persona: str, rng: Random) -> tuple[tuple[int, ...], ...]:
    """Which wishes are told at once; what refers to an earlier one comes later, trouble alone."""
    turns: list[list[int]] = []
    for number, goal in enumerate(goals):
        before = any(reference.kind == "that" for reference in goal.references.values())
        alone = persona == "stepwise" or before or goal.slip or goal.missing or goal.credential
        if turns and not alone and len(turns[-1]) < 3 and rng.random() < 0.45:
            turns[-1].append(number)
        else:
            turns.append([number])
    return tuple(map(tuple, turns))


def _chosen(surface: Surface, task: WorldTask, proof: Trajectory, rng: Random, distractors: int) -> WorldTask:
    """The task with the tools that were needed, those that its rules want, and some others, in any order."""
    called = {call["function"]["name"] for message in proof.messages for call in message.get("tool_calls") or []}
    wanted = [goal.action for goal in task.goals] + [goal.fallback.action for goal in task.goals if goal.fallback]
    called |= {surface.by_action[action].name for action in wanted if action}
    others = [name for name in task.tools if name not in called]
    names = [name for name in task.tools if name in called]
    names += rng.sample(others, min(distractors, len(others)))
    return replace(task, tools=tuple(rng.sample(names, len(names))))
