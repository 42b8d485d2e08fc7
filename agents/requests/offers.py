"""A tool as a conversation declares it, and what a user needs to ask for it.

An everyday tool looks otherwise in each conversation: style of its name, words of its descriptions, names and order of
its parameters, where an enum or a default is said. Tools of services and libraries are declared as they are.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.values import DATE_FORMATS, draw, draw_by_schema, words, written_date
from agents.tools.everyday import EverydayTool, Parameter, Type, Verb

JSON_TYPES = {
    "int": "integer",
    "year": "integer",
    "number": "number",
    "share": "number",
    "yes": "boolean",
    "list": "array",
}
MOST_ENUM = 8  # values of an enum that are declared
MOST_OPTIONAL = 3  # of a service's optional parameters


@dataclass(frozen=True)
class Asked:
    """A declared parameter.

    phrase: how its value is said, with `{}`; of a boolean the noun; empty: by its name.
    draw: (what is said, what the call must hold).
    """

    name: str
    schema: Mapping[str, Any]
    required: bool
    phrase: str
    draw: Callable[[Random], tuple[Any, Any]]
    share: bool = False


@dataclass(frozen=True)
class Offer:
    """verb, what: as in `EverydayTool`. key: of what it is made, whatever it is called here. group: what is near it."""

    name: str
    description: str
    verb: Verb
    what: str
    parameters: tuple[Asked, ...]
    key: str
    group: str

    @property
    def noun(self) -> str:
        return noun_of(self.verb, self.what)

    def declaration(self) -> dict[str, Any]:
        """In the OpenAI shape."""
        properties = {asked.name: dict(asked.schema) for asked in self.parameters}
        required = [asked.name for asked in self.parameters if asked.required]
        schema = {"type": "object", "properties": properties, "required": required}
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": schema},
        }


# ---- everyday tools -------------------------------------------------------------------------------------------------

VERB_NAMES: dict[Verb, list[str]] = {
    "calculate": ["calculate", "compute", "get", "find", "estimate", "determine", "calc"],
    "get": ["get", "fetch", "retrieve", "lookup", "read", "check", "query"],
    "find": ["find", "search", "list", "lookup", "discover", "search_for"],
    "do": ["do", "run", "make", "submit", "perform"],
}
SUFFIXES: dict[Verb, list[str]] = {
    "calculate": ["calculator", "calc", "value", "estimator"],
    "get": ["info", "lookup", "details", "data", "query"],
    "find": ["search", "finder", "list", "lookup"],
    "do": ["action", "request", "task"],
}


def everyday_offer(tool: EverydayTool, rng: Random) -> Offer:
    """The tool as one conversation declares it."""
    sentence = frame(rng, "description", "sentence", tool.verb).format(noun_of(tool.verb, tool.what))
    description = sentence + frame(rng, "description", "aside").format(tool.domain)
    description = description[0].upper() + description[1:]
    asked: list[Asked] = []
    for parameter in tool.parameters:
        taken = {other.name for other in asked}
        asked.append(_everyday_parameter(tool, parameter, taken, rng))
    if rng.random() < 0.25:
        rng.shuffle(asked)
    return Offer(
        _name(tool, rng), description, tool.verb, tool.what, tuple(asked), f"{tool.domain}/{tool.name}", tool.domain
    )


def noun_of(verb: Verb, what: str) -> str:
    """What is asked for, with an article where it takes one: `the kinetic energy`, `hotels`."""
    bare = verb in ("find", "do") or what.split()[0] in ("the", "a", "an", "how", "whether", "what")
    return what if bare else f"the {what}"


def _name(tool: EverydayTool, rng: Random) -> str:
    domain, verb = tool.domain.replace(" ", "_").replace("-", "_"), rng.choice(VERB_NAMES[tool.verb])
    stem = tool.name
    parts = [stem, f"{domain}_{stem}", f"{stem}_{rng.choice(SUFFIXES[tool.verb])}"]
    if tool.verb != "do":
        parts += [f"{verb}_{stem}"] * 3 + [f"{domain}_{verb}_{stem}", f"{stem}_{verb}"]
    chosen = rng.choice(parts)
    style = rng.random()
    if style < 0.12:
        return _camel(chosen)
    if style < 0.17:
        return "".join(word.title() for word in chosen.split("_"))
    if style < 0.24:
        return f"{domain}.{verb}_{stem}" if tool.verb != "do" else f"{domain}.{stem}"
    if style < 0.28:
        return chosen.replace("_", "-")
    return chosen


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _everyday_parameter(tool: EverydayTool, parameter: Parameter, taken: set[str], rng: Random) -> Asked:
    kind = parameter.type
    form = rng.choices(list(DATE_FORMATS), [8, 1, 1])[0] if kind.base == "date" else ""
    schema: dict[str, Any] = {"type": JSON_TYPES.get(kind.base, "string")}
    text = _described(parameter, schema, form, rng)
    if kind.unit and rng.random() < 0.8:
        text += rng.choice([f" in {kind.unit}", f" ({kind.unit})", f", in {kind.unit}"])
    if parameter.optional:
        text += _optional(parameter, schema, rng)
    schema["description"] = text + ("." if rng.random() < 0.5 else "")
    name = _parameter_name(tool, parameter.name, taken, rng)
    return Asked(name, schema, not parameter.optional, parameter.phrase, _drawer(kind, form), kind.base == "share")


def _parameter_name(tool: EverydayTool, name: str, taken: set[str], rng: Random) -> str:
    if rng.random() < 0.12:
        domain = tool.domain.split()[0].replace("-", "_")
        name = rng.choice([f"{name}_value", f"target_{name}", f"{domain}_{name}", f"input_{name}"])
    if rng.random() < 0.06:
        name = _camel(name)
    while name in taken:
        name += "_2"
    return name


def _described(parameter: Parameter, schema: dict[str, Any], form: str, rng: Random) -> str:
    """What the parameter's description says about its values; their type goes into the schema."""
    kind, said = parameter.type, words(parameter.name)
    text = frame(rng, "description", "parameter").format(said)
    text = text[0].upper() + text[1:]
    if kind.base == "enum":
        if rng.random() < 0.65:
            schema["enum"] = list(kind.values)
            return text
        return text + ": " + ", ".join(f"'{value}'" for value in kind.values[:-1]) + f" or '{kind.values[-1]}'"
    if kind.base == "list":
        assert kind.item is not None
        schema["items"] = {"type": JSON_TYPES.get(kind.item.base, "string")}
        return frame(rng, "description", "list").format(said)
    if kind.base in ("share", "date", "time"):
        return text + frame(rng, "description", kind.base).format(form)
    return text


def _optional(parameter: Parameter, schema: dict[str, Any], rng: Random) -> str:
    default = parameter.default
    if default is None:
        return rng.choice(["", " (optional)", ". Optional"])
    if rng.random() < 0.3 and schema["type"] != "array":
        schema["default"] = default if schema["type"] == "string" else json.loads(default)
    return frame(rng, "description", "default").format(default)


def _drawer(kind: Type, form: str) -> Callable[[Random], tuple[Any, Any]]:
    def drawn(rng: Random) -> tuple[Any, Any]:
        value = draw(kind, rng)
        if form:
            return value, written_date(value, form)
        if kind.base == "enum":
            return (words(value) if rng.random() < 0.7 else value), value
        return value, value

    return drawn


# ---- tools of services and libraries --------------------------------------------------------------------------------

VERBS = frozenset(
    (Path(__file__).with_name("verbs.txt")).read_text(encoding="utf-8").split()
)  # that descriptions of tools begin with
FLAT = ("string", "integer", "number", "boolean")


def spec_offer(row: Mapping[str, Any]) -> Offer | None:
    """The offer of a row of tools.parquet without a state model; None where no sentence can ask for it.

    Required parameters must be flat; of the optional flat ones the first few are declared.
    """
    act = act_of(str(row["description"]))
    parameters = json.loads(row["parameters"])
    properties, required = parameters.get("properties") or {}, parameters.get("required") or []
    flat = {name: schema for name, schema in properties.items() if _is_flat(schema)}
    if act is None or not flat or len(required) > 5 or any(name not in flat for name in required):
        return None
    chosen = [*required, *[name for name in flat if name not in required][:MOST_OPTIONAL]]
    asked = tuple(_spec_parameter(name, flat[name], name in required) for name in flat if name in chosen)
    description = str(row["description"])[:200]
    return Offer(row["name"], description, "do", act, asked, row["name"], f"{row['source']}/{row['application']}")


def _is_flat(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "array":
        return (schema.get("items") or {}).get("type") in FLAT
    return kind in FLAT


def _spec_parameter(name: str, schema: Mapping[str, Any], required: bool) -> Asked:
    kept = {key: schema[key] for key in ("type", "description", "default") if key in schema}
    if schema.get("enum"):
        kept["enum"] = list(schema["enum"])[:MOST_ENUM]
    if schema["type"] == "array":
        kept["items"] = {"type": schema["items"]["type"]}

    def drawn(rng: Random) -> tuple[Any, Any]:
        value = draw_by_schema(name, kept, rng)
        if "enum" in kept and isinstance(value, str) and rng.random() < 0.5:
            return words(value), value
        return value, value

    return Asked(name, kept, required, "", drawn)


def act_of(description: str) -> str | None:
    """The verb phrase of a description's first sentence: `Deletes a bucket.` → `delete a bucket`."""
    sentence = re.split(r"(?<=[a-z\])])[.:]\s|\n", description.strip())[0].strip().rstrip(".:")
    first, _, rest = sentence.partition(" ")
    if not rest or not 10 <= len(sentence) <= 110 or not re.fullmatch(r"[A-Z][a-z]+", first):
        return None
    verb = first.lower()
    for base in (verb, verb.removesuffix("s"), verb.removesuffix("es"), f"{verb.removesuffix('ies')}y"):
        if base in VERBS:
            return f"{base} {rest}"
    return None
