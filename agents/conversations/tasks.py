"""Tasks built backwards: a goal state is drawn first, the plan that reaches it and the request that asks for it follow.

A task is a sequence of subgoals, each with its gold calls, the words of the user and checks on the final state. A
rubric holds success criteria, the tools a good solution uses, and checkpoints in order.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from agents.conversations.simulator import DENIED, Simulator
from agents.conversations.world import World, value
from agents.tools.spec import READ_ONLY, Field, Kind, Tool

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

    def world(self, task: "Task") -> World:
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


class _Missing(Exception):
    """A form needs a tool that there isn't."""


class _Draft:
    """The world as the gold plan leaves it so far: each subgoal is drawn against it."""

    def __init__(self, app: Application, kinds: list[Kind], seed: int, allowed: Set[str] | None) -> None:
        self.app, self.kinds, self.allowed = app, kinds, allowed
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

    def tool(self, kind: Kind, action: str, name: str | None = None) -> str:
        """The name of the tool that does this.

        Raises:
            _Missing: the agent has none.
        """
        tool = self.app.by_use.get((kind.slug, action, name))
        if tool is None or (self.allowed is not None and tool.name not in self.allowed):
            raise _Missing
        return tool.name

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
    update = Call(draft.tool(kind, "update", f.name), {"id": one, f.name: new})
    if by_id:
        calls: tuple[Call, ...] = (update,)
        request = f"Set the {_spoken(f.name)} of {kind.name} {one} to {new}."
        detail = f"It is {kind.name} {one}."
    else:
        key = draft.unique_key(kind, one)
        if key is None or key == f.name:
            return None
        find = Call(draft.tool(kind, "search", key), {key: table[one][key]})
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
    calls = (Call(draft.tool(kind, "delete"), {"id": one}),)
    draft.run(calls)
    criterion = Criterion("absent", kind.slug, one, {})
    return Subgoal(
        f"Delete {kind.name} {one}.", f"I mean {kind.name} {one}.", calls, criterion, f"{kind.name} {one} gone"
    )


def add(draft: _Draft) -> Subgoal | None:
    """Create an entity with given values."""
    kind = draft.kind()
    values = {f.name: value(draft.rng, f) for f in kind.fields if f.type != "text"}
    calls = (Call(draft.tool(kind, "create"), values),)
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
    calls = (Call(draft.tool(kind, "adjust", name), {"id": one, "by": by}),)
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
    calls = (Call(draft.tool(kind, "count", f.name), {f.name: wanted}),)
    count = sum(entity[f.name] == wanted for entity in draft.world.entities[kind.slug].values())
    draft.run(calls)
    criterion = Criterion("said", kind.slug, "", {"answer": str(count)})
    request = f"How many {kind.name} records have {_spoken(f.name)} {wanted}?"
    return Subgoal(request, f"The {_spoken(f.name)} is {wanted}.", calls, criterion, f"{kind.name} counted")


def _locked(draft: _Draft) -> tuple[Kind, str, Field, Any] | None:
    """A kind, an id that is locked from now on, a field, and another value for it."""
    kind = draft.kind()
    one = draft.entity(kind)
    options = [f for f in kind.fields if f.type != "text"]
    f = options[int(draft.rng.integers(len(options)))]
    new = value(draft.rng, f)
    if one is None or new == draft.world.entities[kind.slug][one][f.name]:
        return None
    return kind, one, f, new


def blocked(draft: _Draft) -> Subgoal | None:
    """A change that is not permitted: it has to be tried, left alone and reported."""
    found = _locked(draft)
    if found is None:
        return None
    kind, one, f, new = found
    calls = (Call(draft.tool(kind, "update", f.name), {"id": one, f.name: new}),)
    draft.world.locked.add(one)
    draft.run(calls)
    criterion = Criterion("denied", kind.slug, one, {})
    request = f"Set the {_spoken(f.name)} of {kind.name} {one} to {new}."
    return Subgoal(request, f"It is {kind.name} {one}.", calls, criterion, f"refusal for {kind.name} {one} reported")


def blocked_or_else(draft: _Draft) -> Subgoal | None:
    """A change that is not permitted, and what the user wants in that case."""
    found = _locked(draft)
    if found is None:
        return None
    kind, one, f, new = found
    other = draft.entity(kind)
    if other is None or draft.world.entities[kind.slug][other][f.name] == new:
        return None
    name = draft.tool(kind, "update", f.name)
    calls = (Call(name, {"id": one, f.name: new}), Call(name, {"id": other, f.name: new}))
    draft.world.locked.add(one)
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, other, {f.name: new})
    request = (
        f"Set the {_spoken(f.name)} of {kind.name} {one} to {new}; if that is not permitted, do it for {other} instead."
    )
    return Subgoal(request, f"It is {one}, else {other}.", calls, criterion, f"{kind.name} {other} changed instead")


FORMS: dict[str, Callable[[_Draft], Subgoal | None]] = {
    "change_by_id": change_by_id,
    "change_found": change_found,
    "remove": remove,
    "add": add,
    "raise_number": raise_number,
    "ask_count": ask_count,
    "blocked": blocked,
    "blocked_or_else": blocked_or_else,
}
EASY = ("change_by_id", "remove", "raise_number")
MIXED = (*(name for name in FORMS if not name.startswith("blocked")),) * 4 + ("blocked", "blocked_or_else")  # by weight
TRIES = 40


def make_task(
    app: Application,
    seed: int,
    subgoals: int,
    *,
    forms: Sequence[str] = MIXED,
    distractors: int = 3,
    allowed: Set[str] | None = None,
    helpers: bool = False,
) -> Task:
    """A task of `subgoals` goals in one application, proven solvable by replaying its gold plan.

    Args:
        allowed: names of the tools that the agent has; None is every tool of the application.
        helpers: whether the agent is also given what it needs to look at what it changes.

    Raises:
        RuntimeError: no such task was found, or the gold plan misses its own goal (a defect of this module).
    """
    rng = np.random.default_rng([seed, 3])
    own = [kind for kind in app.kinds if allowed is None or _get(app, kind) in allowed]
    width = min(len(own), 1 + (subgoals > 1) + (subgoals > 4))
    kinds = [own[k] for k in sorted(rng.choice(len(own), width, replace=False).tolist())]
    draft = _Draft(app, kinds, seed, allowed)
    goals: list[Subgoal] = []
    for _ in range(TRIES * subgoals):
        if len(goals) == subgoals:
            break
        touched = set(draft.touched)
        try:
            goal = FORMS[str(rng.choice(forms))](draft)
        except _Missing:
            goal = None
        if goal is None:
            draft.touched = touched
        else:
            goals.append(goal)
    if len(goals) < subgoals:
        raise RuntimeError(f"{app.name}: no task of {subgoals} subgoals with seed {seed}")
    gold = list(dict.fromkeys(call.tool for goal in goals for call in goal.calls))
    if helpers:
        gold = list(dict.fromkeys([*gold, *_helpers(app, gold)]))
    others = [
        name
        for name, tool in app.tools.items()
        if name not in gold and tool.kind in kinds and (allowed is None or name in allowed)
    ]
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
        locked=tuple(sorted(draft.world.locked)),
    )
    if unmet(task, replay(app, task), gold_answer(task)):
        raise RuntimeError(f"{task.id}: the gold plan does not reach its goal")
    return task


def _get(app: Application, kind: Kind) -> str:
    tool = app.by_use.get((kind.slug, "get", None))
    return "" if tool is None else tool.name


def _helpers(app: Application, gold: Sequence[str]) -> list[str]:
    """Tools that show what the gold tools change: one record, and the list that a new one joins."""
    found = []
    for name in gold:
        tool = app.tools[name]
        if tool.action in READ_ONLY:
            continue
        for action in ("get", "list") if tool.action == "create" else ("get",):
            shows = app.by_use.get((tool.kind.slug, action, None))
            if shows is not None:
                found.append(shows.name)
    return found


def gold_answer(task: Task) -> str:
    """An answer that says everything that the criteria want said."""
    said = [str(goal.criterion.values.get("answer", "")) for goal in task.subgoals]
    return " ".join([*said, *(f"{DENIED} for {one}" for one in task.locked)])


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
    if one.check == "denied":  # the lock itself keeps the record as it was
        return one.id in words and any(word.startswith(("permi", "allow", "denied")) for word in words)
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
