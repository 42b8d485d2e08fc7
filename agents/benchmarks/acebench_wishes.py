"""What a user of an application that is held for evaluation wants: a change, its values, and how he says them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.worlds.application import Action, Parameter
from agents.worlds.fields import FieldType, draw
from agents.worlds.reading import apart
from agents.worlds.surface import Surface, WorldTool, surface
from agents.worlds.template import Template
from agents.worlds.world import World

SEED = 2501


@functools.cache
def desks() -> list[Surface]:
    return [surface(app.name, 0) for app in apart(held=True)]


def worded(desk: Surface, kind: FieldType, value: Any) -> str:
    """The value as the user says it, so that it can be given on as it is."""
    if kind.base == "ref":
        return f"{desk.nouns[kind.target]} {value}"
    if kind.base == "bool":
        return "yes" if value else "no"
    if kind.base == "list":
        return ", ".join(value)
    return str(value).replace("_", " ") if kind.base == "enum" else str(value)


@dataclass(frozen=True)
class Wish:
    """A change that a user asks for. stored: the values that he says, by parameter; ask: with a slot for each."""

    desk: Surface
    tool: WorldTool
    ask: Template
    stored: Mapping[str, Any]

    @property
    def action(self) -> Action:
        return self.tool.action

    @property
    def arguments(self) -> dict[str, Any]:
        return self.tool.written(self.stored)

    def text(self, parameter: Parameter) -> str:
        """What the user says for a parameter."""
        return worded(self.desk, parameter.type, self.stored[parameter.name])

    def request(self, **other: str) -> str:
        """What the user says, `other` in the place of some of his texts."""
        texts = {parameter.name: self.text(parameter) for parameter in self.said()} | other
        return f"Please {self.ask.fill(lambda path: texts[path[0]])}."

    def name(self, parameter: Parameter) -> str:
        """The tool's own name of a parameter."""
        return next(argument.name for argument in self.tool.arguments if argument.parameter == parameter)

    def said(self, *types: str) -> list[Parameter]:
        """The parameters that the user says, of these types where some are given."""
        named = [parameter for parameter in self.action.parameters if parameter.name in self.stored]
        return [parameter for parameter in named if not types or parameter.type.base in types]


class Maker:
    """Draws wishes to an application; every draw comes from the item's own stream."""

    def __init__(self, category: str, number: int) -> None:
        self.rng = Random(f"{SEED}|{category}|{number}")
        self.world_seed = number

    def wish(self, *types: str) -> Wish:
        """A wish that says a value of one of these types, if some are given, and a record."""
        asks = [
            (desk, tool, ask)
            for desk in desks()
            for tool in desk.tools.values()
            for ask in tool.action.asks
            if tool.action.refs and _says(tool.action, ask, types)
        ]
        return self._valued(*self.rng.choice(asks))

    def again(self, wish: Wish) -> Wish:
        """The same wish with other values."""
        return self._valued(wish.desk, wish.tool, wish.ask)

    def _valued(self, desk: Surface, tool: WorldTool, ask: Template) -> Wish:
        named = _named(tool.action, ask)
        return Wish(desk, tool, ask, {parameter.name: self.value(desk, parameter.type) for parameter in named})

    def value(self, desk: Surface, kind: FieldType) -> Any:
        if kind.base != "ref":
            return draw(kind, self.rng, desk.app.today)
        return self.rng.choice(list(World.generate(desk.app, self.world_seed).tables[kind.target]))

    def other(self, desk: Surface, kind: FieldType, value: Any) -> Any:
        """Another value of the type."""
        return next(new for new in iter(lambda: self.value(desk, kind), None) if new != value)

    def reader(self, desk: Surface, beside: str = "") -> WorldTool:
        """A tool that shows one record, and is not taken for the one called `beside`."""
        shows = [tool for tool in desk.tools.values() if tool.action.shows]
        return self.rng.choice([tool for tool in shows if not beside or not alike(tool.name, beside)])

    def shown(self, desk: Surface, reader: WorldTool) -> tuple[dict[str, Any], str]:
        """(arguments, what the user says) of a record that is to be shown."""
        (parameter,) = reader.action.parameters
        key = self.value(desk, parameter.type)
        return reader.written({parameter.name: key}), worded(desk, parameter.type, key)


def _named(action: Action, ask: Template) -> list[Parameter]:
    names = {path[0] for path in ask.paths}
    return [parameter for parameter in action.parameters if parameter.name in names]


def _says(action: Action, ask: Template, types: Sequence[str]) -> bool:
    """Whether an ask names a record and, if types are given, a value of one of them."""
    bases = {parameter.type.base for parameter in _named(action, ask)}
    return "ref" in bases and (not types or bool(bases & set(types)))


def alike(name: str, other: str) -> bool:
    """Whether the official checker may take the functions for each other: it looks for a name inside the answer's."""
    return name in other or other in name
