from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.loop.context import ContextExhausted, ViewPolicy, count_tokens, view

POLICIES = [
    ViewPolicy("full"),
    ViewPolicy("hide_all"),
    ViewPolicy("hide_old", keep=2),
    ViewPolicy("clip", clip_chars=20),
]
POLICIES.append(ViewPolicy("summary", keep=2))


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "goal"}]
    index = 0
    for _ in range(draw(st.integers(0, 6))):
        calls = []
        for _ in range(draw(st.integers(1, 2))):
            calls.append({"id": f"functions.f:{index}", "function": {"name": "f", "arguments": "{}"}})
            index += 1
        messages.append({"role": "assistant", "content": "", "reasoning_content": "why", "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": c["id"], "content": "o" * draw(st.integers(0, 90))} for c in calls
        ]
    return messages


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from(POLICIES), st.integers(10, 400))
def test_a_view_fits_or_stops_and_never_parts_a_call_from_its_result(
    history: list[dict[str, Any]], policy: ViewPolicy, budget: int
) -> None:
    before = [dict(message) for message in history]
    try:
        shown = view(history, policy, budget)
    except ContextExhausted:
        return
    assert history == before
    assert sum(map(count_tokens, shown)) <= budget
    called = [call["id"] for message in shown for call in message.get("tool_calls") or []]
    answered = [message["tool_call_id"] for message in shown if message["role"] == "tool"]
    assert called == answered
    assert shown[0] == history[0]
    last = [m for m in history if m["role"] == "assistant"][-1:]
    assert all(message in shown for message in last)  # this turn's reasoning and calls
    if history[-1]["role"] == "tool" and policy.name != "clip":
        assert shown[-1] == history[-1]


def test_hide_all_keeps_reasoning_and_hides_earlier_outputs() -> None:
    history = [{"role": "user", "content": "goal"}]
    for k in range(3):
        call = {"id": f"functions.f:{k}", "function": {"name": "f", "arguments": "{}"}}
        history.append({"role": "assistant", "content": "", "reasoning_content": f"why {k}", "tool_calls": [call]})  # type: ignore[dict-item]
        history.append({"role": "tool", "tool_call_id": call["id"], "content": f"output {k}"})  # type: ignore[dict-item]
    shown = view(history, ViewPolicy("hide_all"), 1000)
    assert [m["content"] for m in shown if m["role"] == "tool"] == ["[hidden: 8 chars]"] * 2 + ["output 2"]
    assert [m["reasoning_content"] for m in shown if m["role"] == "assistant"] == ["why 0", "why 1", "why 2"]


def test_what_can_not_fit_says_how_much_there_is() -> None:
    with pytest.raises(ContextExhausted, match=r"tokens under hide_all, the window has 5"):
        view([{"role": "user", "content": "a" * 100}], ViewPolicy("hide_all"), 5)
