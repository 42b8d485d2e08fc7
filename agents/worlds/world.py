"""Records of an application at one moment, and what an action does to them."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from random import Random
from typing import Any

from agents.tools.expression import Scope
from agents.tools.numbers import whole
from agents.worlds.application import Action, Application, Entity, order
from agents.worlds.expression import WORLD, ExpressionError
from agents.worlds.fields import FieldType, draw, pools
from agents.worlds.template import Template, singular

Row = dict[str, Any]


class Refused(Exception):
    """An action whose requirement does not hold.

    Attributes:
        error: its name in the application's file.
    """

    def __init__(self, error: str, says: str) -> None:
        super().__init__(says)
        self.error = error


@dataclass(frozen=True, eq=False)
class Record:
    """A record as expressions see it: references are followed, dates are dates."""

    world: "World"
    entity: str
    id: str

    def get(self, name: str) -> Any:
        """Raises KeyError: it has no such field, or is not there any more."""
        if name == "id":
            return self.id
        kind = self.world.app.entities[self.entity].fields[name]
        return self.world.seen(kind, self.world.tables[self.entity][self.id][name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self.entity, self.id) == (other.entity, other.id)

    def __hash__(self) -> int:
        return hash((self.entity, self.id))


@dataclass(frozen=True)
class Outcome:
    """What an action did: the records that it shows, or the one that it made or changed and its lets."""

    entity: str
    ids: tuple[str, ...]
    lets: Mapping[str, Any]
    created: str = ""


class World:
    """Tables by entity, rows by id; references are ids, dates ISO texts."""

    def __init__(self, app: Application, tables: dict[str, dict[str, Row]], numbers: dict[str, int]) -> None:
        self.app, self.tables, self.numbers = app, tables, numbers

    @classmethod
    def generate(cls, app: Application, seed: int) -> "World":
        """A world of the application; equal for equal arguments.

        Raises:
            ExpressionError: a formula has no value.
        """
        return _generated(app, seed).copy()

    def _fill(self, entity: Entity, rng: Random) -> None:
        """An entity's first records; values from a list differ as long as it lasts."""
        start = rng.randint(100, 880)
        self.numbers[entity.name] = start + entity.count
        decks = {key: _deck(kind, entity.count, rng) for key, kind in entity.fields.items() if kind.base == "pool"}
        for k in range(entity.count):
            row: Row = {}
            for key, kind in entity.fields.items():
                row[key] = decks[key][k] if key in decks else self._first(kind, rng)
                if kind.nullable and rng.random() < 0.5:
                    row[key] = None
            for key, formula in entity.formulas.items():
                scope = {name: self.seen(entity.fields[name], row[name]) for name in row if name != key}
                row[key] = stored(entity.fields[key], formula({**scope, "today": self.app.today, WORLD: self}))
            self.tables[entity.name][f"{entity.ids}{start + k}"] = row

    def _first(self, kind: FieldType, rng: Random) -> Any:
        if kind.formula:
            return None
        if kind.base == "ref":
            return rng.choice(list(self.tables[kind.target]))
        return draw(kind, rng, self.app.today)

    def seen(self, kind: FieldType, value: Any) -> Any:
        """A stored value as expressions see it."""
        if value is None:
            return None
        if kind.base == "ref":
            return Record(self, kind.target, value)
        return date.fromisoformat(value) if kind.base == "date" else value

    def records(self, entity: str) -> list[Any]:
        return [Record(self, entity, key) for key in self.tables[entity]]

    def copy(self) -> "World":
        """A world of its own; values are never changed in place."""
        tables = {name: {key: dict(row) for key, row in table.items()} for name, table in self.tables.items()}
        return World(self.app, tables, dict(self.numbers))

    def state_hash(self) -> str:
        """sha256 of the canonical JSON of everything that an action can change."""
        text = json.dumps([self.tables, self.numbers], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def path(self, root: Record, path: Sequence[str]) -> Any:
        """The value at the end of a path, as expressions see it."""
        value: Any = root
        for name in path:
            value = None if value is None else value.get(name)
        return value

    # ---- actions -------------------------------------------------------------------------------------------------

    def scope(self, action: Action, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the expressions of an action see; optional parameters that are not given have their default.

        Raises:
            Refused: a record that there isn't.
        """
        scope: dict[str, Any] = {"today": self.app.today, WORLD: self}
        for parameter in action.parameters:
            value = arguments.get(parameter.name, parameter.default)
            target = parameter.type.target
            if parameter.type.base == "ref" and value is not None and value not in self.tables[target]:
                raise Refused("not_found", f"there is no {self.app.entities[target].noun} {value}")
            scope[parameter.name] = self.seen(parameter.type, value)
        return scope

    def lets(self, action: Action, scope: dict[str, Any]) -> dict[str, Any]:
        """The values that the action computes before it changes anything; they join the scope."""
        for name, let in action.lets.items():
            scope[name] = let(scope)
        return {name: plain(scope[name]) for name in action.lets}

    def run(self, action: Action, arguments: Mapping[str, Any]) -> Outcome:
        """Does the action, whole or not at all.

        Args:
            arguments: as they are stored: ids, ISO dates.

        Raises:
            Refused: a requirement does not hold, or a record is not there.
            ExpressionError: a value can't be computed.
        """
        if action.finds:
            return Outcome(action.finds, tuple(self._matching(action, arguments)), {})
        scope = self.scope(action, arguments)
        if action.shows:
            return Outcome(action.shows, (scope[action.parameters[0].name].id,), {})
        lets = self.lets(action, scope)
        self.check(action, scope)
        return self._change(action, scope, lets)

    def check(self, action: Action, scope: Scope) -> None:
        """Raises Refused: a requirement of the action does not hold in this scope, which holds its lets."""
        for requirement in action.requirements:
            if not requirement.test(scope):
                raise Refused(requirement.error, self.said(requirement.says, scope))

    def _matching(self, action: Action, arguments: Mapping[str, Any]) -> list[str]:
        wanted = {name: value for name, value in arguments.items() if value is not None}
        for parameter in action.parameters:
            name, target = parameter.name, parameter.type.target
            if target and name in wanted and wanted[name] not in self.tables[target]:
                raise Refused("not_found", f"there is no {self.app.entities[target].noun} {wanted[name]}")
        return [
            key
            for key, row in self.tables[action.finds].items()
            if all(alike(row[name], value) for name, value in wanted.items())
        ]

    def _change(self, action: Action, scope: dict[str, Any], lets: Mapping[str, Any]) -> Outcome:
        """Every value is computed before the first is written."""
        planned: list[tuple[str, str, Row | None]] = []
        created: list[tuple[str, str]] = []
        subject: tuple[str, str] | None = None
        for effect in action.effects:
            fields = self.app.entities[effect.entity].fields
            if effect.kind == "each":
                for record in self.records(effect.entity):
                    inner = {**scope, "each": record}
                    if effect.test is None or effect.test(inner):
                        row = {key: stored(fields[key], value(inner)) for key, value in effect.values.items()}
                        self._check_types(action, effect.entity, row)
                        planned.append((effect.entity, record.id, row))
                continue
            if effect.kind == "create":
                key = f"{self.app.entities[effect.entity].ids}{self.numbers[effect.entity]}"
                created.append((effect.entity, key))
            else:
                assert effect.target is not None
                target = effect.target(scope)
                if target is None:
                    continue
                key = target.id
            subject = subject or (effect.entity, key)
            if effect.kind == "remove":
                planned.append((effect.entity, key, None))
            else:
                row = {name: stored(fields[name], value(scope)) for name, value in effect.values.items()}
                self._check_types(action, effect.entity, row)
                planned.append((effect.entity, key, row))
            if effect.kind == "create":  # the effects that follow may refer to it
                scope = {**scope, effect.entity: Record(self, effect.entity, key)}
        for entity, key, new in planned:
            if new is None:
                self.tables[entity].pop(key, None)
            elif (entity, key) in created:
                self.tables[entity][key] = new
                self.numbers[entity] += 1
            elif key in self.tables[entity]:
                self.tables[entity][key] |= new
        if created:
            entity, key = created[0]
            return Outcome(entity, (key,), lets, key)
        if subject is not None and subject[1] in self.tables[subject[0]]:
            return Outcome(subject[0], (subject[1],), lets)
        return Outcome("", (), lets)

    def _check_types(self, action: Action, entity: str, row: Row) -> None:
        fields = self.app.entities[entity].fields
        for name, value in row.items():
            if not fields[name].fits(value):
                raise ExpressionError(f"{action.name}: {entity}.{name} can't be {value!r}")

    def broken(self) -> str:
        """The first reference that leads nowhere, or an empty text."""
        for name, entity in self.app.entities.items():
            for key, row in self.tables[name].items():
                for field, kind in entity.fields.items():
                    if kind.base == "ref" and row[field] is not None and row[field] not in self.tables[kind.target]:
                        return f"{field} of {key} is {row[field]}, which is not there"
        return ""

    def said(self, template: Template, scope: Scope) -> str:
        """The sentence with its values as they are stored; a record by its id."""

        def value(path: Sequence[str]) -> Any:
            root = scope[path[0]]
            reached = self.path(root, path[1:]) if isinstance(root, Record) else root
            return plain(reached)

        return singular(template.fill(value))


@lru_cache(maxsize=16)  # a conversation's judge and its replay begin where it began
def _generated(app: Application, seed: int) -> World:
    rng = Random(f"{app.name}|{seed}")
    world = World(app, {name: {} for name in app.entities}, {})
    for name in order(app.entities):
        world._fill(app.entities[name], rng)
    return world


def plain(value: Any) -> Any:
    """A value of an expression as JSON holds it; raises ExpressionError for a number that is none."""
    if isinstance(value, Record):
        return value.id
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError(f"{value} is no number")
        rounded = round(value, 2)
        return whole(rounded)
    return value


def stored(kind: FieldType, value: Any) -> Any:
    """A value of an expression as a row holds it."""
    value = plain(value)
    if kind.base == "int" and isinstance(value, float):
        return round(value)
    return value


def alike(held: Any, wanted: Any) -> bool:
    """Whether a search for `wanted` shows a record that holds `held`: texts in any case, lists by one value."""
    if isinstance(held, str) and isinstance(wanted, str):
        return held.casefold() == wanted.casefold()
    if isinstance(held, list):
        return wanted == held or wanted in held
    return bool(held == wanted)


def _deck(kind: FieldType, count: int, rng: Random) -> list[str]:
    values = list(pools()[kind.pool])
    deck: list[str] = []
    while len(deck) < count:
        deck += rng.sample(values, len(values))
    return deck[:count]
