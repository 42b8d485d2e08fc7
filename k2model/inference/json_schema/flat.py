"""What schemas that hold together say of a value's type, of its members and their order, and of its items."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from k2model.inference.json_schema.patterns import compiled, shortest_rest
from k2model.inference.json_schema.schema import Value

ALL_TYPES = frozenset({"null", "boolean", "integer", "fraction", "string", "array", "object"})
Conjunction = tuple[Value, ...]  # schemas that hold together
Flat = tuple[dict[str, Any], ...]  # the same without references and choices


def types(flat: Flat) -> frozenset[str]:
    """The types that are left; `fraction` is a number that is no integer."""
    types = ALL_TYPES
    for schema in flat:
        if "type" in schema:
            names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            types &= {*names, *(("integer", "fraction") if "number" in names else ())}
    return types


def declared_keys(flat: Flat) -> list[str]:
    """Properties in the order in which a grammar has them."""
    return list(dict.fromkeys(key for schema in flat for key in schema.get("properties", ())))


def required_keys(flat: Flat) -> list[str]:
    return list(dict.fromkeys(key for schema in flat for key in schema.get("required", ())))


def next_keys(flat: Flat, used: tuple[str, ...], *, any_order: bool) -> tuple[list[str], bool]:
    """(keys that may come next in an object, whether undeclared ones may); in order, none passes by a required one."""
    declared, required = declared_keys(flat), required_keys(flat)
    if any_order:
        return [key for key in dict.fromkeys([*declared, *required]) if key not in used], True
    passed = max((index for index, key in enumerate(declared) if key in used), default=-1)
    keys: list[str] = []
    if not any(key not in declared for key in used):
        for key in declared[passed + 1 :]:
            keys.append(key)
            if key in required:
                return keys, False
    undeclared = [key for key in required if key not in declared and key not in used]
    return [*keys, *undeclared[:1]], not undeclared


def in_order(flat: Flat, keys: Sequence[str]) -> bool:
    """True for keys in an order that a grammar allows."""
    declared = declared_keys(flat)
    for index, key in enumerate(keys):
        allowed, free = next_keys(flat, tuple(keys[:index]), any_order=False)
        if key not in allowed and (key in declared or not free):
            return False
    return True


def free_keys(flat: Flat, used: tuple[str, ...], begun: str = "") -> Iterator[str]:
    """Undeclared keys that are allowed and go on from a begun one: short ones, and the shortest of each pattern."""
    patterns = [pattern for schema in flat for pattern in schema.get("patternProperties", ())]
    ends = [shortest_rest([compiled(pattern)], begun, 0, None) for pattern in patterns]
    names = [begun + end for end in [*ends, "", *"abcdefghijklmnopqrstuvwxyz"] if end is not None]
    names += [f"{begun}{number}" for number in range(len(used) + 1)]
    taken = {*used, *declared_keys(flat)}
    for name in dict.fromkeys(names):
        if name not in taken and False not in member_schemas(flat, name):
            yield name


def member_schemas(flat: Flat, key: str) -> Conjunction:
    schemas: list[Value] = []
    for schema in flat:
        own = [schema["properties"][key]] if key in schema.get("properties", ()) else []
        own += [
            inner for pattern, inner in schema.get("patternProperties", {}).items() if compiled(pattern).matches(key)
        ]
        schemas += own or ([schema["additionalProperties"]] if "additionalProperties" in schema else [])
    return tuple(schemas)


def item_schemas(flat: Flat, index: int) -> Conjunction:
    schemas: list[Value] = []
    for schema in flat:
        prefix = schema.get("prefixItems", ())
        if index < len(prefix):
            schemas.append(prefix[index])
        elif "items" in schema:
            schemas.append(schema["items"])
    return tuple(schemas)


def dumps(value: Any) -> str:
    """JSON as grammars have it: a number without fraction is written as an integer."""
    return json.dumps(_without_fraction(value), ensure_ascii=False)


def _without_fraction(value: Any) -> Any:
    if isinstance(value, float) and value == int(value):
        return int(value)
    if isinstance(value, dict):
        return {key: _without_fraction(inner) for key, inner in value.items()}
    return [_without_fraction(inner) for inner in value] if isinstance(value, list) else value
