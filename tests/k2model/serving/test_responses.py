"""/v1/responses as the `openai` package drives it: text, function calls and their outputs, whole and streaming."""

import json
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from k2model.chat.parse import END_SECTION, SECTION
from k2model.chat.tokenizer import K2Tokenizer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "name": "weather", "description": "Weather.", "parameters": SCHEMA, "strict": True}]
ASK = "Weather in Oslo?"


@pytest.fixture
def calling(tokenizer: K2Tokenizer) -> dict[str, Any]:
    """Options under which random weights make one call at once."""
    bias = {str(tokenizer.special[name]): 100 for name in (SECTION, END_SECTION)}
    options = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "max_output_tokens": 150}
    return options | {"extra_body": {"seed": 1, "logit_bias": bias}}


def _create(client: openai.OpenAI, **options: Any) -> Any:
    plain: dict[str, Any] = {"model": "tiny", "input": ASK, "max_output_tokens": 40, "extra_body": {"seed": 1}}
    return client.responses.create(**(plain | options))


def _strict(response: Response) -> None:
    """Valid by the package's own types, which it doesn't check itself."""
    Response.model_validate(response.model_dump(by_alias=True), strict=False)


def test_text_is_what_the_chat_gives(client: openai.OpenAI) -> None:
    response = _create(client, instructions="Be brief.", temperature=0.8)
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]
    chat = client.chat.completions.create(model="tiny", messages=messages, max_tokens=40, seed=1, temperature=0.8)
    _strict(response)
    assert response.output_text == chat.choices[0].message.content
    assert response.usage is not None
    assert chat.usage is not None
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.usage.output_tokens == chat.usage.completion_tokens
    assert response.status == {"length": "incomplete", "stop": "completed"}[chat.choices[0].finish_reason]
    assert (response.incomplete_details is not None) == (response.status == "incomplete")
    assert response.instructions == "Be brief."


def test_usage_says_what_the_cache_had(client: openai.OpenAI) -> None:
    first, again = (_create(client, input="Usage of responses, never asked before").usage for _ in range(2))
    assert first.input_tokens_details.cached_tokens < first.input_tokens - 16
    assert again.input_tokens_details.cached_tokens == again.input_tokens - 1
    assert again.input_tokens == first.input_tokens


def test_what_the_package_and_its_users_send_by_default_is_accepted(client: openai.OpenAI) -> None:
    plain = _create(client).output_text
    neutral: dict[str, Any] = {
        "store": True, "background": False, "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"},
        "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"summary": "auto", "effort": "medium"},
        "service_tier": "auto", "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tools": [],
        "tool_choice": "auto", "top_p": 1, "temperature": None, "truncation": "disabled", "user": "me",
        "prompt_cache_key": "k", "safety_identifier": "s", "max_tool_calls": 3,
    }  # fmt: skip
    for name, value in neutral.items():
        assert _create(client, **{name: value}).output_text == plain, name
    assert _create(client, metadata={"a": "b"}).metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id: is not supported here"),
        ({"conversation": "c"}, "conversation: is not supported here"),
        ({"background": True}, "background: True is not supported"),
        ({"truncation": "auto"}, "truncation: 'auto' is not supported here; 'disabled' is"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort: 'high' is not supported"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": []}, "input: neither text nor a list of items"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]: an item of type 'item_reference'"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "call_id": "x", "name": ""}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, "'x' answers no earlier call"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "name": "x"}}, "'x' is no declared tool"),
        ({"tools": TOOLS, "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.server_label"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": -1}, "temperature"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(url: str, change: dict[str, Any], message: str) -> None:
    answer = httpx.post(f"{url}/v1/responses", json={"model": "tiny", "input": ASK, "max_output_tokens": 5} | change)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert "\n" not in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_made_and_their_outputs_go_back(client: openai.OpenAI, calling: dict[str, Any], stream: bool) -> None:
    dialog: list[Any] = [{"role": "user", "content": ASK}]
    for turn in range(2):
        made = _create(client, input=dialog, stream=stream, **calling)
        if stream:
            events = list(made)
            (made,) = [event.response for event in events if event.type == "response.completed"]
            done = [event for event in events if event.type == "response.function_call_arguments.done"]
            assert [event.arguments for event in done] == [
                i.arguments for i in made.output if i.type == "function_call"
            ]
        _strict(made)
        assert made.status == "completed"
        (call,) = [item for item in made.output if item.type == "function_call"]
        assert call.call_id == f"functions.weather:{turn}"
        jsonschema.validate(json.loads(call.arguments), SCHEMA)
        # As the package's documentation has it: the items go back as they came, with the call's output.
        dialog += made.output if turn == 0 else [item.model_dump() for item in made.output]
        dialog.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    assert _create(client, input=dialog, tools=TOOLS, tool_choice="none").output_text is not None


def test_a_dialog_is_the_same_prompt_as_that_of_a_chat(client: openai.OpenAI) -> None:
    arguments = '{"city": "Oslo", "days": 2}'
    items: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASK}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "look"}]},
        {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": None}]},
        {"type": "function_call", "id": "fc", "call_id": "a", "name": "weather", "arguments": arguments},
        {"type": "function_call", "call_id": "b", "name": "weather", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "rain"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "sun"}]},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks."},
    ]  # fmt: skip
    calls: list[Any] = [
        {"id": name, "type": "function", "function": {"name": "weather", "arguments": text}}
        for name, text in (("a", arguments), ("b", "{}"))
    ]
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ASK},
        {"role": "assistant", "reasoning_content": "look", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "rain"},
        {"role": "tool", "tool_call_id": "b", "content": "sun"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks."},
    ]
    response = _create(client, input=items)
    chat = client.chat.completions.create(model="tiny", messages=messages, max_tokens=40, seed=1)
    assert chat.usage is not None
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.output_text == chat.choices[0].message.content


def test_a_stream_is_the_same_answer_in_events_of_the_packages_types(client: openai.OpenAI) -> None:
    _create(client)  # so that the cache has the prompt in both cases
    whole = _create(client)
    events = list(_create(client, stream=True))
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for number, event in enumerate(events):
        adapter.validate_python(event.model_dump(by_alias=True))
        assert event.sequence_number == number
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage
    assert events[-1].type == f"response.{whole.status}"


def test_the_packages_stream_helper_accumulates_the_answer(client: openai.OpenAI, calling: dict[str, Any]) -> None:
    with client.responses.stream(model="tiny", input=ASK, **calling) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert calls
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), SCHEMA)


def test_reasoning_is_an_item_of_its_own(client: openai.OpenAI) -> None:
    for seed in range(400):
        response = _create(client, temperature=60.0, max_output_tokens=14, tools=TOOLS, tool_choice="none",
                           extra_body={"seed": seed})  # fmt: skip
        if response.output and response.output[0].type == "reasoning":
            _strict(response)
            assert response.usage.output_tokens_details.reasoning_tokens > 0
            events = list(_create(client, temperature=60.0, max_output_tokens=14, tools=TOOLS, tool_choice="none",
                                  stream=True, extra_body={"seed": seed}))  # fmt: skip
            text = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
            assert text == response.output[0].content[0].text
            return
    pytest.fail("no seed thinks")


def test_log_probabilities_come_with_the_text(client: openai.OpenAI) -> None:
    response = _create(client, include=["message.output_text.logprobs"], top_logprobs=2)
    _strict(response)
    (part,) = response.output[0].content
    assert len(part.logprobs) == response.usage.output_tokens
    assert all(len(entry.top_logprobs) == 2 for entry in part.logprobs)
