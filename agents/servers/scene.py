"""What a conversation with a real MCP server is about: what its sandbox holds, and what the user wants in each turn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from agents.servers.driver import as_objects, fill
from agents.servers.spec import Intent, ServerSpec, draw, draw_list

TURNS = (1, 2, 3, 3, 4)
FOLLOWING = 0.7  # of further turns: one that follows from the turn before, where there is one
BETWEEN = (datetime(2024, 1, 1, tzinfo=UTC).timestamp(), datetime(2027, 12, 31, tzinfo=UTC).timestamp())


class Scene:
    """What a conversation's sandbox holds at the start, drawn from the spec's pools.

    plain: the values as JSON, `now` among them; `values` are the same with elements as objects.
    now: the clock, in seconds since 1970.
    """

    def __init__(self, spec: ServerSpec, rng: Random) -> None:
        self.spec = spec
        self.now = float(int(rng.uniform(*BETWEEN)))
        self.plain: dict[str, Any] = {"now": int(self.now)}
        for name, value in spec.values.items():
            self.plain[name] = draw(value, self.values, rng)
        for name, elements in spec.lists.items():
            self.plain[name] = draw_list(elements, self.values, rng)
        self.left = {name: rng.sample(self.plain[name], len(self.plain[name])) for name in spec.lists}
        self.files = {
            fill(made.path, scope): str(fill(made.text, scope))
            for made in spec.files
            for scope in self._scopes(made.each)
        }
        self.databases: dict[str, str] = {}
        for made in spec.databases:
            path = fill(made.path, self.values)
            self.databases[path] = self.databases.get(path, "")
            self.databases[path] += "".join(f"{fill(made.sql, scope)};\n" for scope in self._scopes(made.each))
        self.commands = [fill(made.run, scope) for made in spec.commands for scope in self._scopes(made.each)]

    def _scopes(self, each: str) -> list[dict[str, Any]]:
        """The values, or with an element of the list under its name, for every element."""
        values = self.values
        return [values | {each: element} for element in values[each]] if each else [values]

    @property
    def values(self) -> dict[str, Any]:
        return as_objects(self.plain)


@dataclass(frozen=True)
class Turn:
    """values: those that the intent drew, as JSON."""

    name: str
    intent: Intent
    values: dict[str, Any]


def draw_turns(spec: ServerSpec, scene: Scene, rng: Random) -> list[Turn]:
    """What the user wants, one thing after the other."""
    turns = [open_turn(spec, scene, rng)]
    for _ in range(rng.choice(TURNS) - 1):
        after = _fitting(spec, scene, turns, follow=True)
        if after and rng.random() < FOLLOWING:
            turns.append(_drawn(_long(after, spec, rng), spec, scene, rng, turns))
        elif fitting := _fitting(spec, scene, turns):
            turns.append(_drawn(_long(fitting, spec, rng), spec, scene, rng))
    return turns


def open_turn(spec: ServerSpec, scene: Scene, rng: Random) -> Turn:
    """One that needs none before it."""
    return _drawn(_long(_fitting(spec, scene, ()), spec, rng), spec, scene, rng)


def _long(names: Sequence[str], spec: ServerSpec, rng: Random) -> str:
    """One of the intents, those with more steps more often, but not those with an error."""
    steps = [spec.intents[name].steps for name in names]
    return rng.choices(names, [1 if any(step.fails for step in own) else len(own) for own in steps])[0]


def _fitting(spec: ServerSpec, scene: Scene, turns: Sequence[Turn], *, follow: bool = False) -> list[str]:
    """New intents that can come next: those that need no turn before them, or those that follow from the last one."""
    spent = {part for turn in turns for part in turn.intent.spends}
    return [
        name
        for name, intent in spec.intents.items()
        if (turns[-1].name in intent.after if follow else not intent.after)
        and name not in {turn.name for turn in turns}
        and spent.isdisjoint([*intent.needs, *intent.spends])
        and all(n <= len(scene.left[wanted]) for wanted, n in Counter(intent.uses.values()).items())
    ]


def _drawn(name: str, spec: ServerSpec, scene: Scene, rng: Random, before: Sequence[Turn] = ()) -> Turn:
    intent = spec.intents[name]
    values: dict[str, Any] = {used: scene.left[wanted].pop() for used, wanted in intent.uses.items()}
    scope = scene.values
    for turn in before:
        scope |= as_objects(turn.values)
    for drawn, value in intent.draws.items():
        values[drawn] = draw(value, scope | as_objects(values), rng)
    return Turn(name, intent, values)
