"""JSON schemas as they come, as a validator reads them, and the part of them that a grammar can hold.

Tools bring schemas of every draft, with mistakes. `Schema` reads one into 2020-12 (`whole`), leaving out what means
nothing, and takes from that what a grammar holds while the model writes (`held`). What is left (`unheld`) is checked on
the whole value afterwards.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from k2model.inference.json_schema.patterns import compiled
from k2model.inference.json_schema.regex_syntax import PatternError
from k2model.inference.json_schema.string_formats import FORMATS

MAX_DEPTH = 48
PATTERN_S = 1.0  # for one text against one pattern
MAX_NUMBER = 10**15  # of a bound that a grammar holds exactly
# Marks the numbers of a held schema that must be finite. llguidance's grammars of bounds have no exponents, which could
# make one that isn't; `rules` has exponents that can't.
FINITE = "x-finite"
WIDEST = {"minimum": -9 * 10**18, "maximum": 9 * 10**18}
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
ONE = (
    *("additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "dependentSchemas")
HELD = (
    *("type", "enum", "const", *BOUNDS, *COUNTS[:6], "multipleOf", "pattern", "properties", "required"),
    *("additionalProperties", "patternProperties", "prefixItems", "items"),
)
# What is given up, step by step, when a grammar can't be made or has no end.
LEVELS: tuple[tuple[str, ...], ...] = (
    (),
    ("widest",),
    ("widest", *COUNTS[4:6]),
    ("widest", *COUNTS[4:6], "patternProperties", "siblings"),
    ("widest", *COUNTS[:6], *BOUNDS, "patternProperties", "siblings", "multipleOf", "pattern", "format"),
)
ANYTHING: dict[str, Any] = {"$ref": "#/$defs/anything"}
ANY_VALUE = {"type": [*TYPES[:2], *TYPES[3:]], FINITE: True, "items": ANYTHING, "additionalProperties": ANYTHING}
FORMAT_CHECKER = Draft202012Validator.FORMAT_CHECKER
Value = dict[str, Any] | bool


class Schema:
    """One schema, read.

    Attributes:
        whole: 2020-12, with references into its own `$defs` alone.
        ignored: places and keywords that mean nothing and are checked by nobody, e.g. `/properties/a/type`.
    """

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._defs: dict[str, Value] = {}
        self._names: dict[str, str] = {}
        self.ignored: list[str] = []
        whole = self._read(schema, "", 0)
        self.whole: Value = whole | {"$defs": self._defs} if isinstance(whole, dict) and self._defs else whole

    def problem(self, value: Any) -> str | None:
        """What of the schema a value breaks, in one line; None for a valid one."""
        try:
            error = best_match(_Validator(self.whole, format_checker=FORMAT_CHECKER).iter_errors(value))
        except RecursionError:
            return "the schema refers to itself without end"
        except TimeoutError:
            return f"a pattern of the schema takes more than {PATTERN_S:g} s to check"
        if error is None:
            return None
        path = "".join(f"[{part!r}]" for part in error.absolute_path)
        return f"{path or 'the value'}: {error.message}"[:300]

    def held(self, level: int = 0) -> tuple[Value, list[str]]:
        """(what a grammar holds, places of the keywords that it doesn't); a higher level of `LEVELS` holds less."""
        unheld: list[str] = []
        defs = {name: _held(schema, f"/$defs/{name}", level, unheld) for name, schema in self._defs.items()}
        whole = {k: v for k, v in self.whole.items() if k != "$defs"} if isinstance(self.whole, dict) else self.whole
        root = _held(whole, "", level, unheld)
        if isinstance(root, dict):
            root = root | {"$defs": {"anything": ANY_VALUE, **defs}}
        return root, sorted(set(unheld))

    def _read(self, schema: Any, path: str, depth: int) -> Value:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            self.ignored.append(path or "/")
            return True
        read: dict[str, Any] = {}
        for keyword, value in _modern(schema).items():
            here = f"{path}/{keyword}"
            if keyword in ONE:
                read[keyword] = self._read(value, here, depth + 1)
            elif keyword in NAMED and isinstance(value, Mapping):
                read[keyword] = {
                    str(name): self._read(inner, f"{here}/{name}", depth + 1)
                    for name, inner in value.items()
                    if keyword != "patternProperties" or self._is_pattern(str(name), here)
                }
                if keyword == "patternProperties" and len(read[keyword]) < len(value):
                    read["additionalProperties"] = True  # what the lost pattern allowed
            elif keyword in MANY and isinstance(value, list) and value:
                read[keyword] = [self._read(inner, f"{here}/{k}", depth + 1) for k, inner in enumerate(value)]
            elif keyword == "$ref":
                target = self._reference(value, depth)
                if target is not None:
                    read["$ref"] = target
                else:
                    self.ignored.append(here)
            elif keyword == "pattern":
                if self._is_pattern(value, here):
                    read[keyword] = value
            elif keyword in CHECKS:
                if CHECKS[keyword](value):
                    read[keyword] = value
                else:
                    self.ignored.append(here)
            elif keyword in NAMED or keyword in MANY:
                self.ignored.append(here)
        if "patternProperties" in read and read.get("additionalProperties") is True:
            del read["additionalProperties"]
        return read

    def _is_pattern(self, value: Any, path: str) -> bool:
        try:
            _matcher(value)
        except (ValueError, re.error, regex.error, TypeError, OverflowError, RecursionError):  # all that both raise
            self.ignored.append(path)
            return False
        return True

    def _reference(self, reference: Any, depth: int) -> str | None:
        if not isinstance(reference, str):
            return None
        if reference not in self._names:
            target = self._target(reference)
            if target is None:
                return None
            self._names[reference] = name = f"r{len(self._names)}"
            self._defs[name] = True  # until it is read: it may refer to itself
            self._defs[name] = self._read(target, f"/{reference}", depth + 1)
        return f"#/$defs/{self._names[reference]}"

    def _target(self, reference: str) -> Any:
        """What a reference inside the schema points to; None when there is nothing."""
        root = self._root
        before, _, fragment = reference.partition("#")
        if before and before != str(root.get("$id", root.get("id", ""))).rstrip("#"):
            return None
        if fragment and not fragment.startswith("/"):
            return next((inner for inner in _dicts(root) if inner.get("$anchor") == fragment), None)
        for part in fragment.split("/")[1:]:
            part = _unquoted(part)
            if isinstance(root, Mapping) and part in root:
                root = root[part]
            elif isinstance(root, list) and part.isdecimal() and len(part) < 10 and int(part) < len(root):
                root = root[int(part)]
            else:
                return None
        return root if isinstance(root, Mapping | bool) else None


def _modern(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of older drafts as 2020-12 has them."""
    new = dict(schema)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(new.get(exclusive), bool) and new.pop(exclusive) and bound in new:
            new[exclusive] = new.pop(bound)
    if isinstance(new.get("items"), list):
        new["prefixItems"] = new.pop("items")
        if "additionalItems" in new:
            new["items"] = new.pop("additionalItems")
    if isinstance(new.get("dependencies"), Mapping):
        for name, needs in new.pop("dependencies").items():
            kind = "dependentRequired" if isinstance(needs, list) else "dependentSchemas"
            before = new.get(kind)
            new[kind] = {**(before if isinstance(before, Mapping) else {}), name: needs}
    for old in ("$recursiveRef", "$dynamicRef"):
        if old in new and "$ref" not in new:
            new["$ref"] = new.pop(old)
    if new.get("additionalProperties", True) is None:
        del new["additionalProperties"]
    return new


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


CHECKS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda value: True,
    "format": lambda value: isinstance(value, str),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "required": _is_names,
    "uniqueItems": lambda value: isinstance(value, bool),
    "dependentRequired": lambda value: isinstance(value, Mapping) and all(map(_is_names, value.values())),
    **dict.fromkeys(COUNTS, _is_count),
    **dict.fromkeys(BOUNDS, _is_number),
}


def _held(schema: Value, path: str, level: int, unheld: list[str], *, part: bool = False) -> Value:
    """What a grammar holds of a schema; a `part` stands beside others that hold too."""
    if isinstance(schema, bool):
        return dict(ANYTHING) if schema and not part else schema
    dropped = LEVELS[level]
    held: dict[str, Any] = {}
    conjuncts: list[Value] = []
    for keyword, value in schema.items():
        here = f"{path}/{keyword}"
        if keyword in dropped or not _holds(keyword, value, schema):
            if keyword in ("allOf", "anyOf", "oneOf", "$ref", "format"):
                pass  # below
            elif (keyword, value) != ("uniqueItems", False):
                unheld.append(here)
        elif keyword in ("items", "additionalProperties"):
            held[keyword] = _held(value, here, level, unheld)
        elif keyword in ("properties", "patternProperties"):
            held[keyword] = {name: _held(inner, f"{here}/{name}", level, unheld) for name, inner in value.items()}
        elif keyword == "prefixItems":
            held[keyword] = [_held(inner, f"{here}/{k}", level, unheld) for k, inner in enumerate(value)]
        elif keyword in COUNTS:
            held[keyword] = int(value)
        else:
            held[keyword] = value
    if "patternProperties" in schema and "patternProperties" not in held and "additionalProperties" in held:
        del held["additionalProperties"]  # what the pattern allows
        unheld.append(f"{path}/additionalProperties")
    if "format" in schema:
        if schema["format"] in FORMATS and "format" not in dropped:
            conjuncts.append({"pattern": FORMATS[schema["format"]]})
        elif schema["format"] in FORMAT_CHECKER.checkers:
            unheld.append(f"{path}/format")
    # One part alone says what is left open: grammars don't join two recursive ones.
    beside = bool(held or conjuncts or "$ref" in schema or len(schema.keys() & {"allOf", "anyOf", "oneOf"}) > 1)
    several = beside or len(schema.get("allOf", ())) > 1

    def inner(kind: str, part: bool) -> list[Value]:
        return [_held(each, f"{path}/{kind}/{k}", level, unheld, part=part) for k, each in enumerate(schema[kind])]

    conjuncts += inner("allOf", several) if "allOf" in schema else []
    choices = [inner(kind, beside) for kind in ("anyOf", "oneOf") if kind in schema]
    unheld += [f"{path}/oneOf"] if "oneOf" in schema else []
    conjuncts += [{"anyOf": choice} for choice in choices[1:]]
    if not (part or "widest" in dropped or "$ref" in schema) and (held or not (conjuncts or choices)):
        _widen(held)
    # The order in which a grammar joins properties: own, referred, all of, any of.
    if "$ref" in schema:
        if "siblings" in dropped and (held or conjuncts or choices):
            unheld.append(path or "/")
            return {"$ref": schema["$ref"]}
        held["$ref"] = schema["$ref"]
    if conjuncts:
        held["allOf"] = conjuncts
    if choices:
        held["anyOf"] = choices[0]
    return held


def _widen(held: dict[str, Any]) -> None:
    """Says of what a schema leaves open that it is any value with finite numbers."""
    if held.keys() & {"enum", "const"}:
        return
    names = held.get("type", TYPES)
    if {"integer", "number"} & {*([names] if isinstance(names, str) else names)}:
        held[FINITE] = True
    if "array" in names:
        held.setdefault("items", ANYTHING)
    if "object" in names:
        held.setdefault("additionalProperties", ANYTHING)


def within_widest(schema: Any) -> Any:
    """A held schema with bounds in place of `FINITE`."""
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ("properties", "patternProperties", "$defs"):
            copy[keyword] = {name: within_widest(inner) for name, inner in value.items()}
        elif keyword in ("anyOf", "allOf", "prefixItems"):
            copy[keyword] = [within_widest(inner) for inner in value]
        elif keyword != FINITE:
            copy[keyword] = within_widest(value) if keyword in ("items", "additionalProperties") else value
    if FINITE in schema:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if exclusive not in schema:
                copy.setdefault(bound, WIDEST[bound])
    return copy


def _holds(keyword: str, value: Any, schema: Mapping[str, Any]) -> bool:
    """True when a grammar holds a keyword with this value."""
    if keyword in BOUNDS or keyword == "multipleOf":
        return abs(value) <= MAX_NUMBER
    if keyword in ("minProperties", "maxProperties"):
        return "properties" not in schema
    if keyword == "pattern":
        return _automaton(value)
    if keyword == "patternProperties":
        return all(map(_automaton, value))
    return keyword in HELD


def _automaton(pattern: str) -> bool:
    try:
        compiled(pattern)
    except PatternError:
        return False
    return True


def _matcher(pattern: str) -> Callable[[str], bool]:
    """True for a text that matches; expressions that backtrack, with a limit, for what the grammars' dialect lacks.

    The function raises TimeoutError: a few characters can be enough to backtrack for hours.
    """
    if not isinstance(pattern, str):
        raise PatternError(f"{pattern!r} is no pattern")
    if _automaton(pattern):
        return compiled(pattern).matches
    re.compile(pattern)  # what isn't Python's is no pattern, though `regex` knows more
    expression = regex.compile(pattern)
    return lambda text: expression.search(text, timeout=PATTERN_S) is not None


def _check_pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matcher(pattern)(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_named(validator: Any, named: Mapping[str, Any], instance: Any, __: Any) -> Iterator[ValidationError]:
    for pattern, schema in named.items() if isinstance(instance, Mapping) else ():
        for name in filter(_matcher(pattern), instance):
            yield from validator.descend(instance[name], schema, path=name, schema_path=pattern)


def _check_additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    named = [_matcher(pattern) for pattern in schema.get("patternProperties", ())]
    unnamed = [name for name in instance if name not in schema.get("properties", ())]
    others = [name for name in unnamed if not any(matches(name) for matches in named)]
    if allowed is False and others:
        yield ValidationError(f"additional properties are not allowed ({', '.join(map(repr, others))})")
    elif allowed is not False:
        for name in others:
            yield from validator.descend(instance[name], allowed, path=name)


_Validator = extend(
    Draft202012Validator,
    {"pattern": _check_pattern, "patternProperties": _check_named, "additionalProperties": _check_additional},
)


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _dicts(inner)


def _unquoted(part: str) -> str:
    part = re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), part)
    return part.replace("~1", "/").replace("~0", "~")
