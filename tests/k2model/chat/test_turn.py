"""Reading token by token equals reading the text, and no text can stand in for a marker."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2model.chat.parse import Problem
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
def test_a_turn_reads_the_same_whole_and_token_by_token(
    tokenizer: K2Tokenizer, reasoning: str, content: str, calls: list[str]
) -> None:
    section = "".join(_call(name, '{"x": "é"}') for name in calls)
    text = f"<think>{reasoning}</think>{content}"
    text += f"<|tool_calls_section_begin|>{section}<|tool_calls_section_end|>" if calls else ""
    ids = tokenizer.encode(text + "<|im_end|>", parse_special=True)
    parsed = parse_ids(tokenizer, ids)
    assert (parsed.reasoning, parsed.content, parsed.errors) == (reasoning, content, [])
    assert [(call.id, call.arguments) for call in parsed.tool_calls] == [
        (f"functions.{name}", '{"x": "é"}') for name in calls
    ]
    reader, deltas = TurnReader(tokenizer), []
    for token in ids:
        deltas += reader.feed([token])
    assert gather([*deltas, *reader.close()]) == parsed


def test_a_spelled_marker_is_text(tokenizer: K2Tokenizer) -> None:
    spelled = tokenizer.encode("<|tool_calls_section_begin|></think>")
    parsed = parse_ids(tokenizer, [*spelled, tokenizer.im_end])
    assert (parsed.content, parsed.errors) == ("<|tool_calls_section_begin|></think>", [])


def test_a_call_in_letters_is_text_and_an_answer_about_markers_is_an_answer(tokenizer: K2Tokenizer) -> None:
    call = "<|tool_calls_section_begin|>" + _call("a:0", "{}") + "<|tool_calls_section_end|>"
    for answer in (call, "Close it with </think>.", "<think>is a marker", "[EOS]", "It ends with <|im_end|>"):
        parsed = parse_ids(tokenizer, [*tokenizer.encode(answer), tokenizer.im_end])
        assert (parsed.content, parsed.tool_calls, parsed.errors) == (answer, [], [])


def _section(inside: str) -> str:
    return f"<|tool_calls_section_begin|>{inside}<|tool_calls_section_end|>"


@pytest.mark.parametrize(
    "name", ["GitHub:create_branch", "get weather", "wetter_für", "a:1", "検索", "functions.x", "<b>"]
)
def test_the_name_of_a_call_ends_at_the_last_colon(tokenizer: K2Tokenizer, name: str) -> None:
    parsed = parse_ids(tokenizer, tokenizer.encode(_section(_call(f"{name}:12", "{}")), parse_special=True))
    assert [(call.name, call.id) for call in parsed.tool_calls] == [(name, f"functions.{name}:12")]


@pytest.mark.parametrize("arguments", ["", "  ", "null", "{}", " {} "])
def test_nothing_is_no_arguments(tokenizer: K2Tokenizer, arguments: str) -> None:
    parsed = parse_ids(tokenizer, tokenizer.encode(_section(_call("a:0", arguments)), parse_special=True))
    assert [call.arguments for call in parsed.tool_calls] == ["{}"]


@pytest.mark.parametrize(
    "arguments",
    ['{"x": ' + "[" * 9000, '{"x": ' + "[" * 9000 + "]" * 9000 + "}", '{"x": ' + "1" * 4400 + "}", '{"x": NaN}', "[1]"],
    ids=["open brackets", "deep", "4400 digits", "NaN", "list"],
)
def test_arguments_that_nothing_can_use_are_a_typed_error(tokenizer: K2Tokenizer, arguments: str) -> None:
    parsed = parse_ids(tokenizer, tokenizer.encode(_section(_call("a:0", arguments)), parse_special=True))
    assert [error.problem for error in parsed.errors] == [Problem.BAD_JSON]


def test_half_a_surrogate_pair_in_arguments_becomes_the_replacement_character(tokenizer: K2Tokenizer) -> None:
    written = _section(_call("a:0", r'{"x": "\ud800", "y": "\ud83d\ude00"}'))
    parsed = parse_ids(tokenizer, tokenizer.encode(written, parse_special=True))
    assert parsed.tool_calls[0].arguments == '{"x": "\ufffd", "y": "\U0001f600"}'


@pytest.mark.parametrize("stop", ["</", "think", "tool", '"', ":", "hm", "{"])
def test_stop_strings_leave_thinking_markers_and_calls_alone(tokenizer: K2Tokenizer, stop: str) -> None:
    text = "<think>hm</think>so" + _section(_call("a:0", '{"x": "</think>"}'))
    ids = tokenizer.encode(text, parse_special=True)
    assert parse_ids(tokenizer, ids, stops=[stop]) == parse_ids(tokenizer, ids)


def test_a_stop_string_ends_the_content_and_with_it_the_turn(tokenizer: K2Tokenizer) -> None:
    ids = tokenizer.encode("<think>b</think>a b c" + _section(_call("a:0", "{}")), parse_special=True)
    cut = parse_ids(tokenizer, ids, stops=["b"])
    assert (cut.reasoning, cut.content, cut.tool_calls) == ("b", "a ", [])
    # What could have begun a stop string is content when a marker follows.
    held = parse_ids(tokenizer, ids, stops=["c and"])
    assert (held.content, len(held.tool_calls)) == ("a b c", 1)


FULL = (
    "<think>hm</think>text<|tool_calls_section_begin|><|tool_call_begin|>functions.a:0<|tool_call_argument_begin|>"
    '{"x": 1}<|tool_call_end|><|tool_call_begin|>functions.b:1<|tool_call_argument_begin|>{}<|tool_call_end|>'
    "<|tool_calls_section_end|><|im_end|>"
)


def test_a_turn_cut_anywhere_gives_whole_calls_and_says_what_is_open(tokenizer: K2Tokenizer) -> None:
    ids = tokenizer.encode(FULL, parse_special=True)
    whole = parse_ids(tokenizer, ids).tool_calls
    first, last = (ids.index(tokenizer.special[f"<|tool_calls_section_{side}|>"]) for side in ("begin", "end"))
    for cut in range(len(ids)):
        parsed = parse_ids(tokenizer, ids[:cut])
        assert parsed.tool_calls == whole[: len(parsed.tool_calls)]
        says = any(error.problem in (Problem.OPEN_SECTION, Problem.OPEN_CALL) for error in parsed.errors)
        assert says == (first < cut <= last)


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("functions.a:0{}", Problem.NO_ARGUMENTS),
        ("search<|tool_call_argument_begin|>{}", Problem.BAD_ID),
        ("functions.a:0<|tool_call_argument_begin|>{'x': 1}", Problem.BAD_JSON),
        ("functions.a:0<|tool_call_argument_begin|>[1]", Problem.BAD_JSON),
    ],
)
def test_a_malformed_call_is_kept_as_a_typed_error(tokenizer: K2Tokenizer, inside: str, problem: Problem) -> None:
    written = _section(f"<|tool_call_begin|>{inside}<|tool_call_end|>")
    parsed = parse_ids(tokenizer, tokenizer.encode(written, parse_special=True))
    assert parsed.tool_calls == []
    assert [(error.problem, error.text) for error in parsed.errors] == [(problem, inside)]


PARTS = [*MARKERS, "<|im_end|>", "functions.a:0", "{}", "text", '{"x"', " "]


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
