"""What is too big for the context costs nothing, and a long stop string no time."""

import time

import httpx
import openai
import pytest

from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import StopStrings

HUGE = "The cat sat. " * 50_000
USER = {"role": "user", "content": "Weather in Oslo?"}
CALLABLE = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"const": "x" * 30}}, "required": ["a"]}}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("chat/completions", {"messages": [USER | {"content": HUGE}]}, "messages"),
        ("completions", {"prompt": ["a", HUGE]}, "prompt"),
        ("responses", {"input": HUGE}, "input"),
    ],
)
def test_a_huge_prompt_is_refused_before_it_is_parted_into_tokens(
    url: str, path: str, body: dict[str, object], field: str
) -> None:
    answer = httpx.post(f"{url}/v1/{path}", json={"model": "tiny"} | body, timeout=60)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert " bytes exceeds the context of 600" in error["message"]


def test_a_prompt_of_the_longest_tokens_still_fits(client: openai.OpenAI, tokenizer: K2Tokenizer) -> None:
    longest = max(tokenizer.token_bytes(), key=len)
    assert len(longest) < 40
    text = longest.decode() * 20  # a marker's name in text is several tokens
    assert client.completions.create(model="tiny", prompt=text, max_tokens=1).usage


@pytest.mark.parametrize(
    "body",
    [
        {"max_output_tokens": 100_000},
        {"max_output_tokens": 3, "tool_choice": "required", "tools": [{"type": "function", **CALLABLE}]},
    ],
)
def test_a_budget_that_cannot_be_has_the_callers_name(url: str, body: dict[str, object]) -> None:
    answer = httpx.post(f"{url}/v1/responses", json={"model": "tiny", "input": "Oslo?"} | body, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "max_output_tokens"


def test_a_chats_budget_has_the_name_that_it_was_given(url: str) -> None:
    body = {"model": "tiny", "messages": [USER], "tools": [{"type": "function", "function": CALLABLE}]}
    body |= {"tool_choice": "required", "max_completion_tokens": 3}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "max_completion_tokens"


def test_a_long_stop_string_takes_no_time() -> None:
    stops = StopStrings(["a" * 100_000])
    begun = time.monotonic()
    shown = "".join(stops.feed(piece) for piece in ["xa", "aa", "b", "aa"])
    assert time.monotonic() - begun < 0.5
    assert shown == "xaaab"
    assert stops.close() == "aa"
