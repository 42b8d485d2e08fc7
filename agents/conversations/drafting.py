"""Tasks drawn and worded: a goal state is drawn first, the plan that reaches it and the request for it follow."""

from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from agents.conversations.simulator import Simulator
from agents.conversations.tasks import (
    Application,
    Criterion,
    PlannedCall,
    Subgoal,
    WorldTask,
    gold_answer,
    replay,
    unmet,
)
from agents.conversations.world import World, value
from agents.tools.spec import READ_ONLY, Field, Kind


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
        free = [entity_id for entity_id in self.world.entities[kind.slug] if entity_id not in self.touched]
        if not free:
            return None
        entity_id = str(self.rng.choice(free))
        self.touched.add(entity_id)
        return entity_id

    def unique_key(self, kind: Kind, entity_id: str) -> str | None:
        """A field whose value finds this entity alone, best a name."""
        table = self.world.entities[kind.slug]
        fields = sorted(
            (f for f in kind.fields if f.type in ("name", "date", "enum")),
            key=lambda f: ("name", "date", "enum").index(f.type),
        )
        for f in fields:
            if sum(entity[f.name] == table[entity_id][f.name] for entity in table.values()) == 1:
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

    def run(self, calls: Sequence[PlannedCall]) -> list[str]:
        return [self.simulator.call(call.tool, call.arguments).text for call in calls]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _change(draft: _Draft, by_id: bool) -> Subgoal | None:
    """Set a field of an entity that is named by its id, or has to be found first."""
    kind = draft.kind()
    entity_id = draft.entity(kind)
    if entity_id is None:
        return None
    table = draft.world.entities[kind.slug]
    options = [f for f in kind.fields if f.type != "text"]
    f = options[int(draft.rng.integers(len(options)))]
    new = value(draft.rng, f)
    if new == table[entity_id][f.name]:
        return None
    update = PlannedCall(draft.tool(kind, "update", f.name), {"id": entity_id, f.name: new})
    if by_id:
        calls: tuple[PlannedCall, ...] = (update,)
        request = f"Set the {_spoken(f.name)} of {kind.name} {entity_id} to {new}."
        detail = f"It is {kind.name} {entity_id}."
    else:
        key = draft.unique_key(kind, entity_id)
        if key is None or key == f.name:
            return None
        find = PlannedCall(draft.tool(kind, "search", key), {key: table[entity_id][key]})
        calls = (find, update)
        request = f"Set the {_spoken(f.name)} of the {kind.name} with {_spoken(key)} {table[entity_id][key]} to {new}."
        detail = f"Its {_spoken(key)} is {table[entity_id][key]}."
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, entity_id, {f.name: new})
    return Subgoal(request, detail, calls, criterion, f"{kind.name} {entity_id} changed")


def change_by_id(draft: _Draft) -> Subgoal | None:
    return _change(draft, by_id=True)


def change_found(draft: _Draft) -> Subgoal | None:
    return _change(draft, by_id=False)


def remove(draft: _Draft) -> Subgoal | None:
    """Delete an entity that is named by its id."""
    kind = draft.kind()
    entity_id = draft.entity(kind)
    if entity_id is None:
        return None
    calls = (PlannedCall(draft.tool(kind, "delete"), {"id": entity_id}),)
    draft.run(calls)
    criterion = Criterion("absent", kind.slug, entity_id, {})
    return Subgoal(
        f"Delete {kind.name} {entity_id}.",
        f"I mean {kind.name} {entity_id}.",
        calls,
        criterion,
        f"{kind.name} {entity_id} gone",
    )


def add(draft: _Draft) -> Subgoal | None:
    """Create an entity with given values."""
    kind = draft.kind()
    values = {f.name: value(draft.rng, f) for f in kind.fields if f.type != "text"}
    calls = (PlannedCall(draft.tool(kind, "create"), values),)
    listed = ", ".join(f"{_spoken(name)} {field_value}" for name, field_value in values.items())
    before = set(draft.world.entities[kind.slug])
    draft.run(calls)
    (new,) = set(draft.world.entities[kind.slug]) - before
    draft.touched.add(new)
    criterion = Criterion("exists", kind.slug, new, values)
    return Subgoal(
        f"Create a {kind.name} with {listed}.", f"The values are {listed}.", calls, criterion, f"new {kind.name} there"
    )


def raise_number(draft: _Draft) -> Subgoal | None:
    """Add to a number of an entity that is named by its id."""
    kind = draft.kind()
    entity_id = draft.entity(kind)
    numbers = [f.name for f in kind.fields if f.type in ("int", "money")]
    if entity_id is None or not numbers:
        return None
    name = str(draft.rng.choice(numbers))
    by = int(draft.rng.integers(1, 9))
    calls = (PlannedCall(draft.tool(kind, "adjust", name), {"id": entity_id, "by": by}),)
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, entity_id, {name: draft.world.entities[kind.slug][entity_id][name]})
    request = f"Raise the {_spoken(name)} of {kind.name} {entity_id} by {by}."
    return Subgoal(
        request, f"It is {kind.name} {entity_id}.", calls, criterion, f"{_spoken(name)} of {entity_id} raised"
    )


def ask_count(draft: _Draft) -> Subgoal | None:
    """A question that a count answers."""
    kind = draft.kind()
    enums = [f for f in kind.fields if f.type == "enum"]
    f = enums[int(draft.rng.integers(len(enums)))]
    wanted = str(draft.rng.choice(f.values))
    calls = (PlannedCall(draft.tool(kind, "count", f.name), {f.name: wanted}),)
    count = sum(entity[f.name] == wanted for entity in draft.world.entities[kind.slug].values())
    draft.run(calls)
    criterion = Criterion("said", kind.slug, "", {"answer": str(count)})
    request = f"How many {kind.name} records have {_spoken(f.name)} {wanted}?"
    return Subgoal(request, f"The {_spoken(f.name)} is {wanted}.", calls, criterion, f"{kind.name} counted")


def _locked(draft: _Draft) -> tuple[Kind, str, Field, Any] | None:
    """A kind, an id that is locked from now on, a field, and another value for it."""
    kind = draft.kind()
    entity_id = draft.entity(kind)
    options = [f for f in kind.fields if f.type != "text"]
    f = options[int(draft.rng.integers(len(options)))]
    new = value(draft.rng, f)
    if entity_id is None or new == draft.world.entities[kind.slug][entity_id][f.name]:
        return None
    return kind, entity_id, f, new


def blocked(draft: _Draft) -> Subgoal | None:
    """A change that is not permitted: it has to be tried, left alone and reported."""
    change = _locked(draft)
    if change is None:
        return None
    kind, entity_id, f, new = change
    calls = (PlannedCall(draft.tool(kind, "update", f.name), {"id": entity_id, f.name: new}),)
    draft.world.locked.add(entity_id)
    draft.run(calls)
    criterion = Criterion("denied", kind.slug, entity_id, {})
    request = f"Set the {_spoken(f.name)} of {kind.name} {entity_id} to {new}."
    return Subgoal(
        request, f"It is {kind.name} {entity_id}.", calls, criterion, f"refusal for {kind.name} {entity_id} reported"
    )


def blocked_or_else(draft: _Draft) -> Subgoal | None:
    """A change that is not permitted, and what the user wants in that case."""
    change = _locked(draft)
    if change is None:
        return None
    kind, entity_id, f, new = change
    other = draft.entity(kind)
    if other is None or draft.world.entities[kind.slug][other][f.name] == new:
        return None
    name = draft.tool(kind, "update", f.name)
    calls = (PlannedCall(name, {"id": entity_id, f.name: new}), PlannedCall(name, {"id": other, f.name: new}))
    draft.world.locked.add(entity_id)
    draft.run(calls)
    criterion = Criterion("equals", kind.slug, other, {f.name: new})
    request = (
        f"Set the {_spoken(f.name)} of {kind.name} {entity_id} to {new}; "
        f"if that is not permitted, do it for {other} instead."
    )
    return Subgoal(
        request, f"It is {entity_id}, else {other}.", calls, criterion, f"{kind.name} {other} changed instead"
    )


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


class NoTask(Exception):
    """The tools that an agent has make no task."""


def make_task(
    app: Application,
    seed: int,
    subgoals: int,
    *,
    forms: Sequence[str] = MIXED,
    distractors: int = 3,
    allowed: Set[str] | None = None,
    helpers: bool = False,
) -> WorldTask:
    """A task of `subgoals` goals in one application, proven solvable by replaying its gold plan.

    Args:
        allowed: names of the tools that the agent has; None is every tool of the application.
        helpers: whether the agent is also given what it needs to look at what it changes.

    Raises:
        NoTask: the tools are too few for such a task.
        RuntimeError: the gold plan misses its own goal (a defect of this module).
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
        raise NoTask(f"{app.name}: no task of {subgoals} subgoals with seed {seed}")
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
    task = WorldTask(
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
    names = []
    for name in gold:
        tool = app.tools[name]
        if tool.action in READ_ONLY:
            continue
        for action in ("get", "list") if tool.action == "create" else ("get",):
            shows = app.by_use.get((tool.kind.slug, action, None))
            if shows is not None:
                names.append(shows.name)
    return names
