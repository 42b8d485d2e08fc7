"""`reasoning_content` of an agent's messages: what a step is for, in a sentence, from the state of the conversation."""

from random import Random
from typing import Any

from agents.requests.answers import written
from agents.requests.frames import frame


def thought(rng: Random, situation: str, **parts: Any) -> str:
    """One of the forms for a situation, `parts` filled in."""
    return frame(rng, "thought", situation).format(**{key: written(value) for key, value in parts.items()})
