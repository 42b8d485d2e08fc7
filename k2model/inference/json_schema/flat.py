"""What schemas that hold together say of a value's type and of the order of its members."""

import json
from collections.abc import Sequence
from typing import Any

ALL_TYPES = frozenset({"null", "boolean", "integer", "fraction", "string", "array", "object"})
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


def dumps(value: Any) -> str:
    """JSON as grammars have it: a number without fraction is written as an integer."""
    return json.dumps(_without_fraction(value), ensure_ascii=False)


def _without_fraction(value: Any) -> Any:
    if isinstance(value, float) and value == int(value):
        return int(value)
    if isinstance(value, dict):
        return {key: _without_fraction(inner) for key, inner in value.items()}
    return [_without_fraction(inner) for inner in value] if isinstance(value, list) else value
