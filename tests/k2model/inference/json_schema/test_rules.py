"""Rules of schemas of plain parts: which have them, and which numbers with exponents stand within bounds."""

import json
import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLMatcher, LLTokenizer

from k2model.inference.json_schema.rules import MAX_MEMBERS, rules
from k2model.inference.json_schema.schema import Schema, within_widest


def _accepts(grammar: str) -> Callable[[str], bool]:
    start = LLMatcher(LLTokenizer("byte"), grammar)

    def accepts(text: str) -> bool:
        matcher = start.deep_copy()
        return matcher.try_consume_tokens(list(text.encode())) == len(text.encode()) and matcher.is_accepting()

    return accepts


def _matches(schema: Any) -> Callable[[str], bool]:
    """Whether a text is of a schema's rules."""
    text = rules(Schema(schema).held()[0])
    assert text is not None
    return _accepts(LLMatcher.grammar_from_lark(text))


JOINED: dict[str, Any] = {
    "allOf": {"allOf": [{"type": "object"}, {"required": ["a"]}]},
    "a choice beside keywords": {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "a reference beside keywords": {"$ref": "#/d", "minLength": 2, "d": {"type": "string"}},
    "a tuple": {"type": "array", "prefixItems": [{"type": "string"}]},
    "patterned keys": {"type": "object", "patternProperties": {"^x": {}}},
    "counted members": {"type": "object", "minProperties": 2},
    "many members": {"type": "object", "properties": {f"p{k}": {} for k in range(MAX_MEMBERS + 1)}},
}


@pytest.mark.parametrize("name", JOINED)
def test_a_schema_that_is_joined_of_several_has_no_rules(name: str) -> None:
    inner = {"type": "object", "properties": {"inner": JOINED[name]}} | {"d": JOINED[name].get("d")}
    assert rules(Schema(inner).held()[0]) is None
    assert rules(Schema(inner | {"properties": {"inner": {"type": "string"}}}).held()[0]) is not None


BOUNDS: list[tuple[dict[str, float], bool]] = [
    ({}, True),
    ({"minimum": 0}, True),
    ({"minimum": 0, "maximum": 1}, True),
    ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, True),
    ({"minimum": -1, "maximum": 1}, True),
    ({"minimum": -90, "maximum": 90}, True),
    ({"minimum": 0.001, "maximum": 5}, False),
    ({"minimum": 1}, True),
    ({"exclusiveMinimum": 1}, False),
    ({"maximum": -1}, True),
    ({"maximum": 0}, True),
    ({"exclusiveMaximum": -1}, False),
    ({"multipleOf": 0.5}, False),
]


@pytest.mark.parametrize(("bounds", "some"), BOUNDS)
def test_a_number_with_an_exponent_is_within_the_bounds(bounds: dict[str, float], some: bool) -> None:
    schema, rng, taken = {"type": "number"} | bounds, random.Random(0), 0
    matches = _matches(schema)
    for _ in range(2000):
        mantissa = rng.choice(["", "-"]) + rng.choice(["1", "9", "1.0", "2.5", "9.999", "0", "0.5"])
        text = mantissa + rng.choice("eE") + rng.choice(["", "+", "-"]) + rng.choice(["0", "1", "3", "05", "17", "99"])
        if matches(text):
            taken += 1
            assert Draft202012Validator(schema).is_valid(Decimal(text)), text
            assert math.isfinite(float(text))
    assert bool(taken) == some


@pytest.mark.parametrize("bounds", [bounds for bounds, _ in BOUNDS])
def test_all_numbers_that_llguidance_takes_are_taken(bounds: dict[str, float]) -> None:
    held = Schema({"type": "number"} | bounds).held()[0]
    theirs = _accepts(LLMatcher.grammar_from_json_schema(json.dumps(within_widest(held))))
    ours, rng, taken = _matches({"type": "number"} | bounds), random.Random(1), 0
    for _ in range(500):
        whole = rng.choice(["", "-"]) + rng.choice(["0", "1", "5", "89", "90", "9000000000000000000"])
        text = whole + rng.choice(["", ".0", ".5", ".0001", ".75"])
        if theirs(text):
            taken += 1
            assert ours(text), text
    assert taken
