"""What of a long history a model is shown: context policies by name, one function each.

    keep_all            everything stays; a history that doesn't fit is the end of the run
    hide_on_overflow    K2 Thinking's rule: tool outputs stay as long as everything fits; when a request would exceed
                        the window, all but those of the newest step become placeholders
    hide_all_but_last   the same at every request, whether or not there is room
    discard_all         when a request would exceed the window, everything after the task goes and the agent starts over
    summarise           when a request would exceed the window, all steps but the newest become a short note

What a rule made of the history stays so, and messages are only added until the rule applies again: with a rule of
overflows a server's prefix cache breaks once per overflow, not at each step. A call is never split from its result, and
messages of users and the system always stay.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Message = Mapping[str, Any]
Count = Callable[[Message], int]
ContextPolicy = Literal["keep_all", "hide_on_overflow", "hide_all_but_last", "discard_all", "summarise"]
# (what is shown so far, the overflows before this one) → what stands for it from here on
Rule = Callable[[Sequence[Message], int], list[Message]]

DEFAULT: ContextPolicy = "hide_on_overflow"
RESTARTS = 10  # of discard_all; then its history is kept, and ends where it no longer fits
THOUGHT, EXCERPT = 200, 40  # characters that a note keeps of a step's reasoning and text, of arguments and of a result
_HIDDEN = re.compile(r"\[hidden: \d+ chars\]")


class ContextExhausted(Exception):
    """No view of the history fits the budget under the policy."""


def count_tokens(message: Message) -> int:
    """A token for three bytes, eight for the markup of a turn and six for that of a call.

    It is meant to be rather too high: hiding early costs little, a request that the server refuses ends the run.
    """
    calls = message.get("tool_calls") or []
    texts = [message.get("content"), message.get("reasoning_content"), message.get("tool_call_id")]
    texts += [text for call in calls for text in (call["id"], call["function"]["arguments"])]
    return 8 + 6 * len(calls) + (sum(len(str(text or "").encode()) for text in texts) + 2) // 3


def keep_all(shown: Sequence[Message], overflows: int) -> list[Message]:
    return list(shown)


def hide_outputs(shown: Sequence[Message], overflows: int) -> list[Message]:
    """Placeholders for the tool outputs of all steps but the newest; reasoning and calls stay."""
    newest = _newest_step(shown)
    hidden = [_placeholder(message) if message["role"] == "tool" else message for message in shown[:newest]]
    return [*hidden, *shown[newest:]]


def discard_all(shown: Sequence[Message], overflows: int) -> list[Message]:
    """The messages of users and the system, and a note that the agent starts over."""
    if overflows >= RESTARTS:
        return list(shown)
    task = [m for m in shown if m["role"] in ("system", "user") and m != _restart_note(overflows)]
    return [*task, _restart_note(overflows + 1)]


def summarise(shown: Sequence[Message], overflows: int) -> list[Message]:
    """A note in the place of each row of steps but the newest step; answers to the user stay."""
    newest = _newest_step(shown)
    kept: list[Message] = []
    lines: list[str] = []
    open_calls: dict[str, str] = {}
    for message in shown[:newest]:
        if message["role"] == "tool":
            result = _short(str(message.get("content") or ""), EXCERPT)
            lines.append(f"{open_calls[message['tool_call_id']]} -> {result}")
        elif message.get("tool_calls"):
            texts = [message.get("reasoning_content"), message.get("content")]
            lines += [_short(str(text), THOUGHT) for text in texts if text]
            open_calls = {call["id"]: _written(call["function"]) for call in message["tool_calls"]}
        else:
            kept += [*_step_note(lines), message]
            lines = []
    return [*kept, *_step_note(lines), *shown[newest:]]


RULES: Mapping[ContextPolicy, Rule] = {
    "keep_all": keep_all,
    "hide_on_overflow": hide_outputs,
    "hide_all_but_last": hide_outputs,
    "discard_all": discard_all,
    "summarise": summarise,
}


class ContextWindow:
    """The views of one growing history under a policy.

    A view is a function of history, policy, budget and count alone: it is made by going through the requests of the
    history (before each message of the assistant, and at its end), so a new window gives an old history the view that
    it had. A window that is asked at each step goes on from its last view, and counts each message once.
    """

    def __init__(self, policy: ContextPolicy, budget: int, count: Count = count_tokens) -> None:
        self.policy, self.budget, self.count = policy, budget, count
        self._shown: list[Message] = []
        self._size = self._overflows = 0
        self._read = 0  # messages of the history
        self._asked = -1  # the length of the history at the last request
        self._counted: dict[int, tuple[Message, int]] = {}  # by identity, which the kept message keeps unique

    def view(self, history: Sequence[Message]) -> list[Message]:
        """The messages that the model is shown; `history` begins with what was given before.

        Raises:
            ContextExhausted: they have more than `budget` tokens under the policy.
        """
        for message in history[self._read :]:
            if message["role"] == "assistant":
                self._request()
            self._shown.append(message)
            self._size += self._tokens(message)
            self._read += 1
        self._request()
        if self._size > self.budget:
            raise ContextExhausted(f"{self._size} tokens under {self.policy}, the window has {self.budget}")
        return list(self._shown)

    def _request(self) -> None:
        """Applies the rule where the model is asked and the policy wants it."""
        if self._asked == self._read:
            return
        self._asked = self._read
        overflow = self._size > self.budget
        if overflow or self.policy == "hide_all_but_last":
            self._shown = RULES[self.policy](self._shown, self._overflows)
            self._size = sum(map(self._tokens, self._shown))
            self._overflows += overflow

    def _tokens(self, message: Message) -> int:
        if id(message) not in self._counted:
            self._counted[id(message)] = message, self.count(message)
        return self._counted[id(message)][1]


def _newest_step(messages: Sequence[Message]) -> int:
    """Where the newest assistant message with calls stands; what follows are its results."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("tool_calls"):
            return index
    return len(messages)


def _placeholder(message: Message) -> Message:
    """A tool message whose output is hidden; what it answers stays readable."""
    content = str(message.get("content") or "")
    return message if _HIDDEN.fullmatch(content) else dict(message) | {"content": f"[hidden: {len(content)} chars]"}


def _step_note(lines: Sequence[str]) -> list[Message]:
    return [{"role": "system", "content": "Earlier steps: " + "; ".join(lines)}] if lines else []


def _restart_note(number: int) -> Message:
    told = "The context was full, so everything after the task was dropped and you start over"
    return {"role": "system", "content": f"{told}, time {number} of {RESTARTS}."}


def _written(function: Mapping[str, Any]) -> str:
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{function['name']}({_short(text, EXCERPT)})"


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"
