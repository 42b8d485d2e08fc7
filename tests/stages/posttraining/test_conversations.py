"""Long trajectories are cut after a whole turn of the assistant, with the tools that it needs."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gym.benchmarks.open import open_benchmark
from gym.decontaminate import Index
from gym.sandbox.workspace import BASH, EDIT, SEARCH, VIEW
from k2model.chat.messages import encode_chat
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from stages.harness.tables import TRAJECTORIES, write_table
from stages.posttraining.conversations import clean, cut, declares, encode, trajectories

TOOLS = [
    {"type": "function", "function": {"name": f"tool_{letter}", "description": "Does one thing.", "parameters": {}}}
    for letter in "abcdef"
]


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer(["The cat sat on the mat. " * 20, json.dumps(TOOLS) * 4], 290))


def _dialog(calls: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "s"}, {"role": "user", "content": "do it"}]
    for index, letter in enumerate(calls):
        name = f"tool_{letter}"
        call = {
            "id": f"functions.{name}:{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps({"n": index})},
        }
        messages.append({"role": "assistant", "content": "", "reasoning_content": "next", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "done"})
    return [*messages, {"role": "assistant", "content": "Done.", "reasoning_content": ""}]


def _length(tokenizer: K2Tokenizer, messages: Any, tools: Any) -> int:
    return len(encode_chat(tokenizer, messages, tools).ids) - 1


def test_kept_trajectories_of_the_sources_come_in_file_order(tmp_path: Path) -> None:
    kinds = {pa.string(): "", pa.int32(): 1, pa.int64(): 1, pa.bool_(): True}
    empty = {field.name: kinds[field.type] for field in TRAJECTORIES}
    sources = ["llm", "coding", "request"]
    rows = [
        empty | {"messages": json.dumps([{"n": n}]), "tools": "null", "source": sources[n % 3], "kept": n % 4 > 0}
        for n in range(3000)
    ]
    write_table(tmp_path / "t.parquet", rows, TRAJECTORIES)
    kept = [n for n in range(3000) if n % 4]
    assert trajectories(tmp_path / "t.parquet") == [([{"n": n}], None) for n in kept]
    found = trajectories(tmp_path / "t.parquet", "coding", "request", "single")
    assert found == [([{"n": n}], None) for n in kept if n % 3]


def test_what_fits_is_left_whole(tokenizer: K2Tokenizer) -> None:
    messages = _dialog("ab")
    examples, indices, fitted = encode(tokenizer, [(messages, TOOLS)], _length(tokenizer, messages, TOOLS))
    assert [list(e.ids) for e in examples] == [encode_chat(tokenizer, messages, TOOLS).ids]
    assert (indices, fitted.cut, fitted.too_long) == ([0], 0, 0)


def test_a_long_one_is_cut_after_a_turn_and_declares_the_called_tools_and_others(tokenizer: K2Tokenizer) -> None:
    messages = _dialog("dbfa")
    # The first two calls with the tools b and d and two others fit exactly.
    wanted = messages[:5], [TOOLS[k] for k in (0, 1, 2, 3)]
    longest = _length(tokenizer, *wanted)
    assert cut(tokenizer, messages, TOOLS, longest) == wanted
    (example,), _, fitted = encode(tokenizer, [(messages, TOOLS)], longest, cut_long=True)
    whole = encode_chat(tokenizer, *wanted)
    assert (list(example.ids), list(example.loss_mask)) == (whole.ids, whole.loss_mask)
    assert whole.ids[-1] == tokenizer.im_end and whole.loss_mask[-1]
    assert (fitted.cut, fitted.too_long) == (1, 0)


def test_unless_asked_it_is_left_out(tokenizer: K2Tokenizer) -> None:
    messages = _dialog("dbfa")
    examples, _, fitted = encode(tokenizer, [(messages, TOOLS)], _length(tokenizer, messages, TOOLS) - 1)
    assert (examples, fitted.cut, fitted.too_long) == ([], 0, 1)


def test_one_token_less_costs_a_turn(tokenizer: K2Tokenizer) -> None:
    messages = _dialog("dbfa")
    longest = _length(tokenizer, messages[:5], TOOLS[:4]) - 1
    found = cut(tokenizer, messages, TOOLS, longest)
    assert found is not None
    assert found == (messages[:3], [TOOLS[0], TOOLS[3]])


def test_where_no_turn_fits_it_is_counted_and_left_out(tokenizer: K2Tokenizer) -> None:
    examples, indices, fitted = encode(tokenizer, [(_dialog("a"), TOOLS), (_dialog("b"), TOOLS)], 20, cut_long=True)
    assert (examples, indices, fitted.cut, fitted.too_long) == ([], [], 0, 2)


def test_rounds_that_are_cut_at_the_same_turn_are_learned_once(tokenizer: K2Tokenizer) -> None:
    first = _dialog("abc")
    first[-1]["reasoning_content"] = "so it is done"
    messages = [*first, {"role": "user", "content": "more"}, {"role": "assistant", "content": "No."}]
    longest = _length(tokenizer, first[:3], TOOLS[:2])
    examples, _, fitted = encode(tokenizer, [(messages, TOOLS)], longest, cut_long=True)
    assert (len(examples), fitted.cut) == (1, 1)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "hello"}],
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        [{"role": "system", "content": "only tools are declared"}],
        [],
    ],
)
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_a_conversation_in_which_the_assistant_says_nothing_is_left_out_and_counted(
    tokenizer: K2Tokenizer, messages: list[dict[str, Any]], tools: Any
) -> None:
    examples, indices, fitted = encode(tokenizer, [(messages, tools), (_dialog("a"), TOOLS)], 4096)
    assert (len(examples), indices, fitted.no_targets) == (1, [1], 1)


def test_one_that_ends_with_the_user_is_learned_for_what_the_assistant_said(tokenizer: K2Tokenizer) -> None:
    answered = _dialog("a")
    answered[-1]["reasoning_content"] = "so it is done"
    messages = [*answered, {"role": "user", "content": "and now?"}]
    (example,), _, fitted = encode(tokenizer, [(messages, TOOLS)], 4096)
    assert example.targets > 0 and fitted.no_targets == 0


def test_a_conversation_that_declares_a_function_of_a_benchmark_is_left_out() -> None:
    index = Index()
    index.add("asks", ["which seven blue owls live in the old northern forest near the great lake"])
    index.add_tools("declares", ["kites.ToolC"])
    shared = [{"role": "user", "content": "Which seven blue owls live in the old northern forest near the great lake?"}]
    some = [(_dialog("ab"), TOOLS[:2]), (_dialog("ab"), TOOLS[:3]), (_dialog("a"), None), (shared, TOOLS)]
    assert clean(some, index) == ([some[0], some[2]], 2)
    assert [declares(one, index) for one in some] == [False, True, False, True]
    assert clean(some, Index()) == (some, 0)


def test_tools_of_coding_sessions_have_no_benchmark_s_name() -> None:
    """A session that declares one is left out of every training: BFCL has a `search`."""
    index = Index()
    for bench in ("bfcl", "bfcl_multi_turn"):
        index.add_tools(bench, open_benchmark(bench).tool_names())
    assert index.tool("search")
    named = [tool["function"]["name"] for tool in (BASH, VIEW, SEARCH, EDIT)]
    assert [name for name in named if index.tool(name)] == []
