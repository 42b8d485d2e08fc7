"""The enforcer: whatever the model, calls parse and satisfy their schemas (judged by `jsonschema`)."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from k2model.chat import messages as chat
from k2model.chat.parse import ids_in_order
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.chat.turn import parse_ids
from k2model.config import K2Config
from k2model.errors import ConfigError
from k2model.inference.generate import Engine
from k2model.inference.grammar import ToolGrammar
from k2model.inference.request import Request
from k2model.model import K2Model

torch.set_num_threads(1)


def _tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


WEATHER = _tool(
    "get-weather",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
ORDER = _tool(
    "order.create",
    {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                        "n": {"type": "number"},
                    },
                    "required": ["sku", "n"],
                },
            },
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 5}]},
            "to": {"$ref": "#/$defs/place"},
        },
        "required": ["items", "to"],
        "$defs": {"place": {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]}},
    },
)
PING = _tool("ping", {})
TOOLS = [WEATHER, ORDER, PING]


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    text = ['{"city": "Oslo", "unit": "celsius"}' * 20, "The cat sat on the mat. " * 20, "functions.ping:0 " * 20]
    return K2Tokenizer(train_tokenizer(text, 310))


@pytest.fixture(scope="module")
def grammar(tokenizer: K2Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer)


def _walk(constraint: Any, seed: int, max_tokens: int, stay: float = 0.0) -> list[int]:
    """A model of random weights: any allowed token. `stay` is how often it declines to close anything."""
    rng = np.random.default_rng(seed)
    ids: list[int] = []
    while not constraint.finished() and len(ids) < max_tokens:
        choices = constraint.allowed().nonzero().squeeze(1).numpy()
        letters = choices[choices < 256]
        ids.append(int(rng.choice(letters if len(letters) and rng.random() < stay else choices)))
        constraint.accept(ids[-1])
    return ids


def _check(tokenizer: K2Tokenizer, ids: list[int], tools: list[dict[str, Any]], first: int, required: bool) -> int:
    parsed = parse_ids(tokenizer, ids)
    assert ids[-1] == tokenizer.im_end
    assert parsed.errors == []
    assert ids_in_order(parsed.tool_calls, first)
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    for call in parsed.tool_calls:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    assert parsed.tool_calls or not required
    return len(parsed.tool_calls)


@pytest.mark.parametrize("stay", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("budget", [90, 150, 600])
def test_every_call_of_a_random_walk_is_valid(grammar: ToolGrammar, stay: float, budget: int) -> None:
    for seed in range(6):
        constraint = grammar.turn(TOOLS, max_tokens=budget, choice="required", first_index=seed)
        ids = _walk(constraint, seed, budget, stay)
        assert constraint.finished()
        assert _check(grammar.tokenizer, ids, TOOLS, seed, True) >= 1


def test_every_call_of_a_model_with_random_weights_is_valid(tokenizer: K2Tokenizer) -> None:
    config = K2Config.preset("smoke", vocab_size=384, max_position_embeddings=1024)
    model = K2Model(config, seed=4)
    grammar = ToolGrammar(tokenizer, config.vocab_size)
    prompt = chat.encode_prompt(tokenizer, [{"role": "user", "content": "weather?"}], [WEATHER])
    requests = [
        Request(prompt, 120, temperature=t, seed=k, constraint=grammar.turn(TOOLS, max_tokens=120, choice="required"))
        for k, t in enumerate([0.0, *[1.0] * 7, *[3.0] * 8])
    ]
    results = Engine(model, tokenizer, max_batch=8, max_length=512).generate(requests)
    assert {result.finish_reason for result in results} <= {"stop", "length"}
    calls = sum(_check(tokenizer, result.ids, TOOLS, 0, True) for result in results)
    assert calls >= len(results)


scalars = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number", "minimum": 0},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", "bc", 3]},
        {"type": "string", "minLength": 2, "maxLength": 4},
        {"const": "x"},
    ]
)
keys = st.text("abcdefgh_", min_size=1, max_size=6)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def build(properties: dict[str, Any], closed: bool, needed: bool) -> dict[str, Any]:
        schema = {"type": "object", "properties": properties, "required": sorted(properties) if needed else []}
        return schema | ({"additionalProperties": False} if closed else {})

    return st.builds(build, st.dictionaries(keys, inner, max_size=3), st.booleans(), st.booleans())


arrays = st.builds(lambda item: {"type": "array", "items": item, "maxItems": 3}, scalars)
schemas = _objects(st.one_of(scalars, arrays, _objects(scalars)))


@settings(max_examples=25, deadline=None)
@given(schema=schemas, seed=st.integers(0, 1000), stay=st.sampled_from([0.0, 0.95]))
def test_any_schema(grammar: ToolGrammar, schema: dict[str, Any], seed: int, stay: float) -> None:
    tools = [_tool("f", schema)]
    constraint = grammar.turn(tools, max_tokens=300, choice="required")
    _check(grammar.tokenizer, _walk(constraint, seed, 300, stay), tools, 0, True)


def test_auto_may_answer_and_none_never_calls(grammar: ToolGrammar) -> None:
    markers = grammar.tokenizer.special
    free = grammar.turn(TOOLS, max_tokens=500)
    assert free.allowed()[markers["<|tool_calls_section_begin|>"]]
    assert free.allowed()[markers["<think>"]]
    assert free.allowed()[markers["<|im_end|>"]]
    assert not free.allowed()[markers["<|tool_call_begin|>"]]
    short = grammar.turn(TOOLS, max_tokens=20).allowed()
    assert short.sum() > 200  # too short for a call, long enough for an answer
    assert not short[markers["<|tool_calls_section_begin|>"]]
    for seed, budget in [(0, 2), (1, 3), *[(k, 14) for k in range(20)], (2, 30), (3, 120), (4, 300), (5, 300)]:
        auto = grammar.turn(TOOLS, max_tokens=budget, first_index=7)
        _check(grammar.tokenizer, _walk(auto, seed, budget), TOOLS, 7, False)
    for seed in range(5):
        none = grammar.turn(TOOLS, max_tokens=60, choice="none")
        assert _check(grammar.tokenizer, _walk(none, seed, 60), TOOLS, 0, False) == 0
    needed = grammar.turn(TOOLS, max_tokens=200, choice="required")
    assert not needed.allowed()[markers["<|im_end|>"]]


def test_a_named_function_is_the_only_one_called_and_once(grammar: ToolGrammar) -> None:
    for seed in range(4):
        constraint = grammar.turn(TOOLS, max_tokens=100, function="ping", parallel=False)
        parsed = parse_ids(grammar.tokenizer, _walk(constraint, seed, 100))
        assert [call.name for call in parsed.tool_calls] == ["ping"]


def test_tokens_that_the_grammar_forbids_are_refused(grammar: ToolGrammar) -> None:
    constraint = grammar.turn(TOOLS, max_tokens=100)
    with pytest.raises(ConfigError, match="not allowed here"):
        constraint.accept(grammar.tokenizer.special["<|tool_call_end|>"])


@pytest.mark.parametrize(
    ("tools", "options", "message"),
    [
        ([PING], {"choice": "maybe"}, "tool_choice: 'maybe'"),
        ([PING], {"function": "pong"}, "'pong' is no declared tool"),
        ([PING, PING], {}, "'ping' is declared twice"),
        ([], {"choice": "required"}, "no tools are declared"),
        ([_tool("x", {"type": "array"})], {}, r"tools\[0\].function.parameters: the schema of 'x'"),
        ([{"type": "function", "function": {}}], {}, r"tools\[0\].function.name: None"),
        ([_tool("x", {"properties": {"a": {"type": "wrong"}}})], {}, "the schema of 'x' can't be enforced"),
        ([WEATHER], {"choice": "required", "max_tokens": 5}, "max_tokens: 5 is below the"),
    ],
)
def test_what_can_not_be_is_named(
    grammar: ToolGrammar, tools: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        grammar.turn(tools, **({"max_tokens": 100} | options))
