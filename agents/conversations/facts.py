"""What a user says of a record: its label, its id, that it is the cheapest, or that it is the one from before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.worlds.world import World, plain


@dataclass(frozen=True)
class Facts:
    """Of a record: values by field, and facts of the records that it refers to by field."""

    entity: str
    values: Mapping[str, Any] = field(default_factory=dict)
    refs: Mapping[str, "Facts"] = field(default_factory=dict)


@dataclass(frozen=True)
class Best:
    """The record with the highest or lowest value of a field among those that an action finds.

    values, refs: the action's arguments; of records what is said of them.
    """

    action: str
    values: Mapping[str, Any]
    refs: Mapping[str, "Reference"]
    field: str
    highest: bool


@dataclass(frozen=True)
class Reference:
    """A record as the user speaks of it.

    id: which one is meant; of `that`, what an earlier goal made or changed (`goal` is its number). text: the words.
    """

    kind: Literal["id", "label", "best", "that"]
    entity: str
    id: str
    text: str
    facts: Facts | None = None
    best: Best | None = None
    goal: int = -1


def facts_of(world: World, entity: str, key: str) -> Facts:
    """What the record's label tells."""
    tree: dict[str, Any] = {}
    _collect(world, entity, world.app.entities[entity].label.paths, tree)
    return _facts(world, entity, key, tree)


def _collect(world: World, entity: str, paths: Sequence[Sequence[str]], tree: dict[str, Any]) -> None:
    for first, *rest in paths:
        kind = world.app.entities[entity].fields.get(first)
        branch = tree.setdefault(first, {})
        if kind is not None and kind.base == "ref":
            below = [rest] if rest else world.app.entities[kind.target].label.paths
            _collect(world, kind.target, below, branch)


def _facts(world: World, entity: str, key: str, tree: Mapping[str, Any]) -> Facts:
    values: dict[str, Any] = {}
    refs: dict[str, Facts] = {}
    for name, branch in tree.items():
        if name == "id":
            values["id"] = key
            continue
        value = world.tables[entity][key][name]
        kind = world.app.entities[entity].fields[name]
        if kind.base == "ref" and value is not None:
            refs[name] = _facts(world, kind.target, value, branch)
        else:
            values[name] = plain(value)
    return Facts(entity, values, refs)
