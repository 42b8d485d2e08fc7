"""What of a long history a model sees: a pure function of the history, a policy and a budget.

A call is never split from its result, the reasoning of the current turn is never dropped, and a view fits the budget
or `ContextExhausted` is raised. `hide_all` is K2 Thinking's rule: every earlier tool output becomes a placeholder.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Message = Mapping[str, Any]
Count = Callable[[Message], int]
Name = Literal["full", "hide_all", "hide_old", "clip", "summary"]


class ContextExhausted(Exception):
    """No view of the history fits the budget under the policy."""


@dataclass(frozen=True)
class ViewPolicy:
    """`keep`: tool outputs that `hide_old` shows, or steps that `summary` shows; `clip_chars`: of each output."""

    name: Name = "full"
    keep: int = 4
    clip_chars: int = 400


def count_tokens(message: Message) -> int:
    """About four characters a token, and a few for the markup of a turn."""
    text = str(message.get("content") or "") + str(message.get("reasoning_content") or "")
    calls = message.get("tool_calls") or []
    return 4 + (len(text) + sum(len(c["id"]) + len(str(c["function"]["arguments"])) for c in calls) + 3) // 4


def placeholder(message: Message) -> dict[str, Any]:
    """A tool message whose output is hidden; what it answers stays readable."""
    return dict(message) | {"content": f"[hidden: {len(str(message.get('content') or ''))} chars]"}


def _clip(message: Message, chars: int) -> dict[str, Any]:
    text = str(message.get("content") or "")
    if len(text) <= chars:
        return dict(message)
    half = chars // 2
    return dict(message) | {"content": f"{text[:half]}[{len(text) - 2 * half} chars cut]{text[-half:]}"}


def _current_step(history: Sequence[Message]) -> int:
    """Where the newest assistant message with calls stands; what follows are its results."""
    places = [k for k, message in enumerate(history) if message["role"] == "assistant" and message.get("tool_calls")]
    return places[-1] if places else len(history)


def _summarised(history: Sequence[Message], keep: int) -> list[dict[str, Any]]:
    """Older steps as one note: the reasoning, which calls were made, how each result began."""
    steps = [k for k, message in enumerate(history) if message["role"] == "assistant" and message.get("tool_calls")]
    if len(steps) <= keep:
        return [dict(message) for message in history]
    first, cut = steps[0], steps[-keep] if keep else len(history)
    lines = []
    results = {
        message["tool_call_id"]: str(message.get("content") or "") for message in history if message["role"] == "tool"
    }
    for message in history[first:cut]:
        if message.get("reasoning_content"):
            lines.append(str(message["reasoning_content"]))
        for call in message.get("tool_calls") or []:
            arguments = call["function"]["arguments"]
            written = arguments if isinstance(arguments, str) else json.dumps(arguments)
            lines.append(f"{call['function']['name']}({written[:40]}) -> {results.get(call['id'], '')[:40]}")
    note = {"role": "system", "content": "Earlier steps: " + "; ".join(lines)}
    others = [dict(m) for m in history[first:cut] if m["role"] == "user"]
    return [*(dict(m) for m in history[:first]), *others, note, *(dict(m) for m in history[cut:])]


Memo = dict[tuple[int, bool], tuple[Message, int]]


def view(
    history: Sequence[Message], policy: ViewPolicy, budget: int, count: Count = count_tokens, memo: Memo | None = None
) -> list[Message]:
    """The messages that the model sees.

    Args:
        memo: remembers shown messages and their sizes by index; for a history that only grows, and one policy.

    Raises:
        ContextExhausted: they have more than `budget` tokens even so.
    """
    if policy.name == "summary":
        shown: list[Message] = list(_summarised(history, policy.keep))
        size = sum(count(message) for message in shown)
    else:
        shown, size = _hidden(history, policy, count, {} if memo is None else memo)
    if size > budget:
        raise ContextExhausted(f"{size} tokens under {policy.name}, the window has {budget}")
    return shown


def _hidden(history: Sequence[Message], policy: ViewPolicy, count: Count, memo: Memo) -> tuple[list[Message], int]:
    """Every message, tool outputs that the policy hides or clips replaced; and their tokens."""
    current = _current_step(history)
    outputs = [k for k, message in enumerate(history) if message["role"] == "tool"]
    hidden: set[int] = set()
    if policy.name in ("hide_all", "hide_old"):
        kept = set(outputs[-policy.keep :]) if policy.name == "hide_old" and policy.keep else set()
        hidden = {k for k in outputs if k < current and k not in kept}
    shown: list[Message] = []
    size = 0
    for index, message in enumerate(history):
        key = (index, index in hidden)
        if key not in memo:
            if index in hidden:
                message = placeholder(message)
            elif message["role"] == "tool" and policy.name == "clip":
                message = _clip(message, policy.clip_chars)
            memo[key] = (message, count(message))
        message, tokens = memo[key]
        shown.append(message)
        size += tokens
    return shown, size
