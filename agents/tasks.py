"""Tasks built backwards: a goal state is drawn first, the plan that reaches it and the request that asks for it follow.

A task is a sequence of subgoals, each with its gold calls, the words of the user and checks on the final state. A
rubric holds success criteria, the tools a good solution uses, and checkpoints in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from agents.tools.evolve import tools_of
from agents.tools.spec import Kind, Tool
from agents.world.simulator import Simulator
from agents.world.world import World, value

Check = Literal["equals", "absent", "exists", "said"]


@dataclass(frozen=True)
class Criterion:
    """A success criterion that the final state (or, for `said`, the answer) can be checked against."""

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
        }[self.check]


@dataclass(frozen=True)
class Call:
    """A gold call."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Subgoal:
    """One thing that the user wants. `detail` is what a hesitant user withholds until asked."""

    request: str
    detail: str
    calls: tuple[Call, ...]
    criterion: Criterion
    checkpoint: str


@dataclass(frozen=True)
class Task:
    """A task in a world of its own.

    Attributes:
        tools: names of the tools that the agent is given, gold ones among them.
        subgoals: in the order of the request.
    """

    id: str
    domain: str
    application: str
    world_seed: int
    kinds: tuple[str, ...]
    tools: tuple[str, ...]
    subgoals: tuple[Subgoal, ...]
    locked_share: float = 0.0

    @property
    def request(self) -> str:
        return " ".join(goal.request for goal in self.subgoals)

    @property
    def gold(self) -> list[Call]:
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
    """The kinds of one application and all their tools, by name."""

    domain: str
    name: str
    kinds: list[Kind]
    tools: dict[str, Tool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tools = {tool.name: tool for kind in self.kinds for tool in tools_of(kind)}

    def find(self, kind: Kind, action: str, name: str | None = None) -> Tool:
        return next(t for t in self.tools.values() if t.kind is kind and t.action == action and t.field == name)

    def world(self, task: "Task") -> World:
        kinds = [kind for kind in self.kinds if kind.slug in task.kinds]
        return World.generate(kinds, task.world_seed, locked_share=task.locked_share)


def applications(kinds: Sequence[Kind]) -> list[Application]:
    """Kinds grouped by application, in order."""
    grouped: dict[tuple[str, str], list[Kind]] = {}
    for kind in kinds:
        grouped.setdefault((kind.domain, kind.application), []).append(kind)
    return [Application(domain, name, own) for (domain, name), own in grouped.items()]


class _Draft:
    """The world as the gold plan leaves it so far: each subgoal is drawn against it."""

    def __init__(self, app: Application, kinds: list[Kind], seed: int) -> None:
        self.app, self.kinds = app, kinds
        self.world = World.generate(kinds, seed)
        self.simulator = Simulator(list(app.tools.values()), self.world, seed)
        self.rng = np.random.default_rng([seed, 5])
        self.touched: set[str] = set()

    def kind(self) -> Kind:
        return self.kinds[int(self.rng.integers(len(self.kinds)))]

    def entity(self, kind: Kind) -> str | None:
        """An id that no earlier subgoal touched."""
        free = [one for one in self.world.entities[kind.slug] if one not in self.touched]
        if not free:
            return None
        one = str(self.rng.choice(free))
        self.touched.add(one)
        return one

    def unique_key(self, kind: Kind, one: str) -> str | None:
        """A field whose value finds this entity alone, best a name."""
        table = self.world.entities[kind.slug]
        fields = sorted(
            (f for f in kind.fields if f.type in ("name", "date", "enum")),
            key=lambda f: ("name", "date", "enum").index(f.type),
        )
        for f in fields:
            if sum(entity[f.name] == table[one][f.name] for entity in table.values()) == 1:
                return f.name
        return None

    def run(self, calls: Sequence[Call]) -> list[str]:
        return [self.simulator.call(call.tool, call.arguments).text for call in calls]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _change(draft: _Draft, by_id: bool) -> Subgoal | None:
    """Set a field of an entity that is named by its id, or has to be found first."""
    kind = draft.kind()
    one = draft.entity(kind)
    if one is None:
        return None
    table = draft.world.entities[kind.slug]
    options = [f for f in kind.fields if f.type != "text"]
    f = options[int(draft.rng.integers(len(options)))]
    new = value(draft.rng, f)
    if new == table[one][f.name]:
        return None
    update = Call(draft.app.find(kind, "update", f.name).name, {"id": one, f.name: new})
    if by_id:
        calls: tuple[Call, ...] = (update,)
        request = f"Set the {_spoken(f.name)} of {kind.name} {one} to {new}."
        detail = f"It is {kind.name} {one}."
    else:
        key = draft.unique_key(kind, one)
        if key is None or key == f.name:
            return None
        find = Call(draft.app.find(kind, "search", key).name, {key: table[one][key]})
        calls = (find, update)
        request = f"Set the {_spoken(f.name)} of the {kind.name} with {_spoken(key)} {table[one][key]} to {new}."
        detail = f"Its {_spoken(key)} is {table[one][key]}."
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, one, {f.name: new})
    return Subgoal(request, detail, calls, criterion, f"{kind.name} {one} changed")


def change_by_id(draft: _Draft) -> Subgoal | None:
    return _change(draft, by_id=True)


def change_found(draft: _Draft) -> Subgoal | None:
    return _change(draft, by_id=False)


def remove(draft: _Draft) -> Subgoal | None:
    """Delete an entity that is named by its id."""
    kind = draft.kind()
    one = draft.entity(kind)
    if one is None:
        return None
    calls = (Call(draft.app.find(kind, "delete").name, {"id": one}),)
    draft.run(calls)
    criterion = Criterion("absent", kind.slug, one, {})
    return Subgoal(
        f"Delete {kind.name} {one}.", f"I mean {kind.name} {one}.", calls, criterion, f"{kind.name} {one} gone"
    )


def add(draft: _Draft) -> Subgoal | None:
    """Create an entity with given values."""
    kind = draft.kind()
    values = {f.name: value(draft.rng, f) for f in kind.fields if f.type != "text"}
    calls = (Call(draft.app.find(kind, "create").name, values),)
    said = ", ".join(f"{_spoken(name)} {one}" for name, one in values.items())
    before = set(draft.world.entities[kind.slug])
    draft.run(calls)
    (new,) = set(draft.world.entities[kind.slug]) - before
    draft.touched.add(new)
    criterion = Criterion("exists", kind.slug, new, values)
    return Subgoal(
        f"Create a {kind.name} with {said}.", f"The values are {said}.", calls, criterion, f"new {kind.name} there"
    )


def raise_number(draft: _Draft) -> Subgoal | None:
    """Add to a number of an entity that is named by its id."""
    kind = draft.kind()
    one = draft.entity(kind)
    numbers = [f.name for f in kind.fields if f.type in ("int", "money")]
    if one is None or not numbers:
        return None
    name = str(draft.rng.choice(numbers))
    by = int(draft.rng.integers(1, 9))
    calls = (Call(draft.app.find(kind, "adjust", name).name, {"id": one, "by": by}),)
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, one, {name: draft.world.entities[kind.slug][one][name]})
    request = f"Raise the {_spoken(name)} of {kind.name} {one} by {by}."
    return Subgoal(request, f"It is {kind.name} {one}.", calls, criterion, f"{_spoken(name)} of {one} raised")


def ask_count(draft: _Draft) -> Subgoal | None:
    """A question that a count answers."""
    kind = draft.kind()
    enums = [f for f in kind.fields if f.type == "enum"]
    f = enums[int(draft.rng.integers(len(enums)))]
    wanted = str(draft.rng.choice(f.values))
    calls = (Call(draft.app.find(kind, "count", f.name).name, {f.name: wanted}),)
    count = sum(entity[f.name] == wanted for entity in draft.world.entities[kind.slug].values())
    draft.run(calls)
    criterion = Criterion("said", kind.slug, "", {"answer": str(count)})
    request = f"How many {kind.name} records have {_spoken(f.name)} {wanted}?"
    return Subgoal(request, f"The {_spoken(f.name)} is {wanted}.", calls, criterion, f"{kind.name} counted")


FORMS: dict[str, Callable[[_Draft], Subgoal | None]] = {
    "change_by_id": change_by_id,
    "change_found": change_found,
    "remove": remove,
    "add": add,
    "raise_number": raise_number,
    "ask_count": ask_count,
}
EASY = ("change_by_id", "remove", "raise_number")
TRIES = 40


def make_task(
    app: Application, seed: int, subgoals: int, *, forms: Sequence[str] = tuple(FORMS), distractors: int = 3
) -> Task:
    """A task of `subgoals` goals in one application, proven solvable by replaying its gold plan.

    Raises:
        RuntimeError: no such task was found, or the gold plan misses its own goal (a defect of this module).
    """
    rng = np.random.default_rng([seed, 3])
    width = min(len(app.kinds), 1 + (subgoals > 1) + (subgoals > 4))
    kinds = [app.kinds[k] for k in sorted(rng.choice(len(app.kinds), width, replace=False).tolist())]
    draft = _Draft(app, kinds, seed)
    goals: list[Subgoal] = []
    for _ in range(TRIES * subgoals):
        if len(goals) == subgoals:
            break
        goal = FORMS[str(rng.choice(list(forms)))](draft)
        if goal is not None:
            goals.append(goal)
    if len(goals) < subgoals:
        raise RuntimeError(f"{app.name}: no task of {subgoals} subgoals with seed {seed}")
    gold = list(dict.fromkeys(call.tool for goal in goals for call in goal.calls))
    others = [name for name, tool in app.tools.items() if name not in gold and tool.kind in kinds]
    extra = [str(name) for name in rng.choice(others, min(distractors, len(others)), replace=False)]
    names = [*gold, *extra]
    order = rng.permutation(len(names)).tolist()
    task = Task(
        id=f"{app.name}-{subgoals}-{seed}",
        domain=app.domain,
        application=app.name,
        world_seed=seed,
        kinds=tuple(kind.slug for kind in kinds),
        tools=tuple(names[k] for k in order),
        subgoals=tuple(goals),
    )
    if unmet(task, replay(app, task), " ".join(str(goal.criterion.values.get("answer", "")) for goal in goals)):
        raise RuntimeError(f"{task.id}: the gold plan does not reach its goal")
    return task


def replay(app: Application, task: Task) -> World:
    """The world after the gold plan."""
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, task.world_seed)
    for call in task.gold:
        simulator.call(call.tool, call.arguments)
    return world


def _met(one: Criterion, world: World, words: Sequence[str]) -> bool:
    table = world.entities[one.kind]
    if one.check == "equals":
        return one.id in table and all(table[one.id][name] == wanted for name, wanted in one.values.items())
    if one.check == "absent":
        return one.id not in table
    if one.check == "exists":
        return any(all(entity.get(k) == v for k, v in one.values.items()) for entity in table.values())
    return one.values["answer"] in words


def unmet(task: Task, world: World, answer: str) -> list[str]:
    """Success criteria that the final state or the answer does not meet."""
    words = answer.replace(".", " ").replace(",", " ").split()
    return [goal.criterion.text() for goal in task.subgoals if not _met(goal.criterion, world, words)]


def collateral(app: Application, task: Task, world: World) -> list[str]:
    """Entities that differ from what the gold plan leaves, beyond the goals themselves."""
    wanted = replay(app, task)
    found = []
    for kind, table in wanted.entities.items():
        for one in sorted({*table, *world.entities[kind]}):
            if table.get(one) != world.entities[kind].get(one):
                found.append(one)
    return found
