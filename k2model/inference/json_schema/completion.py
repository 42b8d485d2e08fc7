"""The shortest end of a begun JSON text under a schema.

A model that runs out of tokens inside a value is led to its end. Closing greedily doesn't find the end of a recursive
filter, of an optional child that is listed first or of a pattern; here the fewest characters are computed: the shortest
instance of every schema as a least fixpoint, and from it what the begun text still needs, from its innermost open value
outwards. Schemas are those that `Schema.held` gives, the text is what a grammar of them allows (`json.dumps` style).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import Any

from jsonschema import Draft202012Validator

from k2model.inference.json_schema.begun import Begun, Frame
from k2model.inference.json_schema.flat import (
    Conjunction,
    Flat,
    declared_keys,
    dumps,
    free_keys,
    in_order,
    item_schemas,
    member_schemas,
    next_keys,
    required_keys,
    types,
)
from k2model.inference.json_schema.numbers import finish_number
from k2model.inference.json_schema.schema import FINITE, Value
from k2model.inference.json_schema.strings import MAX_LENGTH, SchemaTooBig, finish_string, whole_escapes

MAX_ALTERNATIVES = 256
MAX_SCHEMAS = 20_000
MAX_ENDS = 1024
LITERALS = {"null": "null", "true": "boolean", "false": "boolean"}
NUMBER_KEYS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", FINITE)
APPLICATORS = ("$ref", "allOf", "anyOf", "$defs")


class Completer:
    """Shortest ends under one schema.

    Args:
        schema: as `Schema.held` gives it.
        number_held: whether a grammar of a schema takes a number's text.
        any_order: of an object's members; without, they come as they are declared.
    """

    def __init__(self, schema: Value, number_held: Callable[[Value, str], bool], *, any_order: bool) -> None:
        self._defs = schema.get("$defs", {}) if isinstance(schema, dict) else {}
        self._root: Conjunction = (schema,)
        self._number_held, self._any_order = number_held, any_order
        self._shortest: dict[tuple[int, ...], str | None] = {}
        self._schemas: dict[tuple[int, ...], Conjunction] = {}
        self._alternatives: dict[tuple[int, ...], list[Flat]] = {}
        self._ends: dict[tuple[tuple[int, ...], tuple[str, ...], str, bool], str | None] = {}  # of objects
        self._fresh: list[tuple[int, ...]] = []
        self._settled = True

    def shortest(self) -> str | None:
        """The shortest instance; None when there is no finite one."""
        return self._instance(self._root)

    def rest(self, text: str, begun: Begun) -> str | None:
        """The shortest end of a text that was scanned; None when there is none or the text isn't one of the schema."""
        return "" if begun.whole else self._finish(self._root, begun.frames, text, text[begun.at :])

    def finite(self, schema: Value) -> bool:
        """True for a schema inside that has a finite instance."""
        return self._instance((schema,)) is not None

    def longest(self) -> str:
        """The longest of the shortest instances inside: what one more token can make a text's end longer."""
        root = self._key(self._root)
        return max((text for key, text in self._shortest.items() if text and key != root), key=len, default="")

    def inner(self, schema: Any) -> Iterator[dict[str, Any]]:
        """Every schema inside a schema, itself left out."""
        for keyword, value in schema.items() if isinstance(schema, dict) else ():
            if keyword in ("items", "additionalProperties"):
                children = [value]
            elif keyword in ("properties", "patternProperties", "$defs"):
                children = list(value.values())
            else:
                children = value if keyword in ("prefixItems", "anyOf", "allOf") else []
            for child in children:
                if isinstance(child, dict):
                    yield child
                    yield from self.inner(child)

    def member_names(self) -> set[str]:
        """Names of all declared members."""
        return {
            key
            for schema in (*self.inner(self._root[0]), self._root[0])
            if isinstance(schema, dict)
            for key in schema.get("properties", ())
        }

    # The least fixpoint.

    def _instance(self, schemas: Conjunction) -> str | None:
        key = self._key(schemas)
        if self._settled and key not in self._shortest:
            self._settled = False
            self._register(key, schemas)
            self._settle(key)
            self._settled = True
        self._register(key, schemas)
        return self._shortest[key]

    def _register(self, key: tuple[int, ...], schemas: Conjunction) -> None:
        if key not in self._shortest:
            if len(self._shortest) >= MAX_SCHEMAS:
                raise SchemaTooBig
            self._shortest[key], self._schemas[key] = None, schemas
            self._fresh.append(key)

    def _settle(self, key: tuple[int, ...]) -> None:
        """Shortens instances until nothing changes: those of the key and of all that it leads to."""
        self._fresh = [key]
        todo: list[tuple[int, ...]] = []
        changed = True
        while changed:
            changed = False
            todo = [*self._fresh[::-1], *todo]
            self._fresh = []
            for each in todo:
                before, now = self._shortest[each], self._compute(self._schemas[each])
                if now is not None and (before is None or len(now) < len(before)):
                    self._shortest[each], changed = now, True
            changed = changed or bool(self._fresh)

    @staticmethod
    def _key(schemas: Conjunction) -> tuple[int, ...]:
        return tuple(sorted({id(schema) if isinstance(schema, dict) else int(schema) for schema in schemas}))

    def _compute(self, schemas: Conjunction) -> str | None:
        text = _fewest(self._begin(flat) for flat in self._flat(schemas))
        if text is not None and len(text) > MAX_LENGTH:
            raise SchemaTooBig
        return text

    # Schemas without references and choices.

    def _flat(self, schemas: Conjunction) -> list[Flat]:
        key = self._key(schemas)
        if key not in self._alternatives:
            ways = [self._expand(schema, frozenset()) for schema in schemas]
            joined = [tuple({id(part): part for part in sum(way, ())}.values()) for way in _product(ways)]
            self._alternatives[key] = joined
        return self._alternatives[key]

    def _expand(self, schema: Value, seen: frozenset[str]) -> list[Flat]:
        if isinstance(schema, bool):
            return [()] if schema else []
        own: Flat = (schema,) if schema.keys() - set(APPLICATORS) else ()
        ways: list[list[Flat]] = [[own]]
        if "$ref" in schema:
            reference = schema["$ref"]
            if reference in seen:
                return []
            ways.append(self._expand(self._defs[reference.rpartition("/")[2]], seen | {reference}))
        ways += [self._expand(inner, seen) for inner in schema.get("allOf", ())]
        if "anyOf" in schema:
            ways.append([flat for inner in schema["anyOf"] for flat in self._expand(inner, seen)])
        return [sum(way, ()) for way in _product(ways)]

    # Ends of values.

    def _finish(self, schemas: Conjunction, frames: Sequence[Frame], text: str, tail: str) -> str | None:
        flats = self._flat(schemas)
        if not frames:
            return _fewest(self._finish_scalar(flat, tail) if tail else self._begin(flat) for flat in flats)
        choosing = len(flats) > 1
        return _fewest(
            self._finish_container(flat, frames, text, tail)
            for flat in flats
            if not choosing or self._agrees(flat, frames[0])
        )

    def _begin(self, flat: Flat) -> str | None:
        """The shortest instance of a flat conjunction."""
        constants = self._constants(flat)
        if constants is not None:
            return _fewest(constants)
        kinds = types(flat)
        ways: list[str | None] = []
        if kinds & {"integer", "fraction"}:
            ways.append(self._number(flat, "", kinds))
        if "string" in kinds:
            ways.append(finish_string(flat, '"'))
        if "object" in kinds:
            ways.append(self._members(flat, (), "{"))
        if "array" in kinds:
            ways.append(self._items(flat, 0, "["))
        ways += [word for word, kind in LITERALS.items() if kind in kinds]
        return _fewest(ways)

    def _finish_scalar(self, flat: Flat, tail: str) -> str | None:
        constants = self._constants(flat)
        if constants is not None:
            return _fewest(text[len(tail) :] for text in constants if text.startswith(tail))
        kinds = types(flat)
        if tail.startswith('"'):
            return self._without(finish_string(flat, tail), tail) if "string" in kinds else None
        for word, kind in LITERALS.items():
            if word.startswith(tail):
                return word[len(tail) :] if kind in kinds else None
        if kinds & {"integer", "fraction"}:
            return self._without(self._number(flat, tail, kinds), tail)
        return None

    def _number(self, flat: Flat, begun: str, kinds: frozenset[str]) -> str | None:
        whole = "fraction" not in kinds
        limits = [{key: schema[key] for key in NUMBER_KEYS if key in schema} for schema in flat]
        kind = {"type": "integer" if whole else "number"}
        schema: Value = kind | limits[0] if len(limits) == 1 else kind | {"allOf": limits}
        return finish_number(flat, begun, whole=whole, held=lambda text: self._number_held(schema, text))

    @staticmethod
    def _without(text: str | None, tail: str) -> str | None:
        return None if text is None else text[len(tail) :]

    def _constants(self, flat: Flat) -> list[str] | None:
        """Texts of the values that `enum` and `const` leave; None when there are no such keywords."""
        lists = [schema.get("enum", [schema.get("const")]) for schema in flat if schema.keys() & {"enum", "const"}]
        if not lists:
            return None
        values = min(lists, key=len)
        if len(flat) > 1 or flat[0].keys() - {"enum", "const", "type"} or "type" in flat[0]:
            validator = self._validator(flat)
            values = [value for value in values if validator.is_valid(value)]
        return [dumps(value) for value in values]

    def _agrees(self, flat: Flat, frame: Frame) -> bool:
        """True when the closed members of an open value are what a conjunction wants."""
        if frame.is_object:
            keys = [*frame.members, *([frame.key] if frame.state in ("colon", "value") else ())]
            if not self._any_order and not in_order(flat, keys):
                return False
            inner = ((member_schemas(flat, key), value) for key, value in frame.members.items())
        else:
            inner = ((item_schemas(flat, index), value) for index, value in enumerate(frame.items))
        return all(False not in schemas and self._validator(schemas).is_valid(value) for schemas, value in inner)

    def _validator(self, schemas: Conjunction) -> Draft202012Validator:
        return Draft202012Validator({"$defs": self._defs, "allOf": list(schemas)})

    # Objects and arrays.

    def _finish_container(self, flat: Flat, frames: Sequence[Frame], text: str, tail: str) -> str | None:
        frame = frames[0]
        constants = self._constants(flat)
        if constants is not None:
            written = text[frame.start :]
            return _fewest(value[len(written) :] for value in constants if value.startswith(written))
        if ("object" if frame.is_object else "array") not in types(flat):
            return None
        if frame.is_object:
            return self._finish_object(flat, frames, text, tail)
        return self._finish_array(flat, frames, text, tail)

    def _finish_object(self, flat: Flat, frames: Sequence[Frame], text: str, tail: str) -> str | None:
        frame = frames[0]
        used = tuple(frame.members)
        if frame.state == "first":
            return self._members(flat, used, "")
        if frame.state == "after":
            return self._members(flat, used, ", ")
        if frame.state == "comma":
            return self._members(flat, used, " " if tail == "," else "", more=True)
        if frame.state == "key":
            return _fewest(self._key_ends(flat, used, tail))
        inner = member_schemas(flat, frame.key)
        if frame.state == "colon":
            value, lead = self._instance(inner), " " if tail == ":" else ": "
        else:
            value, lead = self._finish(inner, frames[1:], text, tail), ""
        after = self._members(flat, (*used, frame.key), ", ")
        return None if value is None or after is None else lead + value + after

    def _key_ends(self, flat: Flat, used: tuple[str, ...], tail: str) -> Iterator[str | None]:
        """Ends of an object whose next key has begun."""
        keys, free = next_keys(flat, used, any_order=self._any_order)
        start = whole_escapes(tail)[0]
        begun = json.loads(start + '"')
        texts = {key: dumps(key) for key in keys}
        if free:
            # Without patterns all have the same value, and the first is the shortest.
            first = None if any("patternProperties" in schema for schema in flat) else 1
            undeclared = islice(free_keys(flat, used, begun), first)
            texts |= {key: start + dumps(key[len(begun) :])[1:] for key in undeclared}
        for key, written in texts.items():
            if written.startswith(tail):
                value, after = self._instance(member_schemas(flat, key)), self._members(flat, (*used, key), ", ")
                if value is not None and after is not None:
                    yield f"{written[len(tail) :]}: {value}{after}"

    def _members(self, flat: Flat, used: tuple[str, ...], lead: str, *, more: bool = False) -> str | None:
        """The members that an object still needs, and its end; `lead` comes before the first, `more` wants one."""
        if not self._settled:
            return self._needed(flat, used, lead, more=more)
        key = tuple(map(id, flat)), used, lead, more
        if key not in self._ends:
            if len(self._ends) >= MAX_ENDS:
                self._ends.clear()
            self._ends[key] = self._needed(flat, used, lead, more=more)
        return self._ends[key]

    def _needed(self, flat: Flat, used: tuple[str, ...], lead: str, *, more: bool) -> str | None:
        declared, required = declared_keys(flat), required_keys(flat)
        wanted = [key for key in declared if key in required and key not in used]
        wanted += [key for key in required if key not in declared and key not in used]
        if wanted and not self._any_order and not in_order(flat, [*used, wanted[0]]):
            return None
        least = max((schema.get("minProperties", 0) for schema in flat), default=0)
        missing = max(least - len(used) - len(wanted), int(more and not wanted))
        texts = [self._member(flat, key) for key in wanted]
        if missing:
            optional = [key for key in declared if key not in used and key not in wanted]
            if not self._any_order:
                passed = max((index for index, key in enumerate(declared) if key in used), default=-1)
                behind = any(key not in declared for key in used)  # undeclared keys come last
                optional = [] if behind else [key for key in optional if key in declared[passed + 1 :]]
            free = list(free_keys(flat, (*used, *wanted))) if missing > len(optional) or not wanted else []
            extra = [(text, key) for key in (*optional, *free) if (text := self._member(flat, key)) is not None]
            chosen = {key for _, key in sorted(extra, key=lambda pair: len(pair[0]))[:missing]}
            if len(chosen) < missing:
                return None
            order = [key for key in declared if key in chosen or key in wanted]
            order += [key for key in wanted if key not in declared] + [key for key in free if key in chosen]
            texts = [self._member(flat, key) for key in order]
        if any(text is None for text in texts):
            return None
        if lead.endswith("{"):
            return lead + ", ".join(filter(None, texts)) + "}"
        return (lead if texts else "") + ", ".join(filter(None, texts)) + "}"

    def _member(self, flat: Flat, key: str) -> str | None:
        value = self._instance(member_schemas(flat, key))
        return None if value is None else f"{dumps(key)}: {value}"

    def _finish_array(self, flat: Flat, frames: Sequence[Frame], text: str, tail: str) -> str | None:
        frame = frames[0]
        count = len(frame.items)
        if frame.state == "first":
            return self._items(flat, count, "")
        if frame.state == "after":
            return self._items(flat, count, ", ")
        if frame.state == "comma":
            return self._items(flat, count, " " if tail == "," else "", more=True)
        value = self._finish(item_schemas(flat, count), frames[1:], text, tail)
        after = self._items(flat, count + 1, ", ")
        return None if value is None or after is None else value + after

    def _items(self, flat: Flat, count: int, lead: str, *, more: bool = False) -> str | None:
        """The items that an array still needs, and its end."""
        least = max((schema.get("minItems", 0) for schema in flat), default=0)
        most = min((schema["maxItems"] for schema in flat if "maxItems" in schema), default=None)
        least = max(least, count + more)
        if most is not None and least > most:
            return None
        beyond = max((len(schema.get("prefixItems", ())) for schema in flat), default=0)
        texts: list[str] = []
        length = 0
        for index in range(count, least):
            text = texts[-1] if index > max(beyond, count) else self._instance(item_schemas(flat, index))
            if text is None:
                return None
            texts.append(text)
            length += len(text)
            if length > MAX_LENGTH:
                raise SchemaTooBig
        return (lead if texts or lead == "[" else "") + ", ".join(texts) + "]"


def _product(ways: Sequence[list[Flat]]) -> list[tuple[Flat, ...]]:
    combinations: list[tuple[Flat, ...]] = [()]
    for way in ways:
        combinations = [(*before, flat) for before, flat in product(combinations, way)][:MAX_ALTERNATIVES]
    return combinations


def _fewest(texts: "Iterator[str | None] | list[str | None] | list[str]") -> str | None:
    return min((text for text in texts if text is not None), key=len, default=None)
