"""What clients send beyond the plain request: accepted where it changes nothing, done, or refused by name."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import openai
import pytest
from openai.types import completion_create_params as completion_params
from openai.types.chat import (
    ChatCompletionMessage,
    ChatCompletionStreamOptionsParam,
    chat_completion_assistant_message_param,
    chat_completion_message_function_tool_call,
)
from openai.types.chat import completion_create_params as chat_params
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall
from openai.types.responses import (
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseOutputMessageParam,
    ResponseReasoningItemParam,
    response_create_params,
    response_input_item_param,
)
from openai.types.shared_params import FunctionDefinition, Reasoning

from k2model.serving import api, parameters, responses
from k2model.serving.api import BadRequest, ChatBody, read_body
from k2model.serving.parameters import Decision

USER: Any = {"role": "user", "content": "Weather in Oslo?"}
CALL: Any = {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
ASSISTANT: Any = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: Any = {"role": "tool", "tool_call_id": "call_0", "content": "rain"}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def _post(url: str, path: str = "chat/completions", **fields: Any) -> httpx.Response:
    prompt: dict[str, Any] = {"prompt": "The cat"} if path == "completions" else {"messages": [USER]}
    body = {"model": "tiny", "max_tokens": 4, "seed": 1} | prompt | fields
    return httpx.post(f"{url}/v1/{path}", content=json.dumps(body), timeout=60)


def _ids(url: str, path: str = "chat/completions", **fields: Any) -> list[int]:
    answer = _post(url, path, **fields)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"][0]["token_ids"])


def _fields(*types: Any) -> set[str]:
    return {name for kind in types for name in kind.__annotations__}


OPENAI: list[tuple[Mapping[str, Decision], set[str]]] = [
    (parameters.CHAT, _fields(chat_params.CompletionCreateParamsStreaming)),
    (parameters.COMPLETION, _fields(completion_params.CompletionCreateParamsStreaming)),
    (parameters.RESPONSES, _fields(response_create_params.ResponseCreateParamsStreaming)),
    (parameters.STREAM_OPTIONS, _fields(ChatCompletionStreamOptionsParam)),
    (
        parameters.MESSAGE,
        _fields(chat_completion_assistant_message_param.ChatCompletionAssistantMessageParam, ChatCompletionMessage)
        | _fields(ChoiceDelta),
    ),
    (
        parameters.CALL,
        _fields(chat_completion_message_function_tool_call.ChatCompletionMessageFunctionToolCall, ChoiceDeltaToolCall),
    ),
    (parameters.TOOL_FUNCTION, _fields(FunctionDefinition)),
    (parameters.RESPONSES_TOOL, _fields(FunctionToolParam)),
    (parameters.REASONING, _fields(Reasoning)),
    (parameters.INPUT_MESSAGE, _fields(response_input_item_param.Message, ResponseOutputMessageParam)),
    (parameters.INPUT_CALL, _fields(ResponseFunctionToolCallParam)),
    (parameters.INPUT_CALL_OUTPUT, _fields(response_input_item_param.FunctionCallOutput)),
    (parameters.INPUT_REASONING, _fields(ResponseReasoningItemParam)),
]


@pytest.mark.parametrize(("decisions", "names"), OPENAI)
def test_every_parameter_of_the_openai_package_is_decided(decisions: Mapping[str, Decision], names: set[str]) -> None:
    assert names - decisions.keys() == set()


def _bodies(kind: type[api.RequestObject]) -> list[type[api.RequestObject]]:
    return [body for child in kind.__subclasses__() for body in (child, *_bodies(child))]


@pytest.mark.parametrize("kind", [body for body in _bodies(api.RequestObject) if hasattr(body, "decisions")])
def test_what_is_called_done_is_a_field_that_is_read(kind: type[api.RequestObject]) -> None:
    done = {name for name, decision in kind.decisions.items() if decision.done}
    assert {field.alias or name for name, field in kind.model_fields.items()} == done
    assert responses.ResponsesBody in _bodies(api.RequestObject)


NOTHING: dict[str, list[Any]] = {
    "frequency_penalty": [0, 0.0, None],
    "presence_penalty": [0, None],
    "repetition_penalty": [1.0],
    "response_format": [{"type": "text"}, None],
    "logit_bias": [{}, None],
    "store": [False, None],
    "metadata": [{}, {"user": "7"}, None],
    "n": [1, None],
    "parallel_tool_calls": [True, False, None],
    "service_tier": ["auto", "flex", None],
    "user": ["me", None],
    "stream": [False, None],
    "stream_options": [None, {"include_usage": True}],
    "stop": [None, []],
    "tools": [None, []],
    "tool_choice": [None, "auto", "none"],
    "functions": [None, []],
    "function_call": [None, "auto"],
    "logprobs": [False, None],
    "top_logprobs": [0, None],
    "top_p": [1, None],
    "top_k": [0, -1, None],
    "min_p": [0.0, None],
    "temperature": [1, None],
    "seed": [1],
    "max_completion_tokens": [4, None],
    "modalities": [["text"], None],
    "audio": [None],
    "prediction": [{"type": "content", "content": "x"}, None],
    "reasoning_effort": [None, "medium"],
    "verbosity": [None, "medium"],
    "safety_identifier": ["x"],
    "prompt_cache_key": ["x"],
    "web_search_options": [None],
    "a_parameter_of_tomorrow": [None],
}


@pytest.mark.parametrize("name", NOTHING)
def test_values_that_change_nothing_are_accepted_and_change_nothing(url: str, name: str) -> None:
    plain = _ids(url)
    for value in NOTHING[name]:
        assert _ids(url, **{name: value}) == plain, value


@pytest.mark.parametrize(
    ("name", "value"),
    [("best_of", 1), ("suffix", ""), ("suffix", None), ("echo", False), ("logprobs", None), ("stop", None)],
)
def test_so_they_are_for_completions(url: str, name: str, value: Any) -> None:
    assert _ids(url, "completions", **{name: value}) == _ids(url, "completions")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"web_search_options": {}}, "web_search_options: is not supported here"),
    ({"audio": {"voice": "x"}}, "audio: is not supported here"),
    ({"modalities": ["text", "audio"]}, "modalities: ['text', 'audio'] is not supported here; ['text'] is"),
    ({"store": True}, "store: True is not supported here; False is"),
    ({"reasoning_effort": "high"}, "reasoning_effort: 'high' is not supported"),
    ({"repetition_penalty": 1.1}, "repetition_penalty: 1.1 is not supported here; 1 is"),
    ({"functions": [{"name": "f"}]}, "functions: "),
    ({"function_call": {"name": "f"}}, "function_call: "),
    ({"ignore_eos": True}, "ignore_eos: True is not supported"),
    ({"a_parameter_of_tomorrow": 0}, "a_parameter_of_tomorrow: is not a field of this request"),
    ({"stream_options": {"every": 1}}, "stream_options.every: is not a field"),
    ({"frequency_penalty": 3}, "frequency_penalty: "),
    ({"presence_penalty": -2.5}, "presence_penalty: "),
    ({"min_p": 1.5}, "min_p: "),
    ({"top_k": -2}, "top_k: "),
    ({"top_logprobs": 2}, "top_logprobs: needs logprobs"),
    ({"logit_bias": {"7": 101}}, "logit_bias.7: "),
    ({"logit_bias": {"a": 1}}, "logit_bias.a"),
    ({"logit_bias": {"99999": 1}}, "logit_bias: token 99999 is outside the vocabulary"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].custom: is not a field"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name: "),
    ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.allowed_tools"),
    ({"messages": [USER | {"audio": {"id": "x"}}]}, "messages[0].audio: is not supported here"),
    ({"messages": [USER | {"mood": "good"}]}, "messages[0].mood: is not a field of this request"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "'image_url'"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content: part 0 has no text"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content: int is neither text nor a list of parts"),
    ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}]}, "messages[1].function_call: "),
    ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL | {"type": "custom"}]}]}, "tool_calls[0].type"),
    ({"messages": [USER, RESULT]}, "'call_0' answers no earlier call"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_would_change_the_answer_is_refused_by_name(url: str, change: dict[str, Any], message: str) -> None:
    answer = _post(url, **change)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert error["param"]
    assert error["type"] == "invalid_request_error"
    assert "\n" not in error["message"]


def test_bodies_that_are_no_request_are_refused_in_one_line(url: str) -> None:
    for content in (b"", b"[]", b"null", b"{", b'{"model": NaN}', b"[" * 5000, b'{"seed": ' + b"1" * 5000 + b"}"):
        answer = httpx.post(f"{url}/v1/chat/completions", content=content)
        assert answer.status_code == 400, content[:20]
        message = answer.json()["error"]["message"]
        assert len(message) < 200
        assert "\n" not in message
    missing = httpx.get(f"{url}/v1/files")
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == "GET /v1/files: Not Found"


def test_a_message_is_taken_as_its_client_dumps_it(client: openai.OpenAI, url: str) -> None:
    options: Any = {"model": "tiny", "messages": [USER], "max_tokens": 40, "seed": 1}
    message = client.chat.completions.create(**options, tools=TOOLS, tool_choice="required").choices[0].message
    assert message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]
    plain = {
        "role": "assistant",
        "content": message.content,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": call.function.model_dump()} for call in message.tool_calls
        ],
    }
    wanted = _ids(url, messages=[USER, plain, *results])
    for dumped in (message.model_dump(), json.loads(message.to_json()), message.model_dump(exclude_none=True)):
        assert _ids(url, messages=[USER, dumped, *results]) == wanted


ECHOES: list[dict[str, Any]] = [
    {"refusal": None, "annotations": [], "audio": None, "function_call": None},
    {"annotations": None, "parse_errors": [{"problem": "text between tool calls", "text": "x"}]},
    {"parsed": None, "provider_specific_fields": {"refusal": None}, "name": None, "tool_call_id": None},
    {"tool_calls": [CALL | {"index": 0}]},
    {"tool_calls": [CALL | {"type": None, "index": 0, "custom": None}]},
    {"tool_calls": [CALL | {"function": CALL["function"] | {"parsed_arguments": {"city": "Oslo"}}}]},
    {"tool_calls": [CALL | {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
    {"content": None},
    {"content": []},
    {"content": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]},
]


@pytest.mark.parametrize("echo", ECHOES)
def test_what_clients_echo_changes_nothing(url: str, echo: dict[str, Any]) -> None:
    assert _ids(url, messages=[USER, ASSISTANT | echo, RESULT]) == _ids(url, messages=[USER, ASSISTANT, RESULT])


def test_reasoning_goes_by_both_names(url: str) -> None:
    thought = [
        _ids(url, messages=[USER, ASSISTANT | {name: "look"}, RESULT]) for name in ("reasoning", "reasoning_content")
    ]
    assert thought[0] == thought[1] != _ids(url, messages=[USER, ASSISTANT, RESULT])


@pytest.mark.parametrize("arguments", ["", "  ", None, "{}"])
def test_no_arguments_are_an_empty_object(url: str, arguments: str | None) -> None:
    call = CALL | {"function": {"name": "now", "arguments": arguments}}
    wanted = CALL | {"function": {"name": "now", "arguments": "{}"}}
    assert _ids(url, messages=[USER, ASSISTANT | {"tool_calls": [call]}, RESULT]) == _ids(
        url, messages=[USER, ASSISTANT | {"tool_calls": [wanted]}, RESULT]
    )


def test_calls_of_one_id_are_answered_in_order(url: str) -> None:
    second = CALL | {"function": {"name": "clock", "arguments": "{}"}}
    results = [RESULT, RESULT | {"content": "noon"}]
    ordered = [CALL | {"id": "a"}, second | {"id": "b"}]
    apart = [RESULT | {"tool_call_id": "a"}, RESULT | {"tool_call_id": "b", "content": "noon"}]
    assert _ids(url, messages=[USER, ASSISTANT | {"tool_calls": [CALL, second]}, *results]) == _ids(
        url, messages=[USER, ASSISTANT | {"tool_calls": ordered}, *apart]
    )


def test_half_a_surrogate_pair_is_a_replacement_character(url: str) -> None:
    wanted = _ids(url, messages=[{"role": "user", "content": "a\ufffdb"}])
    body = '{"model": "tiny", "max_tokens": 4, "seed": 1, "messages": [{"role": "user", "content": "a\\ud800b"}]}'
    answer = httpx.post(f"{url}/v1/chat/completions", content=body)
    assert answer.json()["choices"][0]["token_ids"] == wanted
    refused = _post(url, model="a\ud800b")
    assert refused.status_code == 404
    assert "a\ufffdb" in refused.json()["error"]["message"]


def test_a_refused_field_is_named_without_its_value_at_length() -> None:
    with pytest.raises(BadRequest, match=r"^store: '\w+\.\.\. is not supported here; False is$"):
        read_body(ChatBody, json.dumps({"model": "m", "messages": [USER], "store": "x" * 5000}).encode())


def test_sampling_parameters_do_what_they_say(url: str) -> None:
    free = _post(url, "completions", max_tokens=30, logprobs=2, temperature=1.5).json()["choices"][0]
    first = free["token_ids"][0]
    greedy = _ids(url, "completions", temperature=0, max_tokens=30)
    assert _ids(url, "completions", temperature=1.5, max_tokens=30, top_k=1) == greedy
    assert _ids(url, "completions", temperature=1.5, max_tokens=30, min_p=1.0) == greedy
    assert first not in _ids(url, "completions", temperature=1.5, max_tokens=30, logit_bias={str(first): -100})
    assert set(_ids(url, "completions", max_tokens=5, logit_bias={str(first): 100})) == {first}
    forced = {"max_tokens": 30, "temperature": 0, "logit_bias": {str(first): 30}}
    repeats = _ids(url, "completions", **forced).count(first)
    assert _ids(url, "completions", **forced, frequency_penalty=2).count(first) < repeats == 30
    assert _ids(url, "completions", temperature=0, max_tokens=30, presence_penalty=2) != greedy


ODD: list[Any] = [True, -1, 1e308, 10**40, "x", [], [None], ["\ud800"], {"type": "x"}]


@pytest.mark.parametrize(
    ("path", "plain", "decisions"),
    [
        ("chat/completions", {"messages": [USER], "max_tokens": 1}, parameters.CHAT),
        ("completions", {"prompt": "x", "max_tokens": 1}, parameters.COMPLETION),
        ("responses", {"input": "x", "max_output_tokens": 1}, parameters.RESPONSES),
    ],
)
def test_no_value_of_a_parameter_is_an_error_of_the_server(
    url: str, path: str, plain: dict[str, Any], decisions: Mapping[str, Decision]
) -> None:
    with httpx.Client(base_url=f"{url}/v1", timeout=60) as client:
        for name in decisions:
            for value in ODD:
                answer = client.post(path, content=json.dumps({"model": "tiny"} | plain | {name: value}))
                assert answer.status_code in (200, 400, 404), (name, value, answer.text)
                if answer.status_code != 200:
                    message = answer.json()["error"]["message"]
                    assert name in message or "exceed the context" in message, (name, value, message)
                    assert "\n" not in message
                    assert len(message) < 300


@pytest.mark.parametrize(
    ("place", "decisions"),
    [("message", parameters.MESSAGE), ("call", parameters.CALL), ("tool", parameters.TOOL_FUNCTION)],
)
def test_no_value_inside_a_message_or_a_tool_is_one_either(
    url: str, place: str, decisions: Mapping[str, Decision]
) -> None:
    with httpx.Client(base_url=f"{url}/v1", timeout=60) as client:
        for name in decisions:
            for value in ODD:
                call, message, function = dict(CALL), dict(ASSISTANT), dict(TOOLS[0]["function"])
                {"message": message, "call": call, "tool": function}[place][name] = value
                if place == "call":
                    message["tool_calls"] = [call]
                tools = [{"type": "function", "function": function}]
                body = {"model": "tiny", "max_tokens": 1, "messages": [USER, message], "tools": tools}
                answer = client.post("chat/completions", content=json.dumps(body))
                assert answer.status_code in (200, 400), (name, value, answer.text)
