"""Context policies: properties over random histories, K2's rule against a second account of it, examples."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.loop.context import (
    RESTARTS,
    RULES,
    ContextExhausted,
    ContextPolicy,
    ContextWindow,
    Message,
    count_tokens,
)

History = list[dict[str, Any]]
EVERY = settings(max_examples=150, deadline=None)


def step(index: int, *outputs: str, reasoning: str = "") -> History:
    """A message with a call for each output, and the results."""
    calls = [
        {"id": f"functions.f:{index + k}", "function": {"name": "f", "arguments": f'{{"n": {index + k}}}'}}
        for k in range(len(outputs))
    ]
    said = {"role": "assistant", "content": "", "reasoning_content": reasoning or f"why {index}", "tool_calls": calls}
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": output}
        for call, output in zip(calls, outputs, strict=True)
    ]
    return [said, *results]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Turns of a user with steps of one or two calls, all but the last one answered; ends where a model is asked."""
    messages: History = [{"role": "system", "content": "rules"}] if draw(st.booleans()) else []
    index = 0
    turns = draw(st.integers(1, 3))
    for turn in range(turns):
        messages.append({"role": "user", "content": f"goal {turn}"})
        for _ in range(draw(st.integers(0, 6))):
            outputs = ["o" * size for size in draw(st.lists(st.integers(0, 200), min_size=1, max_size=2))]
            messages += step(index, *outputs)
            index += len(outputs)
        if turn < turns - 1:
            messages.append({"role": "assistant", "content": f"answer {turn}"})
    return messages


HISTORY_POLICY_BUDGET = (histories(), st.sampled_from(list(RULES)), st.integers(10, 900))


def requests(history: Sequence[Message]) -> Iterator[int]:
    """The lengths of the history at which a model was asked."""
    yield from (k for k, message in enumerate(history) if message["role"] == "assistant")
    yield len(history)


def fresh(history: Sequence[Message], policy: ContextPolicy, budget: int) -> list[Message] | None:
    """The view, from nothing but the history; None where no view fits."""
    try:
        return ContextWindow(policy, budget).view(history)
    except ContextExhausted:
        return None


@EVERY
@given(*HISTORY_POLICY_BUDGET)
def test_a_view_fits_or_stops_keeps_every_request_and_never_parts_a_call_from_its_result(
    history: History, policy: ContextPolicy, budget: int
) -> None:
    before = [dict(message) for message in history]
    shown = fresh(history, policy, budget)
    assert history == before
    if shown is None:
        return
    assert sum(map(count_tokens, shown)) <= budget
    called = [call["id"] for message in shown for call in message.get("tool_calls") or []]
    answered = [message["tool_call_id"] for message in shown if message["role"] == "tool"]
    assert called == answered
    task = [message for message in history if message["role"] in ("system", "user")]
    assert [message for message in shown if message in task] == task
    calling = [k for k, message in enumerate(history) if message.get("tool_calls")]
    if calling and policy != "discard_all":
        newest = calling[-1]  # its reasoning, calls and results
        assert shown[newest - len(history) :] == history[newest:]
    if policy in ("keep_all", "hide_on_overflow", "hide_all_but_last"):
        assert [message for message in shown if message["role"] != "tool"] == [
            message for message in history if message["role"] != "tool"
        ]


@EVERY
@given(*HISTORY_POLICY_BUDGET)
def test_views_step_by_step_are_those_of_the_history_afterwards(
    history: History, policy: ContextPolicy, budget: int
) -> None:
    growing = ContextWindow(policy, budget)
    for length in requests(history):
        try:
            shown: list[Message] | None = growing.view(history[:length])
        except ContextExhausted:
            shown = None
        assert shown == fresh(history[:length], policy, budget)


@EVERY
@given(*HISTORY_POLICY_BUDGET)
def test_a_view_of_a_view_is_the_view(history: History, policy: ContextPolicy, budget: int) -> None:
    shown = fresh(history, policy, budget)
    if shown is not None:
        assert fresh(shown, policy, budget) == shown


@EVERY
@given(histories(), st.integers(10, 900))
def test_outputs_are_hidden_only_when_the_window_is_full_and_stay_hidden(history: History, budget: int) -> None:
    """K2's rule once more, by numbers of messages."""
    sizes = [count_tokens(message) for message in history]
    hidden_sizes = [
        count_tokens(message | {"content": f"[hidden: {len(message['content'])} chars]"}) for message in history
    ]
    hidden: set[int] = set()
    for length in requests(history):
        size = sum(hidden_sizes[k] if k in hidden else sizes[k] for k in range(length))
        if size > budget:
            newest = max((k for k in range(length) if history[k].get("tool_calls")), default=0)
            hidden |= {k for k in range(newest) if history[k]["role"] == "tool"}
            size = sum(hidden_sizes[k] if k in hidden else sizes[k] for k in range(length))
        shown = fresh(history[:length], "hide_on_overflow", budget)
        assert (shown is None) == (size > budget)
        if shown is not None:
            assert {k for k in range(length) if shown[k] != history[k]} == hidden


def test_hiding_at_every_request_shows_the_newest_step_alone() -> None:
    history = [{"role": "user", "content": "goal"}, *step(0, "output 0"), *step(1, "output 1", "output 2")]
    roomy = ContextWindow("hide_on_overflow", 1000).view(history)
    assert roomy == history
    shown = ContextWindow("hide_all_but_last", 1000).view(history)
    assert [m["content"] for m in shown if m["role"] == "tool"] == ["[hidden: 8 chars]", "output 1", "output 2"]
    assert [m["reasoning_content"] for m in shown if m["role"] == "assistant"] == ["why 0", "why 1"]


def test_discarding_leaves_the_task_and_a_note_with_the_number_of_the_restart_and_has_a_bound() -> None:
    task = [{"role": "system", "content": "rules"}, {"role": "user", "content": "goal"}]
    window, history = ContextWindow("discard_all", 400), list(task)
    restarts: list[str] = []
    with pytest.raises(ContextExhausted, match=r"tokens under discard_all, the window has 400"):
        for index in range(1000):
            shown = window.view(history)
            assert shown[:2] == task
            notes = [m["content"] for m in shown[2:] if m["role"] == "system"]
            restarts += notes if notes != restarts[-1:] else []
            if len(shown) == 3:
                assert notes == [
                    "The context was full, so everything after the task was dropped and you start over, "
                    f"time {len(restarts)} of {RESTARTS}."
                ]
            history += step(index, "x" * 200)
    assert len(restarts) == RESTARTS > 1


def test_a_summary_names_calls_and_beginnings_of_results_and_leaves_answers_in_their_order() -> None:
    first = step(0, "r" * 60, "short", reasoning="t" * 300)
    history = [
        {"role": "user", "content": "goal"},
        *first,
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "more"},
        *step(2, "a" * 60),
        *step(3, "b" * 60),
    ]
    shown = ContextWindow("summarise", sum(map(count_tokens, history)) - 1).view(history)
    assert [message["role"] for message in shown] == [
        "user",
        "system",
        "assistant",
        "user",
        "system",
        "assistant",
        "tool",
    ]
    assert shown[1]["content"] == (f'Earlier steps: {"t" * 200}…; f({{"n": 0}}) -> {"r" * 40}…; f({{"n": 1}}) -> short')
    assert shown[4]["content"] == f'Earlier steps: why 2; f({{"n": 2}}) -> {"a" * 40}…'
    assert shown[5:] == history[-2:]


def test_what_can_not_fit_says_how_much_there_is() -> None:
    with pytest.raises(ContextExhausted, match=r"42 tokens under hide_on_overflow, the window has 5"):
        ContextWindow("hide_on_overflow", 5).view([{"role": "user", "content": "a" * 100}])
