"""Values that a JSON Schema allows, plausible by the names of fields: arguments of calls and leaves of results."""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from random import Random
from typing import Any

from agents.requests.values import NAMED, SHAPES, round_int, round_number, words
from agents.tools.everyday import pools

Schema = Mapping[str, Any]
DEPTH = 6  # of references that lead to themselves
MOST_ITEMS = 3
DESCRIBED = 56  # characters of a parameter's description
COUNTED = {"year": (1960, 2028), "month": (1, 12), "day": (1, 28), "hour": (0, 23), "minute": (0, 59), "axis": (0, 2)}
FORMATS = {"date-time": "timestamp", "date": "date", "time": "clock", "email": "email", "uri": "url", "url": "url"}
FORMATS |= {"uuid": "uuid", "ipv4": "ip", "hostname": "hostname"}
RESOURCE = re.compile(r"\b(?:\w+/(?:\{\w+\}|\*|\[\w+\])/?)+")  # projects/{project}/locations/*
AMOUNT = frozenset("gb mb kb bytes size count total amount quantity percent seconds minutes days hours limit".split())
NO_VALUE = re.compile(r"token|marker|cursor|dryrun|dry_run", re.I)  # optional, and nothing that people say
BAD = re.compile(r"unspecified|unknown|fail|error|invalid|delet", re.I)  # values that are taken only without others
STATES = ["active", "pending", "ready", "running", "enabled", "completed"]
REGIONS = ["eu-west-1", "us-east-1", "ap-south-1", "eu-central-1", "sa-east-1"]
_parse = import_module("re._parser").parse  # what `re` compiles from; it has no public name
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def inline(schema: Schema, root: Schema | None = None, depth: int = DEPTH) -> dict[str, Any]:
    """The schema without references, unions and alternatives: of each the first case that is no null."""
    root = schema if root is None else root
    if depth < 0:
        return {"type": "object"}
    plain = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf", "$schema")}
    parts = [_target(root, schema["$ref"])] if "$ref" in schema else []
    parts += schema.get("allOf", ())
    for key in ("anyOf", "oneOf"):
        cases = [case for case in schema.get(key, ()) if case.get("type") != "null"]
        parts += cases[:1]
    for part in parts:
        merged = inline(part, root, depth - 1)
        properties = {**merged.get("properties", {}), **plain.get("properties", {})}
        required = [*merged.get("required", ()), *plain.get("required", ())]
        plain = merged | plain | ({"properties": properties, "required": required} if properties else {})
    if isinstance(plain.get("type"), list):
        plain["type"] = next((kind for kind in plain["type"] if kind != "null"), "string")
    plain.setdefault("type", _kind(plain))
    if plain["type"] == "object":
        properties = plain.get("properties") or {}
        plain["properties"] = {name: inline(own, root, depth - 1) for name, own in properties.items()}
        plain["required"] = [name for name in plain.get("required") or () if name in properties]
    elif plain["type"] == "array":
        items = plain.get("items")
        plain["items"] = inline(items, root, depth - 1) if isinstance(items, Mapping) else {"type": "string"}
    return {key: value for key, value in plain.items() if key not in ("$defs", "definitions")}


def _target(root: Schema, reference: str) -> Schema:
    """Of a reference within the schema, `#/$defs/Name`."""
    target: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")] if part else target
    return target  # type: ignore[no-any-return]


def _kind(schema: Schema) -> str:
    if "properties" in schema:
        return "object"
    if "items" in schema:
        return "array"
    values = [schema["const"]] if "const" in schema else list(schema.get("enum") or [])
    for kind, types in KINDS.items():
        if values and isinstance(values[0], types) and (kind == "boolean" or not isinstance(values[0], bool)):
            return kind
    return "string"


def pruned(schema: Schema, most_enum: int, most_optional: int, depth: int = 3) -> dict[str, Any]:
    """What a conversation declares of an inlined schema: all that is required, and a little of the rest."""
    kept = {
        key: schema[key]
        for key in ("type", "description", "default", "const", "minimum", "maximum", "exclusiveMinimum", "pattern")
        if key in schema
    }
    kept |= {key: schema[key] for key in ("format", "minLength", "maxLength", "minItems", "maxItems") if key in schema}
    if len(text := str(schema.get("description", ""))) > DESCRIBED:
        kept["description"] = text[:DESCRIBED].rpartition(" ")[0] + " …"
    if schema.get("enum"):
        kept["enum"] = list(schema["enum"])[:most_enum]
        kept.pop("default", None)
    if schema["type"] == "array":
        kept["items"] = pruned(schema["items"], most_enum, most_optional, depth - 1)
        kept["items"].pop("description", None)
    if schema["type"] == "object" and schema.get("properties"):
        required = schema["required"]
        optional = [name for name in schema["properties"] if name not in required and not NO_VALUE.search(name)]
        optional = optional[: most_optional if depth > 1 else 0]
        kept["properties"] = {
            name: pruned(own, most_enum, most_optional - 1, depth - 1)
            for name, own in schema["properties"].items()
            if name in required or name in optional
        }
        if required:
            kept["required"] = list(required)
    return kept


def fits(value: Any, schema: Schema) -> bool:
    """Whether a scalar is one that the schema allows, as far as types, enums, bounds and patterns go."""
    kind = schema.get("type", "string")
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if schema.get("enum") and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        long = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30)
        return long and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
    return not isinstance(value, (int, float)) or (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
    )


def draw_by_schema(name: str, schema: Schema, rng: Random) -> Any:
    """A plausible value of a declared parameter or field, by its name, its schema and its description."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        good = [value for value in schema["enum"] if value and not BAD.search(str(value))]
        return rng.choice(good or list(schema["enum"]))
    kind = schema.get("type", "string")
    if kind == "array":
        return _array(name, schema, rng)
    if kind == "object":
        return _object(schema, rng)
    if kind in ("integer", "number"):
        return _number(name, schema, kind, rng)
    if kind == "boolean":
        return rng.random() < 0.6
    return _string(name, schema, rng)


def _array(name: str, schema: Schema, rng: Random) -> list[Any]:
    items = schema.get("items") or {"type": "string"}
    numeric = items.get("type") in ("integer", "number")
    if items.get("type") == "array":  # a matrix has rows of one length
        length = rng.randint(2, 3)
        items = {**items, "minItems": length, "maxItems": length}
    low = max(schema.get("minItems", 0), 2 if numeric else 1)
    high = max(min(schema.get("maxItems", 6), 6 if numeric else MOST_ITEMS), schema.get("minItems", 0))
    drawn = [draw_by_schema(name.removesuffix("s"), items, rng) for _ in range(rng.randint(min(low, high), high))]
    if numeric or items.get("type") in ("array", "object"):
        return drawn
    distinct = list(dict.fromkeys(drawn))
    return distinct if len(distinct) >= schema.get("minItems", 0) else drawn


def _object(schema: Schema, rng: Random) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    if not properties:
        free = schema.get("additionalProperties", True)
        values = inline(free) if isinstance(free, Mapping) and free else {"type": "string"}
        key = rng.choice(pools()["tag"])
        return {key: draw_by_schema(key, values, rng)} if free is not False else {}
    required = schema.get("required") or ()
    chosen = [name for name in properties if name in required or rng.random() < 0.3]
    return {name: draw_by_schema(name, properties[name], rng) for name in chosen or [next(iter(properties))]}


def _number(name: str, schema: Schema, kind: str, rng: Random) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else low
    high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else high
    if kind == "integer":
        step = int(schema.get("multipleOf", 1))
        for ending, (least, most) in COUNTED.items():
            if words(name).endswith(ending) and low is None and high is None:
                return rng.randint(least, most)
        low = 1 if low is None else low
        high = max(low, rng.choice([12, 60, 1000, 50000])) if high is None else high
        value = round_int(int(low), int(high), rng)
        return value if step == 1 else max(-(-int(low) // step), value // step) * step
    low = 0 if low is None else low
    return round_number(float(low), float(max(low, rng.choice([1, 10, 100, 1000])) if high is None else high), rng)


def _string(name: str, schema: Schema, rng: Random) -> str:
    value = _named(name, schema, rng)
    if fits(value, schema):
        return value
    if "pattern" in schema:
        candidates = [SHAPES[shape](rng) for shape in SHAPES] + [_sampled(_parse(schema["pattern"]), rng)]
        return next((each for each in candidates if fits(each, schema)), candidates[-1])
    while len(value) < schema.get("minLength", 0):
        value += f"-{SHAPES['slug'](rng)}"
    return value[: schema.get("maxLength", len(value))]


def _named(name: str, schema: Schema, rng: Random) -> str:
    description = str(schema.get("description", ""))
    if shape := FORMATS.get(str(schema.get("format"))):
        return SHAPES[shape](rng)
    if resource := RESOURCE.search(description):
        return _resource(resource[0], rng)
    if "YYYY-MM-DD" in description:
        return SHAPES["date"](rng)
    if "ISO 8601" in description or "RFC 3339" in description or re.search(r"[a-z](?:Time|At|Date)$", name):
        return SHAPES["timestamp"](rng)
    named = words(name).split()
    for word in reversed(named):
        for known in (word, word.removesuffix("s")):
            if known in NAMED:
                return SHAPES[NAMED[known]](rng)
            if known in AMOUNT:
                return str(round_int(1, 900, rng))
            if known in ("status", "state", "phase"):
                return rng.choice(STATES)
            if known in ("region", "location", "zone") and word == named[-1]:
                return rng.choice(REGIONS)
            if known in pools():
                return rng.choice(pools()[known])
    if named and named[-1] in ("name", "number", "reference"):
        return SHAPES["slug" if named[-1] == "name" else "id"](rng)
    return SHAPES["slug"](rng) if rng.random() < 0.6 else rng.choice(pools()[rng.choice(["tag", "title", "topic"])])


def _resource(form: str, rng: Random) -> str:
    """A name in the form that a description gives: `projects/{project}/topics/*` → `projects/blue-21/topics/news-4`."""
    filled = [
        part if not re.match(r"[{*\[]", part) else rng.choice(REGIONS) if before == "locations" else SHAPES["slug"](rng)
        for before, part in zip(["", *form.split("/")], form.strip("/").split("/"), strict=False)
    ]
    return "/".join(filled)


def _sampled(parsed: Sequence[Any], rng: Random) -> str:
    """A string that a parsed pattern matches; what it says about its surroundings is not looked at."""
    text = ""
    for operation, value in parsed:
        match str(operation):
            case "LITERAL":
                text += chr(value)
            case "ANY" | "NOT_LITERAL":
                text += rng.choice("abcdefghkm")
            case "IN":
                text += rng.choice(_members(value))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = value
                times = rng.randint(low, min(int(high), max(low, 6)))
                text += "".join(_sampled(inner, rng) for _ in range(times))
            case "SUBPATTERN":
                text += _sampled(value[-1], rng)
            case "BRANCH":
                text += _sampled(rng.choice(value[1]), rng)
    return text


def _members(members: Sequence[Any]) -> str:
    """Letters of a set; of a negated one, those that it does not name."""
    allowed = ""
    for operation, value in members:
        match str(operation):
            case "LITERAL":
                allowed += chr(value)
            case "RANGE":
                allowed += "".join(map(chr, range(value[0], min(value[1], value[0] + 60) + 1)))
            case "CATEGORY":
                allowed += {"CATEGORY_DIGIT": "0123456789", "CATEGORY_SPACE": " "}.get(str(value), "abcdefghk")
    if str(members[0][0]) == "NEGATE":
        return "".join(letter for letter in "abcdefghkmnprstuvwx0123456789" if letter not in allowed) or "_"
    return allowed or "a"
