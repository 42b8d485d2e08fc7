"""Tasks: what is asked for, the gold plan, and the checks on what came of it.

A task is a sequence of subgoals, each with its gold calls, the words of the user and checks on the final state. A
rubric holds success criteria, the tools a good solution uses, and checkpoints in order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agents.conversations.simulator import DENIED, Simulator
from agents.conversations.world import World
from agents.tools.spec import Kind, Tool

Check = Literal["equals", "absent", "exists", "said", "denied"]


@dataclass(frozen=True)
class Criterion:
    """A success criterion that the final state can be checked against, and for `said` and `denied` the answer too."""

    check: Check
    kind: str
    id: str
    values: dict[str, Any]

    def text(self) -> str:
        return {
            "equals": f"{self.id} has {self.values}",
            "absent": f"{self.id} is deleted",
            "exists": f"a new {self.kind} has {self.values}",
            "said": f"the answer says {self.values.get('answer')}",
            "denied": f"{self.id} is as it was, and the answer says that its change was not permitted",
        }[self.check]


@dataclass(frozen=True)
class PlannedCall:
    """A gold call."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Subgoal:
    """One thing that the user wants. `detail` is what a hesitant user withholds until asked."""

    request: str
    detail: str
    calls: tuple[PlannedCall, ...]
    criterion: Criterion
    checkpoint: str


@dataclass(frozen=True)
class WorldTask:
    """A task in a world of its own.

    Attributes:
        tools: names of the tools that the agent is given, gold ones among them.
        subgoals: in the order of the request.
        locked: ids of records that can't be changed; nobody knows before trying.
    """

    id: str
    domain: str
    application: str
    world_seed: int
    kinds: tuple[str, ...]
    tools: tuple[str, ...]
    subgoals: tuple[Subgoal, ...]
    locked: tuple[str, ...] = ()

    @property
    def request(self) -> str:
        return " ".join(goal.request for goal in self.subgoals)

    @property
    def gold(self) -> list[PlannedCall]:
        return [call for goal in self.subgoals for call in goal.calls]

    def rubric(self) -> dict[str, Any]:
        """Success criteria, expected tools and checkpoints, as JSON values."""
        return {
            "success": [goal.criterion.text() for goal in self.subgoals],
            "expected_tools": sorted({call.tool for call in self.gold}),
            "checkpoints": [goal.checkpoint for goal in self.subgoals],
            "at_most_calls": 3 * len(self.gold) + 4,
        }

    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Application:
    """The kinds of one application and its tools, by name."""

    domain: str
    name: str
    kinds: list[Kind]
    tools: dict[str, Tool]
    by_use: dict[tuple[str, str, str | None], Tool] = field(init=False)

    def __post_init__(self) -> None:
        self.by_use = {(tool.kind.slug, tool.action, tool.field): tool for tool in self.tools.values()}

    def find(self, kind: Kind, action: str, name: str | None = None) -> Tool:
        """The tool that does this.

        Raises:
            KeyError: the application has none.
        """
        return self.by_use[kind.slug, action, name]

    def world(self, task: "WorldTask") -> World:
        kinds = [kind for kind in self.kinds if kind.slug in task.kinds]
        world = World.generate(kinds, task.world_seed)
        world.locked = set(task.locked)
        return world


def applications(tools: Iterable[Tool]) -> list[Application]:
    """Tools grouped by application, in order."""
    grouped: dict[tuple[str, str], list[Tool]] = {}
    for tool in tools:
        grouped.setdefault((tool.kind.domain, tool.kind.application), []).append(tool)
    return [
        Application(domain, name, list({tool.kind.slug: tool.kind for tool in own}.values()), {t.name: t for t in own})
        for (domain, name), own in grouped.items()
    ]


def gold_answer(task: WorldTask) -> str:
    """An answer that says everything that the criteria want said."""
    answers = [str(goal.criterion.values.get("answer", "")) for goal in task.subgoals]
    return " ".join([*answers, *(f"{DENIED} for {entity_id}" for entity_id in task.locked)])


def replay(app: Application, task: WorldTask) -> World:
    """The world after the gold plan."""
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, task.world_seed)
    for call in task.gold:
        simulator.call(call.tool, call.arguments)
    return world


def _met(criterion: Criterion, world: World, words: Sequence[str]) -> bool:
    table = world.entities[criterion.kind]
    if criterion.check == "equals":
        return criterion.id in table and all(
            table[criterion.id][name] == wanted for name, wanted in criterion.values.items()
        )
    if criterion.check == "absent":
        return criterion.id not in table
    if criterion.check == "exists":
        return any(all(entity.get(k) == v for k, v in criterion.values.items()) for entity in table.values())
    if criterion.check == "denied":  # the lock itself keeps the record as it was
        return criterion.id in words and any(word.startswith(("permi", "allow", "denied")) for word in words)
    return criterion.values["answer"] in words


def unmet(task: WorldTask, world: World, answer: str) -> list[str]:
    """Success criteria that the final state or the answer does not meet."""
    words = answer.replace(".", " ").replace(",", " ").split()
    return [goal.criterion.text() for goal in task.subgoals if not _met(goal.criterion, world, words)]


def collateral(app: Application, task: WorldTask, world: World) -> list[str]:
    """Entities that differ from what the gold plan leaves, beyond the goals themselves."""
    wanted = replay(app, task)
    changed = []
    for kind, table in wanted.entities.items():
        for entity_id in sorted({*table, *world.entities[kind]}):
            if table.get(entity_id) != world.entities[kind].get(entity_id):
                changed.append(entity_id)
    return changed
