"""The bytes of a stream: lines end at \\n alone, whatever stands in the text."""

import json

import httpx
import openai
import pytest

TEXT = "a\u0085b\u2028c\u2029d\u000be\u000cf\u001cg\r\nh"


def _lines(url: str, path: str, **body: object) -> list[bytes]:
    answer = httpx.post(f"{url}/v1/{path}", json={"model": "tiny", "stream": True} | body, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.content.split(b"\n")


def test_a_line_of_a_stream_is_ascii_and_holds_a_whole_event(url: str) -> None:
    lines = _lines(url, "completions", prompt=TEXT, echo=True, max_tokens=3, seed=1)
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines if line and line != b"data: [DONE]"]
    assert events[0]["choices"][0]["text"].startswith(TEXT)
    for line in lines:
        assert line.isascii()
        assert len(line.decode().splitlines()) <= 1


def test_events_have_their_type_in_responses(url: str) -> None:
    lines = _lines(url, "responses", input="Oslo?", max_output_tokens=3, instructions=TEXT)
    kinds = [line.removeprefix(b"event: ").decode() for line in lines if line.startswith(b"event: ")]
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]
    assert kinds == [event["type"] for event in events]
    assert events[0]["response"]["instructions"] == TEXT


@pytest.mark.parametrize("by_lines", [False, True])
def test_readers_that_end_lines_elsewhere_read_the_same(client: openai.OpenAI, url: str, by_lines: bool) -> None:
    if by_lines:  # httpx ends a line at U+0085 and U+2028 too
        body = {"model": "tiny", "prompt": TEXT, "echo": True, "max_tokens": 3, "seed": 1, "stream": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60) as answer:
            lines = [line for line in answer.iter_lines() if line]
        chunks = [json.loads(line.removeprefix("data: "))["choices"][0]["text"] for line in lines[:-1]]
    else:
        stream = client.completions.create(model="tiny", prompt=TEXT, echo=True, max_tokens=3, seed=1, stream=True)
        chunks = [chunk.choices[0].text for chunk in stream]
    assert "".join(chunks).startswith(TEXT)
