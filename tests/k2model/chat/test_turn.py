"""Reading token by token equals reading the text, and no text can stand in for a marker."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2model.chat.parse import Problem, parse_completion
from k2model.chat.tokenizer import MARKERS, SPECIAL, K2Tokenizer, train_tokenizer
from k2model.chat.turn import StopStrings, TurnReader, gather, parse_ids


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20, '{"city": "Oslo", "n": 12}' * 20], 290))


def _call(name: str, arguments: str) -> str:
    return f"<|tool_call_begin|>functions.{name}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


plain = st.text(max_size=12).filter(lambda text: not any(mark in text for mark in (*SPECIAL, *MARKERS)))


@settings(max_examples=60, deadline=None)
@given(reasoning=plain, content=plain, calls=st.lists(st.sampled_from(["a:0", "b-c:1"]), max_size=2))
def test_a_turn_reads_the_same_from_ids_and_from_text(
    tokenizer: K2Tokenizer, reasoning: str, content: str, calls: list[str]
) -> None:
    section = "".join(_call(name, '{"x": "é"}') for name in calls)
    text = f"<think>{reasoning}</think>{content}"
    text += f"<|tool_calls_section_begin|>{section}<|tool_calls_section_end|>" if calls else ""
    ids = tokenizer.encode(text + "<|im_end|>", parse_special=True)
    assert parse_ids(tokenizer, ids) == parse_completion(text)
    reader, deltas = TurnReader(tokenizer), []
    for token in ids:
        deltas += reader.feed([token])
    assert gather([*deltas, *reader.close()]) == parse_completion(text)


def test_a_spelled_marker_is_text(tokenizer: K2Tokenizer) -> None:
    spelled = tokenizer.encode("<|tool_calls_section_begin|></think>")
    parsed = parse_ids(tokenizer, [*spelled, tokenizer.im_end])
    assert (parsed.content, parsed.errors) == ("<|tool_calls_section_begin|></think>", [])


PARTS = [*MARKERS, "<|im_end|>", "functions.a:0", "{}", "text", '{"x"']


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(PARTS), max_size=10))
def test_nothing_is_dropped(tokenizer: K2Tokenizer, pieces: list[str]) -> None:
    ids = tokenizer.encode("".join(pieces), parse_special=True)
    parsed = parse_ids(tokenizer, ids)
    everything = parsed.reasoning + parsed.content + "".join(error.text for error in parsed.errors)
    everything += "".join(call.id + call.arguments for call in parsed.tool_calls)
    for text in ("text", '{"x"', "functions.a:0"):
        assert everything.count(text) >= "".join(pieces).count(text)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("<think>hm", [Problem.OPEN_THINK]),
        ("<think>hm<|tool_calls_section_begin|>", [Problem.STRAY_MARKER, Problem.OPEN_THINK]),
        ("<|tool_calls_section_begin|>" + _call("a:0", "{}"), [Problem.OPEN_SECTION]),
        ("<|tool_calls_section_begin|><|tool_call_begin|>func", [Problem.OPEN_CALL, Problem.OPEN_SECTION]),
        ("<|tool_calls_section_begin|>x<|tool_calls_section_end|>", [Problem.STRAY_TEXT]),
        ("<|tool_calls_section_begin|>" + _call("a:0", "[]") + "<|tool_calls_section_end|>", [Problem.BAD_JSON]),
        ("a<|tool_call_end|>b", [Problem.STRAY_MARKER]),
    ],
)
def test_what_is_malformed_is_said(tokenizer: K2Tokenizer, text: str, problems: list[Problem]) -> None:
    parsed = parse_ids(tokenizer, tokenizer.encode(text, parse_special=True))
    assert [error.problem for error in parsed.errors] == problems


@settings(max_examples=100, deadline=None)
@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=3), max_size=2), st.integers(0, 99))
def test_stop_strings_cut_where_the_whole_text_would(text: str, stops: list[str], seed: int) -> None:
    rng, stop, out, rest = random.Random(seed), StopStrings(stops), "", text
    while rest:
        n = rng.randint(1, 3)
        out += stop.feed(rest[:n])
        rest = rest[n:]
    out += stop.close()
    places = [text.find(s) for s in stops if s in text]
    assert stop.stopped == bool(places)
    # The cut is at the first stop that is complete, and never shows a part of it.
    assert text.startswith(out)
    if places:
        assert not any(s in out for s in stops)
    else:
        assert out == text
