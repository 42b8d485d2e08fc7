"""Conversations of one turn on few tools, which end with the call: what a network learns first, in few tokens.

A call, several at once, a value that must be asked for, or no fitting tool; every second one of those repeats the
request of the conversation before it without the tool that fitted. What a call returns, and all that follows, is
`conversation.Requests`' to show: there a conversation is three times as long.
"""

from random import Random
from typing import ClassVar

from agents.requests.conversation import Conversation, Plan, Requests
from agents.requests.wording import draw_register

KINDS = ("no_tool", "ask_back", "parallel")  # as their shares are called in `Mix`; the others are single calls


class Singles(Requests):
    """Makes the conversation with a number; of the mix `dependent` and `errors` don't count."""

    tools: ClassVar[tuple[int, ...]] = (1, 1, 1, 1, 2, 2, 3, 4)
    walked: ClassVar[int] = 0

    def make(self, number: int) -> Conversation:
        made = super().make(number)
        results = [place for place, message in enumerate(made.messages) if message["role"] == "tool"]
        made.messages = made.messages[: results[0]] if results else made.messages
        return made

    def _plan(self, number: int) -> Plan:
        rng = Random(f"{self.base}|{number}|plan")
        register = draw_register(rng)
        shares = [getattr(self.mix, name) for name in KINDS]
        kind = rng.choices([*KINDS, "call"], [*shares, max(0.0, 1 - sum(shares))])[0]
        if kind == "no_tool" and number % 2 and self._plan(number - 1).kinds == ("call",):
            kind = "paired"
        return Plan(register, (kind,), busy=False)
