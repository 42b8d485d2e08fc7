"""One of many shapes of an application: names, words and forms of its tools differ, what they do stays.

The hierarchical evolution of the K2 report (§3.1.1: domains, applications, tools) composes authored applications to
tools: other nouns and verbs, name styles, three registers of descriptions, more optional fields, arguments in other
units or grouped in an object. Shape 0 is the application as it is written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from random import Random
from typing import Any, Literal

from agents.worlds.application import Action, Application, Parameter
from agents.worlds.extras import BY_NAME, extended
from agents.worlds.fields import LARGEST
from agents.worlds.reading import authored
from agents.worlds.world import Outcome, World, plain

Style = Literal["snake", "camel", "dotted", "noun_first", "kebab"]
STYLES: tuple[Style, ...] = ("snake", "snake", "snake", "camel", "camel", "dotted", "noun_first", "kebab")
BRANDS = (
    "alder amber arctic atlas aurora beacon birch blue bright cedar clear coral delta eagle echo ember falcon "
    "fern first garnet glacier golden granite green harbor heron hill horizon indigo iris jade juniper lake lark "
    "lotus lumen maple meadow metro mint moon north oak ocean onyx opal orchid pearl pine polar prime quartz raven red "
    "ridge river rowan ruby sage silver sky solar south spruce star stone summit sun swift tidal timber union urban "
    "vale vista west willow winter"
).split()
SHOWN = 25  # records of a search
SCALES: Mapping[str, tuple[str, int]] = {  # unit of an argument, and how many of it make one of the field's
    "euros": ("cents", 100),
    "kg": ("grams", 1000),
    "hours": ("minutes", 60),
    "km": ("meters", 1000),
    "days": ("hours", 24),
    "minutes": ("seconds", 60),
    "liters": ("milliliters", 1000),
    "cm": ("mm", 10),
}
GROUPS = ("details", "options", "data", "request")


@dataclass(frozen=True)
class Argument:
    """A parameter as a tool declares it. scale: how many of the argument's units make one of the parameter's."""

    name: str
    parameter: Parameter
    description: str
    unit: str = ""
    scale: int = 1

    def schema(self) -> dict[str, Any]:
        kind = self.parameter.type
        schema = {"type": "integer"} if self.scale > 1 else dict(kind.schema())
        if self.description:
            schema["description"] = self.description
        if self.parameter.default is not None and self.scale == 1:
            schema["default"] = self.parameter.default
        return schema


@dataclass(frozen=True, eq=False)
class WorldTool:
    """A tool of an application's shape. group: the object in which arguments that are no records stand, or empty."""

    name: str
    action: Action
    description: str
    arguments: tuple[Argument, ...]
    group: str = ""
    parameters: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", self._parameters())

    def _parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        outside = [argument for argument in self.arguments if not self._grouped(argument)]
        inside = [argument for argument in self.arguments if self._grouped(argument)]
        schema = _object(outside)
        if inside:
            schema["properties"][self.group] = _object(inside)
            if any(not argument.parameter.optional for argument in inside):
                schema["required"].append(self.group)
        return schema

    def _grouped(self, argument: Argument) -> bool:
        return bool(self.group) and argument.parameter.type.base != "ref"

    def declaration(self) -> dict[str, Any]:
        """The tool as a model sees it, in the OpenAI shape."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    def written(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Stored values of parameters as the tool's arguments."""
        flat: dict[str, Any] = {}
        grouped: dict[str, Any] = {}
        for argument in self.arguments:
            if argument.parameter.name in stored:
                value = stored[argument.parameter.name]
                value = round(value * argument.scale) if argument.scale > 1 else value
                (grouped if self._grouped(argument) else flat)[argument.name] = value
        return flat | ({self.group: grouped} if grouped else {})

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that fit the schema as stored values of the parameters.

        Raises:
            ValueError: a day that there isn't, a number that is too large, a part of what comes whole.
        """
        stored: dict[str, Any] = {}
        inside = arguments.get(self.group) or {}
        for argument in self.arguments:
            given = inside if self._grouped(argument) else arguments
            if argument.name not in given:
                continue
            value = given[argument.name]
            if argument.parameter.type.base == "date":
                value = _day(argument.name, value)
            if argument.parameter.type.numeric and not abs(value) <= LARGEST:
                raise ValueError(f"{argument.name} is too large")
            if argument.scale > 1:
                if argument.parameter.type.base == "int" and value % argument.scale:
                    raise ValueError(f"{argument.name} must be a multiple of {argument.scale}, not {value}")
                value = plain(value / argument.scale)
            stored[argument.parameter.name] = value
        return stored


@dataclass(frozen=True)
class Surface:
    """An application in one of its shapes. nouns: of its entities."""

    app: Application
    number: int
    name: str
    tools: Mapping[str, WorldTool]
    by_action: Mapping[str, WorldTool]
    nouns: Mapping[str, str]

    def returns(self, tool: WorldTool) -> dict[str, Any]:
        """JSON Schema of a tool's successful result."""
        action = tool.action
        entity = action.finds or action.shows or action.effects[0].entity
        fields = self.app.entities[entity].fields
        properties: dict[str, Any] = {"id": {"type": "string"}}
        for name, kind in fields.items():  # an empty reference is shown, an empty value is left out
            empty = kind.base == "ref" and kind.nullable
            schema = {"type": ["string", "null"]} if empty else kind.schema()
            properties[f"{name}_id" if kind.base == "ref" else name] = schema
        record: dict[str, Any] = {"type": "object", "properties": properties}
        if action.finds:
            rows = {"type": "array", "items": record}
            key = plural(self.nouns[entity]).replace(" ", "_")
            return {"type": "object", "properties": {key: rows, "count": {"type": "integer"}}, "required": [key]}
        return record | {"properties": properties | {name: {} for name in action.lets}}

    def shown(self, world: World, tool: WorldTool, outcome: Outcome) -> dict[str, Any]:
        """What a tool returns, as JSON values."""
        if tool.action.finds:
            rows = [self.record(world, outcome.entity, key) for key in outcome.ids[:SHOWN]]
            more = {"more": len(outcome.ids) - SHOWN} if len(outcome.ids) > SHOWN else {}
            return {plural(self.nouns[outcome.entity]).replace(" ", "_"): rows, "count": len(outcome.ids)} | more
        shown = self.record(world, outcome.entity, outcome.ids[0]) if outcome.ids else {"ok": True}
        return shown | dict(outcome.lets)

    def record(self, world: World, entity: str, key: str) -> dict[str, Any]:
        """A record with its id; references are ids under the referring field's name."""
        fields = self.app.entities[entity].fields
        row = world.tables[entity][key]
        return {"id": key} | {
            f"{name}_id" if fields[name].base == "ref" else name: value
            for name, value in row.items()
            if value is not None or fields[name].base == "ref"
        }


def _day(name: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError(f"{name} must be a day written YYYY-MM-DD, not {value!r}") from None


def _object(arguments: Sequence[Argument]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {argument.name: argument.schema() for argument in arguments},
        "required": [argument.name for argument in arguments if not argument.parameter.optional],
        "additionalProperties": False,
    }


@lru_cache(maxsize=4096)
def surface(name: str, number: int) -> Surface:
    """The shape of an authored application with this number; raises KeyError where there is no such application."""
    return shaped(authored()[name], number)


def shaped(app: Application, number: int) -> Surface:
    """The application's shape with this number; equal for equal arguments."""
    rng = Random(f"{app.name}|shape|{number}")
    if number:
        app = extended(app, rng)
    nouns = {
        name: entity.noun if not number else rng.choice([entity.noun, *entity.also])
        for name, entity in app.entities.items()
    }
    style: Style = rng.choice(STYLES) if number else "snake"
    register = rng.randrange(3) if number else 1
    brand = Random(app.name).sample(BRANDS, len(BRANDS))[number % len(BRANDS)] if number else ""  # of no other shape
    shaper = _Shaper(app, nouns, style, register, brand, rng, plainly=not number)
    tools = {action.name: shaper.tool(action) for action in app.actions.values()}
    name = f"{brand}_{app.name}" if brand else app.name
    return Surface(app, number, name, {tool.name: tool for tool in tools.values()}, tools, nouns)


class _Shaper:
    def __init__(
        self,
        app: Application,
        nouns: Mapping[str, str],
        style: Style,
        register: int,
        brand: str,
        rng: Random,
        *,
        plainly: bool,
    ) -> None:
        self.app, self.nouns, self.style, self.register, self.brand = app, nouns, style, register, brand
        self.rng, self.plainly = rng, plainly
        self.taken: set[str] = set()
        self.suffix = "_id" if plainly else rng.choice(("_id", "_id", "_id", "", "_ref", "_number"))
        self.scaled = not plainly and rng.random() < 0.3

    def tool(self, action: Action) -> WorldTool:
        words = action.name.split("_")
        if action.also and not self.plainly and self.rng.random() < 0.6:
            words = [*self.rng.choice(action.also).split(), *words[1:]]
        name = self._styled(self._renamed("_".join(words)).split("_"))
        name = name if name not in self.taken else self._styled(self._renamed(action.name).split("_"))
        name = name if name not in self.taken else self._styled(action.name.split("_"))
        self.taken.add(name)
        arguments = tuple(self._argument(action, parameter) for parameter in action.parameters)
        values = [argument for argument in arguments if argument.parameter.type.base != "ref"]
        grouped = not self.plainly and len(values) > 2 and self.rng.random() < 0.3
        if not self.plainly and self.rng.random() < 0.3:
            arguments = tuple(self.rng.sample(arguments, len(arguments)))
        group = self.rng.choice(GROUPS) if grouped else ""
        return WorldTool(name, action, self._described(action), arguments, group)

    def _renamed(self, text: str) -> str:
        """The name or sentence with the entities' other nouns."""
        for name, noun in self.nouns.items():
            old = self.app.entities[name].noun
            if noun == old:
                continue
            for before, after in ((old, noun), (old.replace(" ", "_"), noun.replace(" ", "_"))):
                text = re.sub(rf"(?<![a-z]){re.escape(plural(before))}(?![a-z])", plural(after), text)
                text = re.sub(rf"(?<![a-z]){re.escape(before)}(?![a-z])", after, text)
        return text

    def _styled(self, words: Sequence[str]) -> str:
        if self.style == "camel":
            return words[0] + "".join(word.capitalize() for word in words[1:])
        if self.style == "dotted":
            return f"{self.app.name.split('_')[0]}.{'_'.join(words)}"
        if self.style == "noun_first":
            return "_".join([*words[1:], words[0]]) if len(words) > 1 else words[0]
        if self.style == "kebab":
            return "-".join(words)
        return "_".join(words)

    def _argument(self, action: Action, parameter: Parameter) -> Argument:
        kind = parameter.type
        if kind.base == "ref":
            noun = self.nouns[kind.target]
            own = parameter.name.replace("_", " ") != self.app.entities[kind.target].noun
            base = parameter.name if own else noun.replace(" ", "_")
            name = self._cased(f"{base}{self.suffix}".split("_"))
            return Argument(name, parameter, f"id of the {noun}" if self.register else "")
        unit, scale = ("euros" if kind.base == "money" else kind.unit), 1
        name = parameter.name
        if self.scaled and unit in SCALES and not name.endswith(unit):
            unit, scale = SCALES[unit]
            name = f"{name}_{unit}"
        return Argument(self._cased(name.split("_")), parameter, self._said(parameter, unit), unit, scale)

    def _cased(self, words: Sequence[str]) -> str:
        return words[0] + "".join(word.capitalize() for word in words[1:]) if self.style == "camel" else "_".join(words)

    def _said(self, parameter: Parameter, unit: str) -> str:
        """A description of a parameter; the shortest register gives only what a name does not tell."""
        kind, words = parameter.type, parameter.name.replace("_", " ")
        form = (
            "a day, YYYY-MM-DD"
            if kind.base == "date"
            else "HH:MM"
            if kind.base == "time"
            else f"in {unit}"
            if unit
            else ""
        )
        if not self.register:
            return form
        text = BY_NAME[parameter.name].description if parameter.name in BY_NAME else f"the {words}"
        if self.register == 2 and kind.numeric and not unit and kind.low >= 0:
            form = f"from {kind.low:g} to {kind.high:g}"
        text = f"{text}, {form}" if form else text
        if parameter.optional and self.register == 2:
            text += "; optional" if parameter.default is None else f"; {parameter.default} if it is not given"
        return text

    def _described(self, action: Action) -> str:
        does = self._renamed(action.does)
        verb, _, rest = does.partition(" ")
        base = "" if " and " in does else imperative(verb)
        if not self.register:
            return f"{base.capitalize()} {rest}".rstrip(".") if base else does
        if self.register == 1:
            return does
        desk = f"{self.brand.capitalize()}'s {self.app.desk.split(' ', 1)[1]}" if self.brand else self.app.desk
        text = f"Use this at {desk} to {base} {rest}" if base else f"{does} ({desk})"
        if action.requirements:
            text += f" May fail: {', '.join(each.error.replace('_', ' ') for each in action.requirements)}."
        if action.lets:
            text += f" Also returns {', '.join(name.replace('_', ' ') for name in action.lets)}."
        return text


def plural(noun: str) -> str:
    """`family` → `families`."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")


def imperative(verb: str) -> str:
    """`Books` → `book`; empty for what is no third person."""
    low = verb.lower()
    if low.endswith("ies") and len(low) > 4:
        return low[:-3] + "y"
    if low.endswith(("ches", "shes", "sses", "xes", "zzes", "oes")):
        return low[:-2]
    return low[:-1] if low.endswith("s") and not low.endswith("ss") else ""
