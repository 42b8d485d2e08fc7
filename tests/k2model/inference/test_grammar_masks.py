"""Masks against a slow reference: a token is allowed if the text with it can go on to a valid call, character by
character."""

import json
import re
from collections.abc import Callable, Mapping
from itertools import product
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from k2model.chat.parse import ARGUMENTS, CALL, END_CALL, SECTION, ToolCall
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.errors import ConfigError
from k2model.inference.grammar import ToolGrammar
from k2model.inference.turn_constraint import TurnConstraint

TEXT, WHOLE, REAL, YES = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}


def _object(required: list[str], /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SCHEMAS: dict[str, dict[str, Any]] = {
    "scalars": _object(["city", "days"], city=TEXT, days=WHOLE, price=REAL, direct=YES),
    "choices": _object([], unit={"enum": ["celsius", "cel", 3, None]}, mode={"type": ["integer", "null", "boolean"]}),
    "lists": _object(
        ["n"], n={"type": "array", "items": REAL, "minItems": 2, "maxItems": 3}, c={"type": "array", "items": TEXT}
    ),
    "nested": _object(["to"], to=_object(["zip"], zip=TEXT | {"maxLength": 2}, near={"type": "array", "items": WHOLE})),
    "undeclared": _object(["a"], a=WHOLE) | {"additionalProperties": YES},
    "either": _object(["x"], x={"anyOf": [WHOLE, _object(["k"], k=YES), {"const": "ab"}]}),
    "recursive": _object(["v"], v=WHOLE, child={"$ref": "#"}),
}
Match = tuple[set[int], bool]  # (places where a value can end, whether the text can run out within it)
DIGITS = "[1-9][0-9]{0,17}|[1-8][0-9]{18}|90{18}"  # at most 9e18
NUMBERS = {"integer": rf"-?(0|{DIGITS})", "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?"}
BEGUN = {
    "integer": rf"-?(0|{DIGITS})?",
    "number": r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|(0|[1-9][0-9]*)(\.[0-9]+)?[eE][+-]?[0-9]{0,2})?",
}
PLAIN, HEX = r'[^"\\\x00-\x1f\x7f]', "[0-9a-fA-F]"
PAIR = rf"\\u[dD][89abAB]{HEX}{{2}}\\u[dD][c-fC-F]{HEX}{{2}}"
SIGN = rf'{PLAIN}|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F]){HEX}{{4}}|{PAIR}'
KEY_SIGN = rf'{PLAIN}|\\["\\bfnrt]|\\u(00[01]{HEX}|007[fF])'  # of undeclared keys beside declared ones
ESCAPE_ENDS = [escape[cut:] for escape in (r"\n", r"\u0041", r"\u001f", r"\ud834\udd1e") for cut in range(len(escape))]


class Reference:
    """What may stand in a text of a schema, by trying all ways."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root = schema

    def goes_on(self, text: str) -> bool:
        ends, within = self._value(self.root, text, 0)
        return within or len(text) in ends

    def is_whole(self, text: str) -> bool:
        return len(text) in self._value(self.root, text, 0)[0]

    def _value(self, schema: Mapping[str, Any], text: str, at: int) -> Match:
        if "$ref" in schema:
            return self._value(self.root, text, at)
        if "anyOf" in schema:
            return _joined([self._value(inner, text, at) for inner in schema["anyOf"]])
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return _joined([_literal(json.dumps(value), text, at) for value in values])
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return _joined([self._typed(name, schema, text, at) for name in names])

    def _typed(self, name: str, schema: Mapping[str, Any], text: str, at: int) -> Match:
        if name == "null":
            return _literal("null", text, at)
        if name == "boolean":
            return _joined([_literal(word, text, at) for word in ("true", "false")])
        if name in NUMBERS:
            stops = range(at + 1, len(text) + 1)
            ends = {stop for stop in stops if re.fullmatch(NUMBERS[name], text[at:stop])}
            return ends, re.fullmatch(BEGUN[name], text[at:]) is not None
        if name == "string":
            return _string(text, at, schema.get("maxLength"))
        return self._array(schema, text, at) if name == "array" else self._object(schema, text, at)

    def _array(self, schema: Mapping[str, Any], text: str, at: int) -> Match:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 10**9)

        def behind(count: int, place: int) -> Match:
            closed = _literal("]", text, place) if count >= least else NOTHING
            return _joined([closed, item(count, place, ", ") if count < most else NOTHING])

        def item(count: int, place: int, lead: str) -> Match:
            before = _literal(lead, text, place)
            value = _then(before, lambda start: self._value(schema["items"], text, start))
            return _then(value, lambda stop: behind(count + 1, stop))

        opened = _literal("[", text, at)
        empty = _then(opened, lambda place: _literal("]", text, place)) if not least else NOTHING
        return _joined([empty, _then(opened, lambda place: item(0, place, ""))])

    def _object(self, schema: Mapping[str, Any], text: str, at: int) -> Match:
        declared, other = schema["properties"], schema["additionalProperties"]

        def behind(used: frozenset[str], place: int) -> Match:
            closed = _literal("}", text, place) if used >= set(schema["required"]) else NOTHING
            more = bool(other) or set(declared) - used
            return _joined([closed, member(used, place, ", ") if more else NOTHING])

        def member(used: frozenset[str], place: int, lead: str) -> Match:
            ways = [
                valued(_literal(f"{lead}{json.dumps(key)}: ", text, place), inner, used | {key})
                for key, inner in declared.items()
                if key not in used
            ]
            if other:
                ways.append(valued(_then(_literal(lead, text, place), undeclared), other, used))
            return _joined(ways)

        def undeclared(place: int) -> Match:
            ends, within = _string(text, place, None, KEY_SIGN)
            ends = {end for end in ends if json.loads(text[place:end]) not in declared}
            return _then((ends, within), lambda stop: _literal(": ", text, stop))

        def valued(key: Match, inner: Mapping[str, Any], used: frozenset[str]) -> Match:
            return _then(_then(key, lambda start: self._value(inner, text, start)), lambda stop: behind(used, stop))

        opened = _literal("{", text, at)
        empty = _then(opened, lambda place: _literal("}", text, place)) if not schema["required"] else NOTHING
        return _joined([empty, _then(opened, lambda place: member(frozenset(), place, ""))])


NOTHING: Match = (set(), False)


def _joined(ways: list[Match]) -> Match:
    return set().union(*(ends for ends, _ in ways)), any(within for _, within in ways)


def _then(first: Match, second: Callable[[int], Match]) -> Match:
    ends, within = first
    joined = _joined([second(end) for end in sorted(ends)])
    return joined[0], joined[1] or within


def _literal(literal: str, text: str, at: int) -> Match:
    if text.startswith(literal, at):
        return {at + len(literal)}, False
    return set(), literal.startswith(text[at:])


def _string(text: str, at: int, most: int | None, sign: str = SIGN) -> Match:
    if at == len(text):
        return set(), True
    if text[at] != '"':
        return NOTHING
    place, count = at + 1, 0
    while place < len(text) and text[place] != '"':
        match = re.compile(sign).match(text, place)
        if count == most:
            return NOTHING
        if match is None:
            return set(), any(re.fullmatch(sign, text[place:] + end) for end in ESCAPE_ENDS)
        place, count = match.end(), count + 1
    return ({place + 1}, False) if place < len(text) else (set(), True)


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    text = ['{"city": "Oslo", "unit": "celsius", "n": [1, 2.5]}' * 20, "The cat sat on the mat. " * 20]
    return K2Tokenizer(train_tokenizer(text, 308))


@pytest.fixture(scope="module")
def grammar(tokenizer: K2Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer)


HEAD = 3  # tokens before arguments beside the id


def _in_arguments(grammar: ToolGrammar, schema: Mapping[str, Any], max_tokens: int = 10_000) -> TurnConstraint:
    """A constraint at the beginning of the arguments of a call of `f`; the budget is far away."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    constraint = grammar.turn(tools, max_tokens=max_tokens, choice="required")
    mark = grammar.tokenizer.special
    for token in [mark[SECTION], mark[CALL], *grammar.tokenizer.encode("functions.f:0"), mark[ARGUMENTS]]:
        constraint.accept(token)
    return constraint


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_token_is_allowed_where_the_text_with_it_goes_on_to_a_valid_value(grammar: ToolGrammar, name: str) -> None:
    reference = Reference(SCHEMAS[name])
    pieces = grammar.tokenizer.token_bytes()
    special = set(grammar.tokenizer.special.values())
    ascii_tokens = [i for i, piece in enumerate(pieces) if piece.isascii() and piece and i not in special]
    for seed in range(4):
        rng, text = Random(f"{name}|{seed}"), ""
        constraint = _in_arguments(grammar, SCHEMAS[name])
        for _ in range(36):
            allowed = constraint.allowed().numpy()
            taken = [token for token in ascii_tokens if allowed[token]]
            expected = [token for token in ascii_tokens if reference.goes_on(text + pieces[token].decode())]
            if len(taken) == 1:  # where only one text can follow, in the tokens of the tokenizer
                assert taken[0] in expected
                assert all(pieces[taken[0]].startswith(pieces[token]) for token in expected)
            else:
                assert taken == expected, text
            assert bool(allowed[grammar.tokenizer.special[END_CALL]]) == reference.is_whole(text), text
            if not taken:
                break
            quotes = [token for token in taken if b'"' in pieces[token]]
            token = rng.choice(quotes if quotes and len(taken) > 60 and rng.random() < 0.3 else taken)
            constraint.accept(token)
            text += pieces[token].decode()


def _refused(grammar: ToolGrammar, schema: Mapping[str, Any], arguments: str) -> str | None:
    """What is written of a call's arguments when a token is forbidden; None when none is."""
    constraint = _in_arguments(grammar, schema)
    ids = [*grammar.tokenizer.encode(arguments), grammar.tokenizer.special[END_CALL]]
    for count, token in enumerate(ids):
        if not constraint.allowed()[token]:
            return grammar.tokenizer.decode(ids[:count])
        constraint.accept(token)
    return None


def _with(a: dict[str, Any], /, **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": a, **others}, "required": ["a"]}


PERSON = _with(TEXT, b=WHOLE)
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "an optional member first": (_with(WHOLE, b=TEXT, c=YES), '{"c": true, "a": -5, "b": "x"}'),
    "an undeclared member first": (_with(WHOLE), '{"z": [null], "a": 0}'),
    "members of an item in another order": (_with({"type": "array", "items": PERSON}), '{"a": [{"b": 1, "a": "x"}]}'),
    "a definition used twice": (
        _with({"$ref": "#/$defs/p"}, b={"$ref": "#/$defs/p"}) | {"$defs": {"p": PERSON}},
        '{"b": {"a": "x"}, "a": {"b": 2, "a": "y"}}',
    ),
    "a negative exponent": (_with(REAL), '{"a": 6.67e-11}'),
    "a large number": (_with(REAL), '{"a": 5.972E+24}'),
    "a large number in digits": (_with(REAL), '{"a": 5972000000000000000000000.0}'),
    "an exponent within bounds": (_with(REAL | {"minimum": 0, "maximum": 1}), '{"a": 1e-05}'),
    "an exponent above a bound": (_with(REAL | {"exclusiveMinimum": 0}), '{"a": 1.5e+30}'),
    "an exponent below a bound": (_with(REAL | {"maximum": 0}), '{"a": -2e3}'),
    "a code point": (_with(TEXT), r'{"a": "caf\u00e9 \u2603"}'),
    "a pair of code points": (_with(TEXT), r'{"a": "\ud83d\ude00"}'),
    "an escaped slash": (_with(TEXT | {"maxLength": 3}), r'{"a": "a\/b"}'),
    "a free key with a code point": (_with({"type": "object"}), r'{"a": {"\u00e9": {"b": 1e9}}}'),
    "a leap day": (_with(TEXT | {"format": "date"}), '{"a": "2000-02-29"}'),
    "a leap day's time": (_with(TEXT | {"format": "date-time"}), '{"a": "2024-02-29T10:00:00Z"}'),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_valid_call_can_be_written_in_more_ways_than_one(grammar: ToolGrammar, name: str) -> None:
    schema, arguments = CALLS[name]
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    assert [check.problem for check in grammar.check_calls(tools, [ToolCall("f", "f", arguments)])] == []
    assert _refused(grammar, schema, arguments) is None


@pytest.mark.parametrize(
    ("schema", "written", "rest"),
    [
        (_with(WHOLE, b=TEXT), '{"a": 1, "a', '": 2}'),
        (_with(WHOLE, b=TEXT), '{"b": "x"', "}"),
        (_with(WHOLE), '{"\\u00', '61": "x", "a": 1}'),  # the same key
        (_with(REAL), '{"a": 1e30', "9}"),
        (_with(REAL | {"minimum": 0, "maximum": 1}), '{"a": 1e', "2}"),
        (_with(REAL | {"minimum": 5}), '{"a": 1', "e0}"),
        (_with(REAL | {"multipleOf": 0.5}), '{"a": 1', "e-1}"),
        (_with(WHOLE), '{"a": 1', "e2}"),
        (_with(TEXT), '{"a": "\\ud83d', '"}'),
        (_with(TEXT), '{"a": "\\ud', 'e00"}'),
        (_with(TEXT | {"maxLength": 1}), '{"a": "\\ud83d\\ude00', 'x"}'),
        (_with(TEXT | {"format": "date"}), '{"a": "2100-02-2', '9"}'),
        (_with(TEXT, b=YES) | {"additionalProperties": False}, '{"a": "x", "', 'c": 1}'),
    ],
)
def test_what_is_no_valid_call_can_not(grammar: ToolGrammar, schema: dict[str, Any], written: str, rest: str) -> None:
    assert _refused(grammar, schema, written + rest) == written


ANY = {"type": "object"}
BEGUN_CALLS: list[tuple[dict[str, Any], str]] = [
    (_with(TEXT, b=ANY), '{"a": "x", "b": {"\\ud83d'),
    (_with(TEXT, b=ANY), '{"b": {"k": "\\'),
    (_with(TEXT, b=ANY), '{"b": {"k": "\\ud83d\\u'),
    (_with(TEXT, b=ANY), '{"b": {"k": 1.5e-'),
    (_with(REAL | {"minimum": 0, "maximum": 1}), '{"a": 1e-0'),
    (_with(REAL | {"minimum": -5}), '{"a": -0.0'),
]


@pytest.mark.parametrize(("schema", "begun"), BEGUN_CALLS)
def test_a_call_ends_within_its_budget_from_wherever_it_stands(
    grammar: ToolGrammar, schema: dict[str, Any], begun: str
) -> None:
    ids, pieces, ended = grammar.tokenizer.encode(begun), grammar.tokenizer.token_bytes(), 0
    for budget, seed in product(range(20, 90), range(1)):
        try:
            constraint = _in_arguments(grammar, schema, budget)
        except ConfigError:
            continue  # no call is as short
        written, rng = [], Random(f"{begun}|{seed}")
        while not constraint.finished():
            allowed = constraint.allowed().nonzero().squeeze(1).tolist()
            lengthening = [token for token in allowed if re.fullmatch(b"u|d8?|8", pieces[token])]
            following = ids[len(written) : len(written) + 1]
            choices = following if following and following[0] in allowed else lengthening or allowed
            written.append(rng.choice(choices))
            constraint.accept(written[-1])
        assert len(written) <= budget - HEAD - len(grammar.tokenizer.encode("functions.f:0"))
        text = grammar.tokenizer.decode(written).partition(END_CALL)[0]
        assert Draft202012Validator(schema).is_valid(json.loads(text))
        ended += text.startswith(begun)
    assert ended


@pytest.mark.parametrize("number", ["12", "-0.5", "6.67e-11", "1E+5", "-3e0"])
def test_a_number_can_be_written_where_one_token_less_would_do(grammar: ToolGrammar, number: str) -> None:
    ids = grammar.tokenizer.encode(f'{{"a": {number}}}')
    budget = HEAD + len(grammar.tokenizer.encode("functions.f:0")) + len(ids) + 3 + 1
    constraint = _in_arguments(grammar, _with(REAL), budget)
    for token in ids:
        assert constraint.allowed()[token]
        constraint.accept(token)
