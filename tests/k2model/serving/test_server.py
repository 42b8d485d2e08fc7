"""Chats and completions of a real server process, driven by the `openai` package."""

import concurrent.futures
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest
import torch

from k2model.chat import messages as chat
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids
from k2model.formats.checkpoint import load_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.request import Request

torch.set_num_threads(1)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "description": "Weather.", "parameters": SCHEMA}}]
ASK: Any = [{"role": "user", "content": "Weather in Oslo?"}]


def _chat(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**({"model": "tiny", "messages": ASK, "max_tokens": 40, "seed": 1} | options))


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "tiny"


def test_a_chat_is_what_the_engine_generates(client: openai.OpenAI, folder: Path, tokenizer: K2Tokenizer) -> None:
    prompt = chat.encode_prompt(tokenizer, ASK)
    request = Request(prompt, 40, temperature=0.8, seed=1, stop_ids=frozenset({tokenizer.im_end, tokenizer.eos}))
    (wanted,) = Engine(load_checkpoint(folder), tokenizer, max_length=600).generate([request])
    found = _chat(client, temperature=0.8, logprobs=True, top_logprobs=3)
    choice = found.choices[0]
    assert choice.token_ids == wanted.ids
    assert found.usage.prompt_tokens == len(prompt)
    assert found.usage.completion_tokens == len(wanted.ids)
    assert choice.finish_reason == wanted.finish_reason
    parsed = parse_ids(tokenizer, wanted.ids)
    assert choice.message.content == parsed.content
    logprobs = [entry.logprob for entry in choice.logprobs.content]
    assert logprobs == pytest.approx(wanted.logprobs, abs=1e-5)
    best = choice.logprobs.content[0].top_logprobs
    assert len(best) == 3
    assert best[0].logprob >= best[1].logprob >= best[2].logprob


def test_seeds_name_the_answer(client: openai.OpenAI) -> None:
    first, again, other = (_chat(client, seed=seed).choices[0].token_ids for seed in (5, 5, 6))
    assert first == again != other


def test_n_choices_differ(client: openai.OpenAI) -> None:
    found = _chat(client, n=3)
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    assert len({tuple(choice.token_ids) for choice in found.choices}) == 3
    assert found.usage.completion_tokens == sum(len(choice.token_ids) for choice in found.choices)


def test_usage_says_what_the_cache_had(client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "Usage of chats, never asked before"}]
    first = _chat(client, messages=asked, n=2)
    assert first.usage.prompt_tokens_details.cached_tokens < first.usage.prompt_tokens - 16
    answer = first.choices[0].message
    more: Any = [*asked, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "Go on"}]
    *_, last = _chat(client, messages=more, stream=True, stream_options={"include_usage": True})
    cached = last.usage.prompt_tokens_details.cached_tokens
    assert first.usage.prompt_tokens - 1 <= cached < last.usage.prompt_tokens
    again = _chat(client, messages=more, n=3)
    assert again.usage.prompt_tokens_details.cached_tokens == last.usage.prompt_tokens - 1
    texts = client.completions.create(model="tiny", prompt=[list(range(40)), list(range(41))], max_tokens=1)
    assert texts.usage is not None and texts.usage.prompt_tokens_details is not None
    assert texts.usage.prompt_tokens_details.cached_tokens == 40  # of the second


def test_a_stream_is_the_same_answer_in_pieces(client: openai.OpenAI) -> None:
    _chat(client)  # so that the cache has the prompt in both cases
    whole = _chat(client)
    chunks = list(_chat(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    ids = [token for chunk in chunks if chunk.choices for token in chunk.choices[0].token_ids]
    assert ids == whole.choices[0].token_ids
    assert len(chunks) > 5
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason


@pytest.mark.parametrize("stream", [False, True])
def test_required_calls_are_valid_whatever_the_weights(client: openai.OpenAI, stream: bool) -> None:
    for seed in range(3):
        options = {"tools": TOOLS, "tool_choice": "required", "max_tokens": 120, "seed": seed}
        if stream:
            chunks = list(_chat(client, stream=True, **options))
            calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
            assert [call.index for call in calls] == list(range(len(calls)))
            finish = chunks[-1].choices[0].finish_reason
        else:
            choice = _chat(client, **options).choices[0]
            calls, finish = choice.message.tool_calls, choice.finish_reason
        assert finish in ("tool_calls", "length")  # length: the budget ended an argument
        assert calls
        for k, call in enumerate(calls):
            assert call.id == f"functions.weather:{k}"
            jsonschema.validate(json.loads(call.function.arguments), SCHEMA)


def test_a_tool_loop_counts_on_and_foreign_ids_are_rewritten(client: openai.OpenAI) -> None:
    call = {"id": "call_abc", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [
        *ASK,
        {"role": "assistant", "content": "", "reasoning_content": "look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "rain"},
    ]
    named = {"type": "function", "function": {"name": "weather"}}
    found = _chat(client, messages=history, tools=TOOLS, tool_choice=named, max_tokens=120, parallel_tool_calls=False)
    assert [call.id for call in found.choices[0].message.tool_calls] == ["functions.weather:1"]


def test_reasoning_is_apart_from_content(client: openai.OpenAI, tokenizer: K2Tokenizer) -> None:
    # Random weights think when a nearly even draw falls on the marker; some thoughts are cut.
    for seed in range(0, 1280, 128):
        found = _chat(client, tools=TOOLS, tool_choice="none", max_tokens=14, temperature=100.0, seed=seed, n=128)
        for choice in found.choices:
            text = tokenizer.decode(choice.token_ids)
            if text.startswith("<think>"):
                reasoning, closed, content = text[len("<think>") :].partition("</think>")
                assert closed or choice.finish_reason == "length"
                assert (choice.message.reasoning_content or "") == reasoning
                assert choice.message.content == content.removesuffix("<|im_end|>")
                return
    pytest.fail("no seed thinks")


def test_completions_take_and_give_token_ids(client: openai.OpenAI, tokenizer: K2Tokenizer) -> None:
    text = "The cat"
    ids = tokenizer.encode(text)
    options: Any = {"model": "tiny", "max_tokens": 12, "seed": 3, "logprobs": 2}
    by_text = client.completions.create(prompt=text, **options)
    by_ids = client.completions.create(prompt=ids, **options)
    one, two = by_text.choices[0], by_ids.choices[0]
    assert one.token_ids == two.token_ids
    assert one.prompt_token_ids == ids
    assert len(one.logprobs.token_logprobs) == len(one.token_ids)
    both = client.completions.create(prompt=[ids, [1, 2, 3]], **options)
    assert [choice.token_ids == one.token_ids for choice in both.choices] == [True, False]
    streamed = list(client.completions.create(prompt=text, stream=True, **options))
    assert "".join(chunk.choices[0].text for chunk in streamed) == one.text


def test_a_stop_string_ends_the_text_before_it(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "prompt": "The cat", "max_tokens": 40, "seed": 3}
    free = client.completions.create(**options).choices[0]
    stop = free.text[6:8]
    cut = client.completions.create(stop=stop, **options).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.text == free.text[: free.text.index(stop)]
    streamed = client.completions.create(stop=[stop], stream=True, **options)
    assert "".join(chunk.choices[0].text for chunk in streamed) == cut.text


def test_many_at_once_share_the_batch_and_do_not_disturb_each_other(client: openai.OpenAI) -> None:
    alone = [_chat(client, seed=seed).choices[0].token_ids for seed in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: _chat(client, seed=seed).choices[0].token_ids, range(6)))
    assert together == alone


def test_a_stream_that_is_left_frees_its_slot(client: openai.OpenAI, url: str) -> None:
    for seed in range(6):  # more than there are slots
        stream = _chat(client, stream=True, max_tokens=400, seed=seed)
        next(iter(stream))
        stream.close()
    started = time.monotonic()
    assert _chat(client, max_tokens=5).choices[0].token_ids
    assert time.monotonic() - started < 30


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]}, "'x' answers no earlier call"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 100000}, "exceed the context of 600"),
    ({"frequency": 1}, "frequency: is not a field"),
    ({"stop": ""}, "stop: an empty string"),
    ({"tool_choice": "required"}, "no tools are declared"),
    ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "'x' is no declared tool"),
    ({"tools": TOOLS, "tool_choice": "required", "max_tokens": 3}, "max_tokens: 3 is below"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
        "parameters of 'f'",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_requests_are_400_and_say_why(url: str, change: dict[str, Any], message: str) -> None:
    body = {"model": "tiny", "messages": ASK, "max_tokens": 5} | change
    answer = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"


def test_other_bad_requests(client: openai.OpenAI, url: str) -> None:
    assert httpx.post(f"{url}/v1/chat/completions", content=b"{").status_code == 400
    with pytest.raises(openai.NotFoundError, match="'other' is not served here; 'tiny' is"):
        _chat(client, model="other")
    with pytest.raises(openai.BadRequestError, match="token 99999 is outside the vocabulary"):
        client.completions.create(model="tiny", prompt=[99999])
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(model="tiny", prompt=[])
