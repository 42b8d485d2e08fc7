"""`response_format`: the content is JSON of a schema, whatever the weights; what a grammar can't hold is checked."""

import json
from typing import Any, Literal

import httpx
import jsonschema
import openai
import pytest
from pydantic import BaseModel

from k2model.chat.parse import THINK
from k2model.chat.tokenizer import K2Tokenizer

USER: Any = {"role": "user", "content": "Weather in Oslo?"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


def _format(schema: dict[str, Any]) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True, "description": None}}


def _chat(client: openai.OpenAI, **options: Any) -> Any:
    plain: dict[str, Any] = {"model": "tiny", "messages": [USER], "max_tokens": 80, "seed": 1}
    return client.chat.completions.create(**(plain | options))


@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_content_is_json_of_the_schema(client: openai.OpenAI, temperature: float) -> None:
    answer = _chat(client, response_format=_format(SCHEMA), n=4, temperature=temperature)
    for choice in answer.choices:
        jsonschema.validate(json.loads(choice.message.content), SCHEMA)
        assert choice.finish_reason in ("stop", "length")
        assert choice.message.tool_calls is None
        assert not hasattr(choice.message, "schema_checks")


def test_a_json_object_is_an_object(client: openai.OpenAI) -> None:
    for seed in range(4):
        choice = _chat(client, response_format={"type": "json_object"}, seed=seed).choices[0]
        assert isinstance(json.loads(choice.message.content), dict)


def test_a_stream_is_the_same_json(client: openai.OpenAI) -> None:
    whole = _chat(client, response_format=_format(SCHEMA))
    chunks = list(_chat(client, response_format=_format(SCHEMA), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content


class Forecast(BaseModel):
    city: Literal["Oslo", "Rome"]
    sunny: bool


def test_the_packages_parse_helpers_give_their_model(client: openai.OpenAI, tokenizer: K2Tokenizer) -> None:
    # Thoughts of random weights end with the budget, and then the package raises instead of parsing.
    bias = {str(tokenizer.special[THINK]): -100}
    chat = client.chat.completions.parse(
        model="tiny", messages=[USER], response_format=Forecast, max_tokens=100, seed=1, logit_bias=bias
    )
    assert isinstance(chat.choices[0].message.parsed, Forecast)
    extra = {"seed": 1, "logit_bias": bias}
    made = client.responses.parse(
        model="tiny", input="Oslo?", text_format=Forecast, max_output_tokens=100, extra_body=extra
    )
    assert isinstance(made.output_parsed, Forecast)


def test_a_call_may_come_instead(client: openai.OpenAI) -> None:
    for choice in _chat(client, response_format=_format(SCHEMA), tools=TOOLS, n=6, max_tokens=150).choices:
        content = choice.message.content
        texts = [content] if content else [call.function.arguments for call in choice.message.tool_calls]
        for text in texts:
            jsonschema.validate(json.loads(text), SCHEMA)


def test_what_no_grammar_holds_is_checked_and_said(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "minProperties": 1,
              "additionalProperties": False, "not": {"properties": {"a": {"const": True}}}}  # fmt: skip
    seen = set()
    for seed in range(12):
        for stream in (False, True):
            made = _chat(client, response_format=_format(schema), seed=seed, stream=stream)
            if stream:
                chunks = list(made)
                value = json.loads("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
                (check,) = chunks[-1].choices[0].delta.schema_checks
            else:
                value = json.loads(made.choices[0].message.content)
                (check,) = made.choices[0].message.schema_checks
            assert check["call_id"] is None
            assert check["checked"]
            assert (check["problem"] is None) == (value["a"] is False)
            seen.add(value["a"])
    assert seen == {True, False}


def test_so_are_the_arguments_of_a_call(client: openai.OpenAI) -> None:
    schema = SCHEMA | {"properties": SCHEMA["properties"] | {"days": {"type": "array", "uniqueItems": True}}}
    tools: Any = [{"type": "function", "function": {"name": "GitHub:weather", "parameters": schema}}]
    for choice in _chat(client, tools=tools, tool_choice="required", n=4, max_tokens=200).choices:
        checks = {check["call_id"]: check for check in choice.message.schema_checks}
        for call in choice.message.tool_calls:
            assert call.function.name == "GitHub:weather"
            valid = jsonschema.Draft202012Validator(schema).is_valid(json.loads(call.function.arguments))
            assert (checks[call.id]["problem"] is None) == valid


def test_responses_hold_their_text_to_a_format(client: openai.OpenAI) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}}
    made = client.responses.create(model="tiny", input="Oslo?", text=text, max_output_tokens=80, temperature=0)
    jsonschema.validate(json.loads(made.output_text), SCHEMA)
    loose: Any = {"format": {"type": "json_object"}}
    made = client.responses.create(model="tiny", input="Oslo?", text=loose, max_output_tokens=80, temperature=0)
    assert isinstance(json.loads(made.output_text), dict)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"type": "json_schema"}, "response_format.json_schema: a schema is wanted"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema: Field required"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": 7}}, "response_format.json_schema.schema"),
        ({"type": "grammar", "grammar": "x"}, "response_format.grammar: is not a field"),
        ({"type": "json"}, "response_format.type: Input should be 'text', 'json_object' or 'json_schema'"),
        (_format({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), "response_format"),
        (_format({"type": "array", "minItems": 300, "items": {"type": "integer"}}), "max_tokens: 80 is below"),
    ],
)
def test_formats_that_cannot_be_are_refused(url: str, wanted: Any, message: str) -> None:
    body = {"model": "tiny", "messages": [USER], "max_tokens": 80, "response_format": wanted}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
