r"""Rules of llguidance's Lark for a schema of plain parts.

llguidance's own grammar of a schema has the members of an object in the order of their declaration, no exponents
within bounds and no escapes but those of control characters. A call with its members in another order, with `6.02e+23`
or with `caf\u00e9` is as right, so schemas that aren't joined of several (`allOf`, a choice or a reference beside other
keywords) get rules of their own. They allow all that llguidance's allow.
"""

import json
from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator

from k2model.inference.json_schema.flat import dumps
from k2model.inference.json_schema.schema import BOUNDS, FINITE, TYPES, Value, within_widest

# Separators as `json.dumps` writes them; white space is not the model's to choose.
STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
MAX_MEMBERS = 60  # each has a bit of the 64 of a rule's parameter
OF_NUMBERS = {*BOUNDS, "multipleOf", FINITE}
OF_STRINGS = {"minLength", "maxLength", "pattern"}
_HEX = "[0-9a-fA-F]"
_CONTROL = rf"\\u(00[01]{_HEX}|007[fF])"
_PLANE = rf"([0-9a-cefA-CEF]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}})"
_PAIR = rf"[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_SIGN = rf'([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|\\u({_PLANE}|{_PAIR}))'
# Beside declared keys: with all escapes another one could spell them in a second way.
_KEY = rf'/"([^"\\\x00-\x1f\x7f]|\\["\\bfnrt]|{_CONTROL})*"/'
# Finite whatever follows: at most 40 digits before the point, and an exponent of at most two.
_NUMBER = r"/-?(0|[1-9][0-9]{0,39})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?/"
_INTEGER = "/-?(0|[1-9][0-9]{0,17}|[1-8][0-9]{18}|9000000000000000000)/"  # within `schema.WIDEST`
_BELOW_1 = r"[1-9](\.[0-9]+)?[eE]-(0?[1-9]|[1-9][0-9])"
_FROM_1 = r"[1-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}"


class _NotPlainError(Exception):
    """A schema is joined of several, or an object has more members than its rule holds."""


def rules(schema: Value) -> str | None:
    """A Lark grammar of a schema as `Schema.held` gives it; None when it isn't of plain parts."""
    try:
        return _Rules(schema).text()
    except _NotPlainError:
        return None


class _Rules:
    """Methods give a name or literal that stands for a value, None where no value is allowed."""

    def __init__(self, schema: Value) -> None:
        self._root = schema
        self._defs: dict[str, Value] = schema.get("$defs", {}) if isinstance(schema, dict) else {}
        self._names: dict[str, str] = {}  # of rules and terminals by what they say
        self._referred: dict[str, str | None] = {}

    def text(self) -> str | None:
        start = self._value(self._root)
        lines = [f"{name}: {body}" for body, name in self._names.items()]
        lines += [f"{self._of_reference(name)}: {inner}" for name, inner in self._referred.items()]
        return None if start is None else "\n".join([f"start: {start}", *lines])

    def _named(self, body: str, *, terminal: bool = False) -> str:
        return self._names.setdefault(body, f"{'T' if terminal else 'r'}{len(self._names)}")

    def _either(self, ways: Sequence[str | None]) -> str | None:
        names = list(dict.fromkeys(way for way in ways if way is not None))
        return self._named(" | ".join(names)) if names else None

    def _value(self, schema: Value) -> str | None:
        if schema is False:
            return None
        keywords = set() if schema is True else schema.keys() - {"$defs"}
        if isinstance(schema, bool) or not keywords:
            return self._reference("anything")
        if keywords & {"enum", "const"}:
            return self._constants(schema)
        if keywords & {"$ref", "anyOf"} and len(keywords) > 1:
            raise _NotPlainError
        if "$ref" in keywords:
            return self._reference(schema["$ref"].rpartition("/")[2])
        if "anyOf" in keywords:
            return self._either([self._value(inner) for inner in schema["anyOf"]])
        names = schema.get("type", TYPES)
        return self._types(schema, [names] if isinstance(names, str) else names)

    def _reference(self, name: str) -> str:
        if name not in self._defs:
            raise _NotPlainError
        if name not in self._referred:
            self._referred[name] = None  # until it is read: it may refer to itself
            self._referred[name] = self._value(self._defs[name])
            if self._referred[name] is None:
                raise _NotPlainError
        return self._of_reference(name)

    def _of_reference(self, name: str) -> str:
        return f"d{list(self._defs).index(name)}"

    def _constants(self, schema: dict[str, Any]) -> str | None:
        validator = Draft202012Validator({"$defs": self._defs, **schema})
        values = schema.get("enum", [schema.get("const")])
        return self._either([self._literal(dumps(value)) for value in values if validator.is_valid(value)])

    @staticmethod
    def _literal(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    def _types(self, schema: dict[str, Any], names: Sequence[str]) -> str | None:
        nested = {"object", "array"} & set(names)
        if "patternProperties" in schema or "prefixItems" in schema or ("allOf" in schema and nested):
            raise _NotPlainError
        if {"minProperties", "maxProperties"} & schema.keys() and "object" in names:
            raise _NotPlainError
        ways = [self._scalars(schema, [name for name in names if name not in nested])]
        ways += [self._object(schema)] if "object" in nested else []
        ways += [self._array(schema)] if "array" in nested else []
        return self._either(ways)

    # Scalars.

    def _scalars(self, schema: dict[str, Any], names: Sequence[str]) -> str | None:
        if "allOf" in schema:
            return self._of_schema(schema, names, set(schema))
        ways: list[str | None] = [self._literal("null")] if "null" in names else []
        ways += [self._literal("true"), self._literal("false")] if "boolean" in names else []
        if "string" in names:
            ways.append(self._string(schema))
        if "number" in names or "integer" in names:
            ways += self._numbers(schema, "number" if "number" in names else "integer")
        return self._either(ways)

    def _of_schema(self, schema: dict[str, Any], names: Sequence[str], keywords: set[str]) -> str:
        """As llguidance has it."""
        own = {keyword: schema[keyword] for keyword in schema if keyword in keywords} | {"type": list(names)}
        if "$ref" in (text := json.dumps(within_widest(own) | {"x-guidance": STYLE})):
            raise _NotPlainError
        return self._named(f"%json {text}")

    def _string(self, schema: dict[str, Any]) -> str | None:
        if "pattern" in schema:
            return self._of_schema(schema, ["string"], OF_STRINGS)
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if most is not None and least > most:
            return None
        return self._named(f'/"{_SIGN}{_times(least, most)}"/', terminal=True)

    def _numbers(self, schema: dict[str, Any], kind: str) -> list[str]:
        keywords = OF_NUMBERS & schema.keys()
        if keywords <= {FINITE}:
            return [self._named(_NUMBER if kind == "number" else _INTEGER, terminal=True)]
        plain = self._of_schema(schema, [kind], OF_NUMBERS)
        if kind == "integer" or "multipleOf" in keywords or FINITE not in keywords:
            return [plain]
        # Exponents where every number that can be written so is within the bounds.
        inf = float("inf")
        low, above = schema.get("minimum", -inf), schema.get("exclusiveMinimum", -inf)
        high, below = schema.get("maximum", inf), schema.get("exclusiveMaximum", inf)
        exponents = [_BELOW_1] if max(low, above) <= 0 and min(high, below) >= 1 else []
        exponents += [_FROM_1] if low <= 1 and above < 1 and high == below == inf else []
        exponents += [f"-{_BELOW_1}"] if max(low, above) <= -1 and min(high, below) >= 0 else []
        exponents += [f"-{_FROM_1}"] if high >= -1 and below > -1 and low == above == -inf else []
        return [plain, *(self._named(f"/{exponent}/", terminal=True) for exponent in exponents)]

    # Objects and arrays.

    def _object(self, schema: dict[str, Any]) -> str | None:
        declared = schema.get("properties", {})
        required = list(dict.fromkeys(schema.get("required", ())))
        other = self._value(schema.get("additionalProperties", True))
        inner = {key: self._value(value) for key, value in declared.items()}
        inner |= {key: other for key in required if key not in declared}
        if len(inner) > MAX_MEMBERS:
            raise _NotPlainError
        if any(inner[key] is None for key in required):
            return None
        members = {key: inner[key] for key in (*required, *inner) if inner[key] is not None}
        name = f"o{len(self._names)}"
        ways = [
            f"{self._literal(dumps(key) + ': ')} {value} {name}t::set_bit({bit}) %if bit_clear({bit})"
            for bit, (key, value) in enumerate(members.items())
        ]
        if other is not None:
            ways.append(f"{self._undeclared(list(inner))} {self._literal(': ')} {other} {name}t::_")
        if not ways:
            return self._named('"{" "}"')
        more = f" %if not(is_ones([0:{len(members)}]))" if other is None else ""
        whole = f" %if is_ones([0:{len(required)}])" if required else ""
        self._names[" | ".join(ways)] = f"{name}m::_"
        self._names[f'"}}"{whole} | ", " {name}m::_{more}'] = f"{name}t::_"
        return self._named(f'"{{" {name}m::0x0' + ("" if required else ' | "{" "}"'))

    def _undeclared(self, keys: list[str]) -> str:
        if not keys:
            return self._named(f'/"{_SIGN}*"/', terminal=True)
        declared = " | ".join(self._literal(dumps(name)) for name in keys)
        return self._named(f"{self._named(_KEY, terminal=True)} & ~({declared})", terminal=True)

    def _array(self, schema: dict[str, Any]) -> str | None:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        item = self._value(schema.get("items", True)) if most != 0 else None
        if (item is None and least) or (most is not None and least > most):
            return None
        empty = [] if least else [self._named('"[" "]"')]
        if item is None:
            return self._either(empty)
        times = _times(max(least - 1, 0), None if most is None else most - 1)
        return self._either([*empty, self._named(f'"[" {item} (", " {item}){times} "]"')])


def _times(least: int, most: int | None) -> str:
    if most is None:
        return f"{{{least},}}" if least else "*"
    return f"{{{least},{most}}}"
