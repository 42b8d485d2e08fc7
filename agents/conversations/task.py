"""A task: what a user wants in a world, and how each wish must end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.conversations.facts import Reference
from agents.worlds.application import Application
from agents.worlds.surface import Surface
from agents.worlds.world import World

GoalKind = Literal["do", "ask", "count", "total", "outside"]
Expected = Literal["done", "told", "fails", "forbidden", "stranger", "declined", "outside"]


@dataclass(frozen=True)
class Goal:
    """One wish of the user.

    Attributes:
        says: the wish in words, as they stand after "please".
        expected: how it must end. reason: of `fails` the error, of `forbidden` and `stranger` the policy.
        action: what is to be done or, of a question, the search that answers it; empty where no tool can.
        arguments: stored values of its parameters that are no records, as they are said. corrected: those that replace
            them when the agent asks for a yes.
        references: records by parameter; of `ask` the one under `record`.
        asked: the field that is asked for, or summed up.
        tells: values that the user must be told.
        missing: parameters that the user names only when he is asked.
        credential: by policy that identifies, what the user gives when he is asked who he is.
        slip: a wrong id that the user says first.
        fallback: what he wants if it fails.
        outcome: the record that is made or changed first.
    """

    kind: GoalKind
    says: str
    expected: Expected
    reason: str = ""
    action: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    asked: str = ""
    tells: tuple[Any, ...] = ()
    missing: tuple[str, ...] = ()
    corrected: Mapping[str, Any] = field(default_factory=dict)
    credential: Mapping[str, str] = field(default_factory=dict)
    slip: str = ""
    fallback: "Goal | None" = None
    outcome: str = ""

    def stored(self) -> dict[str, Any]:
        """The arguments of the call that must happen, records by their ids."""
        ids = {name: reference.id for name, reference in self.references.items()}
        return {**ids, **self.arguments, **self.corrected}

    def wanted(self) -> "Goal | None":
        """What must be done in the end: itself, or its fallback; None where nothing changes."""
        if self.kind == "do" and self.expected == "done":
            return self
        return self.fallback if self.expected == "fails" else None


@dataclass(frozen=True)
class WorldTask:
    """Wishes in a world of their own.

    Attributes:
        application, shape: of the tools. tools: names of those that the agent is given.
        turns: numbers of the goals that the user tells at once.
        calls: how many an agent without trouble needs.
    """

    id: str
    domain: str
    application: str
    shape: int
    world_seed: int
    goals: tuple[Goal, ...]
    turns: tuple[tuple[int, ...], ...]
    tools: tuple[str, ...]
    calls: int

    @property
    def at_most(self) -> int:
        """Calls of an efficient agent, trouble allowed for."""
        return 2 * self.calls + 6


def gold_world(surface: Surface, task: WorldTask) -> World:
    """The world as it must be in the end.

    Raises:
        Refused: a goal that must be done can't be.
    """
    world = World.generate(surface.app, task.world_seed)
    for goal in task.goals:
        wanted = goal.wanted()
        if wanted is not None:
            world.run(surface.app.actions[wanted.action], wanted.stored())
    return world


def rubric(app: Application, task: WorldTask) -> dict[str, Any]:
    """What the judge looks at, as JSON values: one criterion a line, and the desk's rules."""
    criteria = []
    for goal in task.goals:
        wanted = goal.wanted()
        if wanted is not None:
            criteria.append({"must": "happen", "call": wanted.action, "with": wanted.stored(), "wish": wanted.says})
        if goal.kind == "do" and goal.expected != "done":
            criteria.append(
                {"must": "not happen", "call": goal.action, "why": f"{goal.expected} {goal.reason}".strip()}
            )
        if goal.tells:
            criteria.append({"must": "be told", "values": list(goal.tells), "wish": goal.says})
        if goal.expected in ("fails", "forbidden", "stranger", "outside"):
            criteria.append({"must": "be told that it is not done", "wish": goal.says})
    return {
        "success": criteria,
        "policies": [policy.text for policy in app.policies],
        "nothing_else_changes": True,
        "at_most_calls": task.at_most,
    }
