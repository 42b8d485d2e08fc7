"""A tool as a conversation declares it, and what a user needs to ask for it.

An everyday tool looks otherwise in each conversation: style of its name, words of its descriptions, names and order of
its parameters, where an enum or a default is said. Tools of services and libraries are declared as they are.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from agents.requests.frames import frame
from agents.requests.schemas import Schema, draw_by_schema, inline, pruned
from agents.requests.values import DATE_FORMATS, draw, words, written_date
from agents.tools.declaration import declaration
from agents.tools.everyday import EverydayTool, Parameter, Type, Verb

JSON_TYPES = {
    "int": "integer",
    "year": "integer",
    "number": "number",
    "share": "number",
    "yes": "boolean",
    "list": "array",
}
MOST_ENUM = 5  # values of an enum that are declared
MOST_OPTIONAL = {"mcp": 4, "python": 3}  # declared of a tool's optional parameters, by source
MOST_SERVICE = 1  # of a service's operation, which have the most and nest them
DESCRIBED = 100  # characters of a service's description
Action = Literal["read", "create", "change", "delete"]


@dataclass(frozen=True)
class Asked:
    """A declared parameter.

    stem: its name where it was authored. phrase: how its value is said, with `{}`; of a boolean the noun; empty: by its
    name. draw: (what is said, what the call must hold). form: of a date, a key of DATE_FORMATS.
    hidden: the server wants another spelling than the user's, and the declaration does not say so.
    """

    name: str
    stem: str
    schema: Schema
    required: bool
    phrase: str
    draw: Callable[[Random], tuple[Any, Any]]
    type: Type | None = None
    form: str = ""
    hidden: bool = False

    @property
    def share(self) -> bool:
        """The value is a fraction that people say in percent."""
        return self.type is not None and self.type.base == "share"

    def spelled(self, day: str) -> str:
        """An ISO date in the parameter's form."""
        return written_date(day, self.form) if self.form else day

    def written(self, value: Any) -> Any:
        """A value of an earlier result or call as this parameter takes it."""
        if self.form:
            return self.spelled(value)
        return [value] if self.schema["type"] == "array" and not isinstance(value, list) else value


@dataclass(frozen=True)
class Offer:
    """A tool of a conversation.

    verb, what: as in `EverydayTool`. key: of what it is made, whatever it is called here. group: what is near it.
    returns: JSON Schema of what comes back, empty where nothing is known. tool: the authored tool, if it is one.
    worded: what is asked for was said by somebody, not guessed from the name.
    """

    name: str
    description: str
    verb: Verb
    what: str
    parameters: tuple[Asked, ...]
    key: str
    group: str
    returns: Schema = field(default_factory=dict)
    tool: EverydayTool | None = None
    worded: bool = True

    @property
    def action(self) -> Action:
        """What a call does to the record that it names."""
        return action_of(self.verb, self.what)

    @property
    def noun(self) -> str:
        return noun_of(self.verb, self.what)

    @property
    def names(self) -> dict[str, str]:
        """Declared names of parameters by their stems."""
        return {asked.stem: asked.name for asked in self.parameters}

    def declaration(self) -> dict[str, Any]:
        """In the OpenAI shape."""
        properties = {asked.name: dict(asked.schema) for asked in self.parameters}
        required = [asked.name for asked in self.parameters if asked.required]
        schema = {"type": "object", "properties": properties, "required": required}
        return declaration(self.name, self.description, schema)


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
        _name(tool, rng),
        description,
        tool.verb,
        tool.what,
        tuple(asked),
        tool.key,
        tool.domain,
        returns_of(tool),
        tool,
    )


def noun_of(verb: Verb, what: str) -> str:
    """What is asked for, with an article where it takes one: `the kinetic energy`, `hotels`."""
    bare = verb in ("find", "do") or what.split()[0] in ("the", "a", "an", "my", "how", "whether", "what")
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
    required = not parameter.optional
    return Asked(name, parameter.name, schema, required, parameter.phrase, _drawer(kind, form), kind, form)


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
    if parameter.default is None:
        return rng.choice(["", " (optional)", ". Optional"])
    if rng.random() < 0.3 and schema["type"] != "array":
        schema["default"] = default_of(parameter)
    return frame(rng, "description", "default").format(parameter.default)


def default_of(parameter: Parameter) -> Any:
    """What an optional parameter is when it is left out."""
    text = parameter.default
    return text if text is None or parameter.type.base not in JSON_TYPES else json.loads(text)


def _drawer(kind: Type, form: str) -> Callable[[Random], tuple[Any, Any]]:
    def drawn(rng: Random) -> tuple[Any, Any]:
        value = draw(kind, rng)
        if form:
            return value, written_date(value, form)
        if kind.base == "enum":
            return (words(value) if rng.random() < 0.7 else value), value
        return value, value

    return drawn


@cache
def returns_of(tool: EverydayTool) -> dict[str, Any]:
    """JSON Schema of an authored tool's result; of a `find` tool's records."""
    properties = {name: _returned(kind) for name, kind in tool.returns.items()}
    return {"type": "object", "properties": properties, "required": list(properties)} if properties else {}


def _returned(kind: Type) -> dict[str, Any]:
    if kind.base in ("formula", "fact"):
        return {}
    if kind.base == "list":
        assert kind.item is not None
        return {"type": "array", "items": _returned(kind.item)}
    return {"type": JSON_TYPES.get(kind.base, "string")} | ({"enum": list(kind.values)} if kind.values else {})


def hide_spelling(offer: Offer, rng: Random) -> Offer | None:
    """The offer with one parameter whose spelling it does not declare: a date in a form of its own, or an enum whose
    values are not listed; None where it has no such parameter."""
    for index, asked in enumerate(offer.parameters):
        kind = asked.type
        if not asked.required or kind is None:
            continue
        dated, spelled = kind.base == "date", kind.base == "enum" and any("_" in value for value in kind.values)
        if dated or spelled:
            form = rng.choice([form for form in DATE_FORMATS if form != "YYYY-MM-DD"]) if dated else ""
            schema = {"type": "string", "description": f"The {words(asked.stem)}"}
            changed = [*offer.parameters]
            changed[index] = replace(asked, schema=schema, form=form, draw=_drawer(kind, form), hidden=True)
            return replace(offer, parameters=tuple(changed))
    return None


# ---- tools of services, libraries and servers -----------------------------------------------------------------------

VERBS = frozenset(
    (Path(__file__).with_name("verbs.txt")).read_text(encoding="utf-8").split()
)  # that descriptions of tools begin with
READING = frozenset("get list describe search find read show view query fetch check count retrieve look load".split())
READING |= frozenset("compute calculate evaluate return test compare lookup estimate scan download preview".split())
DELETING = frozenset("delete remove cancel terminate deregister destroy erase unsubscribe".split())
CREATING = frozenset("create add register book make insert start schedule open set put submit file".split())
CREATING |= frozenset("place issue generate import write post reserve order enroll buy log draft".split())
PUNCTUATION = re.compile(r"(?<=[a-z\])])[.:]\s|\n")
FURTHER = re.compile(r"\b(and|or|then) ([a-z]+s)\b")  # a second verb, `creates and starts`
CLAUSE = re.compile(r", |; | \(| (?:that|which|where|so|by|using|when|if|and|with|for|from|as)\b ")


def spec_offer(row: Mapping[str, Any]) -> Offer:
    """The offer of a row of tools.parquet without a state model: what it requires, and the first optional parameters.

    What is asked for is the description's verb phrase; where it has none, the words of the tool's name.
    """
    parameters = inline(json.loads(row["parameters"]) or {"type": "object"})
    most = MOST_OPTIONAL.get(str(row["source"]), MOST_SERVICE)
    declared = pruned(parameters, MOST_ENUM, most).get("properties", {})
    required = parameters.get("required") or []
    asked = tuple(_spec_parameter(name, own, name in required) for name, own in declared.items())
    returns = json.loads(row["returns"] or "{}")
    said = act_of(str(row["description"]))
    what = said or act_of_name(str(row["name"]), str(row["application"]))
    description = str(row["description"])
    if len(description) > DESCRIBED:
        description = description[:DESCRIBED].rpartition(" ")[0] + " …"
    group = f"{row['source']}/{row['application']}"
    return Offer(
        row["name"],
        description,
        "do",
        what,
        asked,
        row["name"],
        group,
        inline(returns) if returns else {},
        worded=said is not None,
    )


def _spec_parameter(name: str, schema: Mapping[str, Any], required: bool) -> Asked:
    def drawn(rng: Random) -> tuple[Any, Any]:
        value = draw_by_schema(name, schema, rng)
        if "enum" in schema and isinstance(value, str) and rng.random() < 0.5:
            return words(value), value
        return value, value

    return Asked(name, name, schema, required, "", drawn)


def action_of(verb: Verb, what: str) -> Action:
    """What a tool does to a record, by the first word of what it does."""
    word = what.split()[0] if verb == "do" else "get"
    if word in DELETING:
        return "delete"
    if word in CREATING:
        return "create"
    return "read" if word in READING else "change"


def act_of(description: str) -> str | None:
    """The verb phrase of a description's first sentence: `Deletes a bucket.` → `delete a bucket`."""
    sentence = PUNCTUATION.split(description.strip())[0].strip().rstrip(".:")
    if len(sentence) > 110:
        cut = next((found.start() for found in CLAUSE.finditer(sentence) if 20 <= found.start() <= 90), 0)
        sentence = sentence[:cut]
    sentence = FURTHER.sub(lambda found: f"{found[1]} {_base(found[2]) or found[2]}", sentence)
    first, _, rest = sentence.partition(" ")
    if not rest or len(sentence) < 10 or not re.fullmatch(r"[A-Z][a-z]+", first):
        return None
    verb = _base(first.lower())
    return f"{verb} {rest}" if verb is not None else None


def _base(verb: str) -> str | None:
    """`deletes` → `delete`; None of what is no known verb."""
    forms = (verb, verb.removesuffix("s"), verb.removesuffix("es"), f"{verb.removesuffix('ies')}y")
    return next((base for base in forms if base in VERBS), None)


def act_of_name(name: str, application: str) -> str:
    """The verb phrase of a tool's name: `send_invoice` → `send the invoice`, `jobs_list` → `list the jobs`."""
    own = words(name)
    prefix = words(application) + " "
    parts = (own.removeprefix(prefix) or own).split()
    place = next((index for index, part in enumerate(parts) if part in VERBS), None)
    verb = parts.pop(place) if place is not None else "get"
    rest = parts if not place else [*parts[place:], *parts[:place]]
    return f"{verb} the {' '.join(rest)}" if rest else f"{verb} it"
