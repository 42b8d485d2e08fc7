"""Hierarchical evolution of tools by a language model behind an endpoint: domain → application → kind → tool.

The model invents applications of a domain, the kinds of records that each keeps with their fields, and for each kind
its tools: names, descriptions, and which operation of the simulator each one is. What a typed state machine can't
execute is left out and counted; so every tool that stays has an interface, a description and operational semantics.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest
from agents.tools.spec import Action, Field, Kind, Tool
from k2model.chat.model_json import ModelJsonError, loads_model_json

NAME = re.compile(r"[a-z][a-z0-9]*(?:[ _-][a-z0-9]+){0,4}")
TOOL_NAME = re.compile(r"[a-z][a-z0-9_]{4,63}")
ACTIONS: dict[str, Action] = {
    "get": "get", "list": "list", "search": "search", "count": "count", "create": "create", "update": "update",
    "adjust": "adjust", "delete": "delete", "latest": "latest",
}  # fmt: skip
WITHOUT_FIELD = frozenset({"get", "list", "create", "delete"})
RESERVED = ("id", "by", "cached", "took_s", "error")
NUMBERS = frozenset({"int", "money"})
TOKENS = 2048
SYSTEM = "You design the interfaces of business software. Answer with JSON alone."


@dataclass
class Evolved:
    """The tools that can be executed, how many inventions were left out, by reason, and what was refused an answer."""

    tools: list[Tool] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


def _list_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    item = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": item}},
        "required": ["items"],
    }


_TEXT = {"type": "string"}
_APPLICATIONS = _list_of({"name": _TEXT})
_KINDS = _list_of({"name": _TEXT, "fields": {"type": "array", "items": _TEXT}})
_TOOLS = _list_of({"name": _TEXT, "action": {"enum": list(ACTIONS)}, "field": _TEXT, "description": _TEXT})


def _ask(client: ChatClient, questions: Sequence[str], schema: Mapping[str, Any], seed: int) -> list[list[Any] | None]:
    """The `items` of each answer; one that is no such JSON has none, a refusal is None."""
    requests = [
        ChatRequest(
            ({"role": "system", "content": SYSTEM}, {"role": "user", "content": question}),
            max_tokens=TOKENS,
            temperature=0.8,
            seed=seed + index,
            response_schema=schema,
        )
        for index, question in enumerate(questions)
    ]
    return [
        None if isinstance(answer, ChatRefusal) else _items(answer.text)
        for answer in (client.complete(requests) if requests else [])
    ]


def _items(text: str) -> list[Any]:
    try:
        items = loads_model_json(text)["items"]
    except (ModelJsonError, KeyError, TypeError):
        return []
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def evolve_with(
    client: ChatClient, domains: Sequence[str], applications: int, kinds: int, seed: int, known: Sequence[str] = ()
) -> Evolved:
    """Tools that the model invents, level by level.

    Args:
        applications: of each domain. kinds: of each application.
        known: names of applications that there are already.

    Raises:
        ChatError: no request can be answered.
    """
    evolved = Evolved()
    taken = set(known)
    asked = [
        f"Domain: {domain.replace('_', ' ')}. Name {applications} different applications that people in it use every "
        "day, two words at most each, in small letters."
        for domain in domains
    ]
    places: list[tuple[str, str]] = []
    for domain, items in zip(domains, _ask(client, asked, _APPLICATIONS, seed), strict=True):
        if items is None:
            evolved.refused.append(domain)
            continue
        for item in items[:applications]:
            name = str(item.get("name", "")).strip().lower().replace(" ", "_").replace("-", "_")
            if not NAME.fullmatch(name) or name in taken:
                evolved.left_out["application: no new name"] += 1
                continue
            taken.add(name)
            places.append((domain, name))
    asked = [
        f"The {name.replace('_', ' ')} application of the domain {domain.replace('_', ' ')} keeps records. Invent "
        f"{kinds} kinds of records. name: two words in small letters. fields: 5 to 8 texts name:type, where "
        "the type is name, text, int, money, date, or the possible values joined by |. One field is status:… with its "
        "values."
        for domain, name in places
    ]
    invented: list[Kind] = []
    for (domain, name), items in zip(places, _ask(client, asked, _KINDS, seed + 1_000), strict=True):
        if items is None:
            evolved.refused.append(name)
            continue
        for item in items[:kinds]:
            kind, problem = _kind(domain, name, item)
            if kind is None:
                evolved.left_out[f"kind: {problem}"] += 1
            elif any(kind.slug == other.slug for other in invented if other.application == name):
                evolved.left_out["kind: twice"] += 1
            else:
                invented.append(kind)
    asked = [
        f"The {kind.application.replace('_', ' ')} application keeps records of the kind {kind.name} with the fields "
        f"{', '.join(spec.written() for spec in kind.fields)}. Write its tools. action: get, list, create, delete "
        "(field empty), search, count, update (any field), adjust (adds to a number), latest (largest number or date). "
        "name: snake_case, beginning with the application. description: one or two sentences on what it does and "
        "returns."
        for kind in invented
    ]
    names: set[str] = set()
    for kind, items in zip(invented, _ask(client, asked, _TOOLS, seed + 2_000), strict=True):
        if items is None:
            evolved.refused.append(f"{kind.application} {kind.name}")
            continue
        own: dict[tuple[str, str | None], Tool] = {}
        for item in items:
            tool, problem = _tool(kind, item)
            if tool is None:
                evolved.left_out[f"tool: {problem}"] += 1
            elif tool.name in names or (tool.action, tool.field) in own:
                evolved.left_out["tool: twice"] += 1
            else:
                names.add(tool.name)
                own[tool.action, tool.field] = tool
        if ("get", None) not in own:
            evolved.left_out["kind: no tool shows a record"] += 1
            continue
        evolved.tools += own.values()
    return evolved


def _kind(domain: str, application: str, item: Mapping[str, Any]) -> tuple[Kind | None, str]:
    name = str(item.get("name", "")).strip().lower()
    if not NAME.fullmatch(name):
        return None, "name"
    fields: dict[str, Field] = {}
    texts = item.get("fields")
    for text in texts if isinstance(texts, list) else []:
        try:
            spec = Field.parse(str(text).strip().lower().replace(" ", "_"))
        except ValueError:
            return None, "field type"
        if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", spec.name) or spec.name in RESERVED:
            return None, "field name"
        if spec.type == "enum" and not all(re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text) for text in spec.values):
            return None, "field values"
        fields[spec.name] = spec
    if not 4 <= len(fields) <= 12 or not any(spec.type == "enum" for spec in fields.values()):
        return None, "too few fields, too many, or none with values to choose from"
    return Kind(domain, application, name, tuple(fields.values())), ""


def _tool(kind: Kind, item: Mapping[str, Any]) -> tuple[Tool | None, str]:
    action, name = ACTIONS.get(str(item.get("action", ""))), str(item.get("name", ""))
    description = " ".join(str(item.get("description", "")).split())
    if action is None:
        return None, "action"
    if not TOOL_NAME.fullmatch(name):
        return None, "name"
    if not 20 <= len(description) <= 400:
        return None, "description"
    if action in WITHOUT_FIELD:
        return Tool(name, kind, action, None, description), ""
    types = {spec.name: spec.type for spec in kind.fields}
    wanted = str(item.get("field", ""))
    if wanted not in types:
        return None, "field"
    fits = {"adjust": NUMBERS, "latest": NUMBERS | {"date"}}.get(action)
    if (fits is not None and types[wanted] not in fits) or (action in ("search", "count") and types[wanted] == "text"):
        return None, "the action does not fit the field"
    return Tool(name, kind, action, wanted, description), ""
