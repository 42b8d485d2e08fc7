"""How long a conversation of RL may be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """context_tokens: of a rollout in all. turn_tokens: of the policy, to a message of the user. max_turns: of
    the policy, in a conversation with tools.
    """

    context_tokens: int
    turn_tokens: int
    max_turns: int
