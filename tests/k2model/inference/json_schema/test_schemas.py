"""Schemas as real servers have them: each compiles, its shortest value is valid, the rest is checked afterwards."""

import json
import random
import time
from typing import Any

import jsonschema
import pytest

from agents.tools import real
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.errors import ConfigError
from k2model.inference.json_grammar import JsonGrammar, JsonGrammars, JsonWriter
from k2model.inference.json_schema.patterns import Pattern, shortest_rest
from k2model.inference.json_schema.regex_syntax import PatternError
from k2model.inference.json_schema.schema import Schema
from k2model.inference.json_schema.string_formats import FORMATS

TEXT = {"type": "string"}


@pytest.fixture(scope="module")
def grammars() -> JsonGrammars:
    text = ['{"city": "Oslo", "unit": "celsius"}' * 20, "The cat sat on the mat. " * 20]
    return JsonGrammars(K2Tokenizer(train_tokenizer(text, 290)))


def _shortest(grammars: JsonGrammars, schema: Any) -> tuple[JsonGrammar, Any]:
    grammar = grammars.compile(schema, "parameters of 'f'", is_object=True)
    return grammar, json.loads(grammars.tokenizer.decode(grammar.shortest))


def _with(keyword: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {keyword: value} | more}, "required": ["a"]}


# (schema, keywords that are checked afterwards, keywords that mean nothing)
SCHEMAS: dict[str, tuple[Any, list[str], list[str]]] = {
    "oneOf": ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, ["/oneOf"], []),
    "anyOf": ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": TEXT}}, [], []),
    "object or null": ({"type": ["object", "null"], "properties": {"a": TEXT}}, [], []),
    "look-around": (_with("pattern", "^(?!x).*$", **TEXT), ["/properties/a/pattern"], []),
    "an unknown format": (_with("format", "zip-code", **TEXT), [], []),
    "a format that no grammar holds": (_with("format", "json-pointer", **TEXT), ["/properties/a/format"], []),
    "not": (_with("not", {"type": "null"}), ["/properties/a/not"], []),
    "uniqueItems": (_with("uniqueItems", True, type="array"), ["/properties/a/uniqueItems"], []),
    "a cycle": ({"properties": {"a": {"$ref": "#"}}}, [], []),
    "a cycle behind a reference": (
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}},
        [],
        [],
    ),
    "patternProperties": ({"patternProperties": {"^x": TEXT}, "additionalProperties": False}, [], []),
    "patterns that overlap": ({"patternProperties": {"^a": TEXT, "b$": {}}}, ["/patternProperties"], []),
    "if then else": ({"if": {"required": ["a"]}, "then": {"maxProperties": 9}}, ["/if", "/then"], []),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, ["/dependentRequired"], []),
    "dependencies": ({"dependencies": {"a": ["b"]}}, ["/dependentRequired"], []),
    "contains": (_with("contains", {}, type="array", minItems=1), ["/properties/a/contains"], []),
    "multipleOf": (_with("multipleOf", 0.25, type="number", exclusiveMinimum=0), [], []),
    "draft-04's exclusiveMinimum": (_with("exclusiveMinimum", True, type="integer", minimum=0), [], []),
    "draft-03's required": (
        {"properties": {"a": {"type": "string", "required": True}}},
        [],
        ["/properties/a/required"],
    ),
    "tuples of draft-07": (_with("items", [TEXT], additionalItems=False, type="array", minItems=1), [], []),
    "a huge enum": (_with("enum", [f"value {k}" for k in range(5000)]), [], []),
    "a constant": (_with("const", {"k": 1.0, "é": ["\n"]}), [], []),
    "a long text": (_with("minLength", 10_000, **TEXT), [], []),
    "64 bits": (_with("maximum", 2**63 - 1, type="integer"), ["/properties/a/maximum"], []),
    "an empty schema": ({}, [], []),
    "true": (True, [], []),
    "no such type": (_with("type", "any"), [], ["/properties/a/type"]),
    "malformed": ({"properties": None, "required": "a"}, [], ["/properties", "/required"]),
    "a reference elsewhere": (_with("$ref", "https://example.org/x.json"), [], ["/properties/a/$ref"]),
    "an anchor": ({"$defs": {"x": {"$anchor": "y", "type": "integer"}}, **_with("$ref", "#y")}, [], []),
    "joined references": (
        {"allOf": [{"$ref": "#/d/a"}, {"$ref": "#/d/b"}], "d": {"a": _with("type", "string"), "b": {"type": "object"}}},
        [],
        [],
    ),
    "minProperties": ({"properties": {"a": TEXT}, "minProperties": 0}, ["/minProperties"], []),
    "propertyNames": ({"propertyNames": {"pattern": "^a"}}, ["/propertyNames"], []),
    "unevaluatedProperties": ({"unevaluatedProperties": False}, ["/unevaluatedProperties"], []),
    "endless and optional": ({"properties": {"a": {"$ref": "#/d"}}, "d": _with("$ref", "#/d")}, [], []),
    "keys to escape": ({"properties": {'a"\\': TEXT, "é\n": TEXT}, "required": ['a"\\', "é\n"]}, [], []),
    "60 deep": (json.loads('{"properties": {"a": ' * 60 + "{}" + "}}" * 60), [], ["…"]),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_of_any_draft_is_usable_and_what_no_grammar_holds_is_said(grammars: JsonGrammars, name: str) -> None:
    schema, unheld, ignored = SCHEMAS[name]
    grammar, value = _shortest(grammars, schema)
    assert isinstance(value, dict)
    assert list(grammar.unheld) == unheld
    assert ignored == ["…"] or sorted(grammar.schema.ignored) == ignored
    assert grammar.schema.problem(value) is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (_with("$ref", "#"), "parameters of 'f': no finite value"),
        ({"$ref": "#"}, "parameters of 'f': no finite value"),
        (False, "parameters of 'f': no value"),
        ({"type": "array"}, "parameters of 'f': the schema isn't of an object"),
        ({"properties": {"a": False}, "required": ["a"]}, "parameters of 'f': no finite value"),
    ],
)
def test_a_schema_without_a_finite_value_is_refused_by_name(grammars: JsonGrammars, schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grammars.compile(schema, "parameters of 'f'", is_object=True)


# Keywords that mean nothing, or that no grammar holds: (schema, unheld, ignored).
EXTREMES: dict[str, tuple[Any, list[str], list[str]]] = {
    "a long repetition": (_with("pattern", "a{99999999999}", **TEXT), [], ["/properties/a/pattern"]),
    "digits without end": (_with("pattern", "a{" + "9" * 5000 + "}", **TEXT), [], ["/properties/a/pattern"]),
    "nothing repeated": (_with("pattern", "((){999999}){999999}", **TEXT), [], []),
    "repeated thrice": (_with("pattern", "((a{30}){30}){30}", **TEXT), ["/properties/a/pattern"], []),
    "a deep pattern": (
        _with("pattern", "(" * 3000 + "a" + ")" * 3000, **TEXT),
        [],
        ["/properties/a/pattern"],
    ),
    "flags of bytes": (_with("pattern", "(?L)a", **TEXT), [], ["/properties/a/pattern"]),
    "a pattern of names": ({"patternProperties": {"a{99999999999}": TEXT}}, [], ["/patternProperties"]),
    "a length without end": (_with("minLength", 10**30, **TEXT), ["/properties/a/minLength"], []),
    "a long length": (_with("minLength", 10**9, **TEXT), ["/properties/a/minLength"], []),
    "items without end": (_with("minItems", 10**30, type="array"), ["/properties/a/minItems"], []),
    "many items": (_with("minItems", 10**9, type="array"), ["/properties/a/minItems"], []),
    "many items of many": (
        _with("minItems", 10**4, type="array", items={"type": "array", "minItems": 10**4}),
        ["/properties/a/items/minItems", "/properties/a/minItems"],
        [],
    ),
    "dependencies beside nonsense": (
        {"dependencies": {"a": ["b"]}, "dependentRequired": "x"},
        ["/dependentRequired"],
        [],
    ),
    "a place without end": (_with("$ref", "#/allOf/" + "9" * 5000) | {"allOf": [{}]}, [], ["/properties/a/$ref"]),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_numbers_and_patterns_without_end_cost_neither_the_server_nor_the_request(
    grammars: JsonGrammars, name: str
) -> None:
    schema, unheld, ignored = EXTREMES[name]
    begun = time.process_time()  # a busy machine takes longer
    grammar, value = _shortest(grammars, schema)
    assert time.process_time() - begun < 10
    assert isinstance(value, dict)
    assert list(grammar.unheld) == unheld
    assert sorted(grammar.schema.ignored) == ignored
    assert (grammar.schema.problem(value) is None) == (not unheld or name == "dependencies beside nonsense")


def test_real_specifications_compile_and_their_shortest_calls_are_valid(grammars: JsonGrammars) -> None:
    # All 3,190 at stages.tools' size take some minutes; every 16th here.
    for tool in real.sample(3190)[::16]:
        grammar, value = _shortest(grammars, tool.parameters)
        jsonschema.validate(value, tool.parameters)
        assert len(grammar.shortest) < 250


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_an_expression_that_jsonschema_accepts(name: str) -> None:
    pattern, rng = Pattern(FORMATS[name]), random.Random(0)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for _ in range(20):
        text, states = "", pattern.start
        for _ in range(rng.randint(0, 12)):
            after = {code: pattern.step(states, code) for code in pattern.characters(states, ends=True)}
            codes = [code for code, reached in after.items() if pattern.distance(reached) is not None]
            if not codes:
                break
            text += chr(rng.choice(sorted(codes)))
            states = pattern.read(pattern.start, text)
        rest = shortest_rest([pattern], text, 0, None)
        assert rest is not None
        if not (name == "hostname" and "--" in text + rest):
            checker.check(text + rest, name)


EXPRESSIONS = {
    "^<p>.*</p>$": ("<p></p>", "<p>a</p", ">"),
    "^SELECT .* FROM .*;$": ("SELECT  FROM ;", "SELECT a FR", "OM ;"),
    "abc": ("abc", "xab", "c"),
    "^a|b$": ("a", "xx", "b"),
    "^[A-Z]{3}-[0-9]{4}$": ("AAA-0000", "AB", "A-0000"),
    r"^\w+@\S+\.(com|org)$": ("a@a.com", "x@y.o", "rg"),
    "^(ab){2,3}$": ("abab", "aba", "b"),
    "": ("", "x", ""),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_shortest_text_of_an_expression_and_the_shortest_rest_of_a_begun_one(expression: str) -> None:
    whole, begun, rest = EXPRESSIONS[expression]
    pattern = Pattern(expression)
    found = shortest_rest([pattern], "", 0, None)
    assert found is not None
    assert len(found) == len(whole)
    assert pattern.matches(found)
    assert pattern.matches(whole)
    assert shortest_rest([pattern], begun, 0, None) == rest


@pytest.mark.parametrize("expression", ["^(?!x)", r"(a)\1", r"\bfoo", "[", "*a", "(", "a)", "a(?=b)", "^a{3,1}$"])
def test_an_expression_outside_the_dialect_is_refused(expression: str) -> None:
    with pytest.raises(PatternError):
        Pattern(expression)


def test_a_schema_is_read_once_and_a_long_text_has_a_way_out(grammars: JsonGrammars) -> None:
    schema = _with("minLength", 10_000, **TEXT)
    grammar = grammars.compile(schema, "f", is_object=True)
    assert grammars.compile(schema, "f", is_object=True) is grammar
    writer = JsonWriter(grammars, grammar)
    for token in grammars.tokenizer.encode('{"a": "é'):
        assert writer.accept(token)
    way = writer.way_out()
    assert way is not None
    assert len(json.loads('{"a": "é' + grammars.tokenizer.decode(way.tokens()))["a"]) == 10_000


def test_problems_are_one_line() -> None:
    assert Schema({"$ref": "#"}).problem({}) == "the schema refers to itself without end"
    problem = Schema(_with("pattern", "^(?!x)", **TEXT)).problem({"a": "x"})
    assert problem == "['a']: 'x' does not match '^(?!x)'"


LONG_WAY = r"(?=a)(a|aa)+$"  # each letter more doubles what a backtracking matcher tries


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": LONG_WAY}, "a" * 64 + "b"),
        ({"patternProperties": {LONG_WAY: {"type": "null"}}}, {"a" * 64 + "b": 1}),
        ({"patternProperties": {LONG_WAY: {}}, "additionalProperties": False}, {"a" * 64 + "b": 1}),
    ],
)
def test_a_pattern_that_backtracks_for_hours_is_given_up_and_said(schema: dict[str, Any], value: Any) -> None:
    began = time.monotonic()
    assert Schema(schema).problem(value) == "a pattern of the schema takes more than 1 s to check"
    assert time.monotonic() - began < 30


PROPERTIES: dict[str, Any] = {
    "properties": {"n": {"type": "integer"}},
    "patternProperties": {"^x_": {"type": "string"}, "(?!y)_id$": {"minLength": 2}},
}


@pytest.mark.parametrize("additional", [True, False, {"type": "null"}, {"minimum": 3}])
@pytest.mark.parametrize(
    "value", [{}, {"n": 1}, {"n": "1"}, {"x_a": "b"}, {"x_a": 1}, {"x_id": "a"}, {"z": None}, {"z": 5}, 7]
)
def test_names_by_pattern_are_checked_as_jsonschema_does(value: Any, additional: Any) -> None:
    schema = PROPERTIES | {"additionalProperties": additional}
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (Schema(schema).problem(value) is None) is valid
