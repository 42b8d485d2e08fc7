"""Hierarchical evolution of synthetic tools: domain → application → kind → tool (K2 report §3.1.1).

Every kind has fields of its domain; every operation that makes sense on a field becomes a tool with its own interface,
description and semantics. Wording comes from a grammar; the data card says so.
"""

import hashlib
from collections.abc import Iterator

from agents.tools.nouns import DOMAINS, FIELDS
from agents.tools.spec import Action, Field, Kind, Tool

FIELDS_PER_KIND = 8


def _pick(key: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % count


def kinds() -> list[Kind]:
    """Every kind of every application, in a fixed order."""
    all_kinds = []
    for domain, text in DOMAINS.items():
        pool = [Field.parse(part) for part in FIELDS[domain].replace("\n", " ").split(", ")]
        for line in text.splitlines():
            application, names = line.split(": ")
            for name in names.split(", "):
                left_out = 1 + _pick(f"{application}/{name}", len(pool) - 1)  # the status always stays
                fields = tuple(field for index, field in enumerate(pool) if index != left_out)[:FIELDS_PER_KIND]
                all_kinds.append(Kind(domain, application, name, fields))
    return all_kinds


VERBS: dict[Action, tuple[str, ...]] = {
    "get": ("get", "show", "read"),
    "list": ("list", "all"),
    "search": ("find", "search", "lookup"),
    "count": ("count",),
    "create": ("create", "add", "register"),
    "update": ("set", "update", "change"),
    "adjust": ("adjust", "shift"),
    "delete": ("delete", "remove", "discard"),
    "latest": ("latest", "newest"),
}


def _name(kind: Kind, action: Action, field: str | None) -> str:
    """Applications have their own verb and order of words, as real interfaces do."""
    verb = VERBS[action][_pick(f"{kind.application}/{action}", len(VERBS[action]))]
    joint = {"search": "by", "count": "by", "latest": "by"}.get(action)
    middle = [] if field is None else [joint, field] if joint else [field]
    if _pick(f"order/{kind.application}", 2):
        words = [kind.application, kind.slug, verb, *middle]
    else:
        words = [kind.application, verb, kind.slug, *middle]
    return "_".join(word for word in words if word)


def _description(kind: Kind, action: Action, field: str | None) -> str:
    of = f"{kind.name} of the {kind.application.replace('_', ' ')} application"
    spoken = (field or "").replace("_", " ")
    return {
        "get": f"Returns one {of} with all its fields. Read only; an unknown id is an error.",
        "list": f"Lists the ids of every {of}. Read only.",
        "search": f"Finds every {of} whose {spoken} equals the given value and returns their ids, "
        "possibly none. Read only.",
        "count": f"Counts each {of} whose {spoken} equals the given value. Read only.",
        "create": f"Creates a new {of} and returns it with its new id.",
        "update": f"Sets the {spoken} of one {of} and returns the changed record; other fields stay.",
        "adjust": f"Adds a number to the {spoken} of one {of}; the result can't be below zero.",
        "delete": f"Deletes one {of}. It can't be undone.",
        "latest": f"Returns the {of} with the largest {spoken}. Read only.",
    }[action]


def tools_of(kind: Kind) -> Iterator[Tool]:
    """Every tool of a kind, in a fixed order."""

    def make(action: Action, field: str | None = None) -> Tool:
        return Tool(_name(kind, action, field), kind, action, field, _description(kind, action, field))

    yield make("get")
    yield make("list")
    yield make("create")
    yield make("delete")
    for field in kind.fields:
        if field.type != "text":
            yield make("search", field.name)
            yield make("count", field.name)
        yield make("update", field.name)
        if field.type in ("int", "money"):
            yield make("adjust", field.name)
        if field.type in ("int", "money", "date"):
            yield make("latest", field.name)


def evolve() -> list[Tool]:
    """The whole tree of synthetic tools, over 20,000."""
    return [tool for kind in kinds() for tool in tools_of(kind)]
