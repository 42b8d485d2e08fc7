"""Authored everyday tools (`everyday_tools/*.yaml`): what people ask assistants for, with typed parameters.

    - calculate: the monthly payment of a loan
      name: loan_payment
      parameters:
        amount: int 1000..500000 dollars | on a loan of ${}
        kind: one of fixed, variable | with a {} rate | fixed

The verb says what kind of tool it is and holds the phrase after the verb in a user's sentence. A parameter is its type,
the phrase that says its value, and when it is optional its default or `optional`.

      returns:
        payment: = amount / 360
      then:
        send_transfer: {amount: payment}

`returns` names what comes back, of a `find` tool in each record: types, formulas (`=`) over the arguments and the
fields above, or a fact from `facts.yaml` (`fact capital of country`). `then` names tools whose call goes on with that,
and which of their parameters hold which field or argument; a parameter named as a field or argument needs no mention.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from agents.tools.expression import Evaluate
from agents.tools.formulas import compiled

FOLDER = Path(__file__).parent / "everyday_tools"
Verb = Literal["calculate", "get", "find", "do"]
VERBS = get_args(Verb)
PLAIN = ("share", "yes", "date", "time", "text", "id", "email", "phone", "url", "path", "username", "ip", "seat")
APART = ("values", "facts")  # files beside those of tools
RANGED = re.compile(r"(int|number|year) (-?[\d.]+)\.\.(-?[\d.]+)(?: (.+))?")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return content


@cache
def pools() -> Mapping[str, list[str]]:
    """The authored lists of values, by name."""
    return _read(FOLDER / "values.yaml")


@cache
def facts() -> Mapping[str, Mapping[str, Any]]:
    """Authored tables: what is true of a value, by the table's name and the value."""
    return _read(FOLDER / "facts.yaml")


@dataclass(frozen=True)
class Type:
    """What values are.

    base: int, number, year (with `low`, `high`, `unit`), enum (`values`), list (of `item`), pool (named `pool`), or
        one of PLAIN; of a result's fields also formula (`formula`) and fact (named `pool`, of the argument `unit`).
    """

    base: str
    low: float = 0
    high: float = 0
    unit: str = ""
    values: tuple[str, ...] = ()
    pool: str = ""
    item: "Type | None" = None
    formula: Evaluate | None = None

    @classmethod
    def parse(cls, text: str) -> "Type":
        """Raises ValueError for what is no type."""
        if ranged := RANGED.fullmatch(text):
            base, low, high, unit = ranged.groups()
            return cls(base, float(low), float(high), unit or "")
        if text.startswith("one of "):
            return cls("enum", values=tuple(value.strip() for value in text[7:].split(",")))
        if text.startswith("list of "):
            return cls("list", item=cls.parse(text[8:]))
        if text in PLAIN:
            return cls(text)
        if text in pools():
            return cls("pool", pool=text)
        raise ValueError(f"no type {text!r}")


@dataclass(frozen=True)
class Parameter:
    """phrase: how its value is said, `{}` is the value; of a boolean the noun. default: as in the file, or None."""

    name: str
    type: Type
    phrase: str
    optional: bool
    default: str | None


@dataclass(frozen=True, eq=False)
class EverydayTool:
    """returns: types of what comes back, by name. then: by the name of a tool that goes on with it, for each of its
    parameters the field or argument whose value it takes."""

    domain: str
    verb: Verb
    what: str
    name: str
    parameters: tuple[Parameter, ...]
    returns: Mapping[str, Type] = field(default_factory=dict)
    then: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.domain}/{self.name}"


def _parameter(name: str, text: str) -> Parameter:
    kind, phrase, *rest = text.split(" | ")
    default = rest[0] if rest else None
    return Parameter(name, Type.parse(kind), phrase, bool(rest), None if default == "optional" else default)


def _returns(entry: Mapping[str, Any], parameters: Iterable[Parameter]) -> dict[str, Type]:
    returns: dict[str, Type] = {}
    given = [parameter.name for parameter in parameters]
    for name, text in (entry.get("returns") or {}).items():
        if text.startswith("= "):
            returns[name] = Type("formula", formula=compiled(text[2:], [*given, *returns]))
        elif fact := re.fullmatch(r"fact (\w+) of (\w+)", text):
            if fact[1] not in facts() or fact[2] not in given:
                raise ValueError(f"no fact {text!r}")
            returns[name] = Type("fact", pool=fact[1], unit=fact[2])
        else:
            returns[name] = Type.parse(text)
    return returns


def _linked(tool: EverydayTool, by_name: Mapping[str, EverydayTool]) -> EverydayTool:
    """With `then` resolved: what each parameter takes that it can take.

    Raises:
        ValueError: an unknown tool, parameter or field, or nothing that it could take from the result.
    """
    arguments = {parameter.name: parameter.type for parameter in tool.parameters}
    resolved: dict[str, dict[str, str]] = {}
    for name, named in tool.then.items():
        if name not in by_name:
            raise ValueError(f"{tool.name}: then: no tool {name!r}")
        wanted = {parameter.name: parameter.type for parameter in by_name[name].parameters}
        for parameter, source in named.items():
            if parameter not in wanted or source not in {*tool.returns, *arguments}:
                raise ValueError(f"{tool.name}: then: {name}: no {parameter!r} or no {source!r}")
        takes = dict(named)
        for parameter, kind in wanted.items():
            if parameter in takes:
                continue
            pooled = [key for key, own in tool.returns.items() if own.base == "pool" and own.pool == kind.pool]
            if parameter in tool.returns or arguments.get(parameter) == kind:
                takes[parameter] = parameter
            elif pooled and not any(source in pooled for source in takes.values()):
                takes[parameter] = pooled[0]
        if not any(source in tool.returns for source in takes.values()):
            raise ValueError(f"{tool.name}: then: {name} takes nothing of the result")
        resolved[name] = takes
    return replace(tool, then=resolved)


@cache
def everyday_tools() -> tuple[EverydayTool, ...]:
    """All of them, in the order of the files.

    Raises:
        ValueError: a line that can't be read, with its file and tool.
    """
    tools = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.stem in APART:
            continue
        content = _read(path)
        for entry in content["tools"]:
            verb = next((verb for verb in VERBS if verb in entry), None)
            if verb is None:
                raise ValueError(f"{path.name}: {entry.get('name')}: none of {', '.join(VERBS)}")
            try:
                parameters = tuple(_parameter(str(name), str(text)) for name, text in entry["parameters"].items())
                returns = _returns(entry, parameters)
            except ValueError as error:
                raise ValueError(f"{path.name}: {entry['name']}: {error}") from None
            then = {str(name): dict(takes or {}) for name, takes in (entry.get("then") or {}).items()}
            tools.append(EverydayTool(content["domain"], verb, entry[verb], entry["name"], parameters, returns, then))
    by_name = {tool.name: tool for tool in tools}
    return tuple(_linked(tool, by_name) for tool in tools)
