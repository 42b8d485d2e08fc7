"""A conversation as it was held, as its judge reads it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agents.conversations.task import WorldTask
from agents.loop.loop import NOT_RUN
from agents.worlds.simulator import Done
from agents.worlds.surface import Surface
from agents.worlds.world import World

Message = Mapping[str, Any]
Problems = Iterator[tuple[str, str]]  # verdict, and what is wrong


@dataclass(frozen=True)
class Held:
    """A conversation as it was held.

    Attributes:
        log: what the world did, a call each. world: as it is in the end.
        asked_at: the message in which the user told a goal, by the goal's number.
    """

    surface: Surface
    task: WorldTask
    messages: Sequence[Message]
    log: Sequence[Done]
    world: World
    asked_at: Mapping[int, int]

    @cached_property
    def start(self) -> World:
        return World.generate(self.surface.app, self.task.world_seed)

    @cached_property
    def made(self) -> list[tuple[int, Done]]:
        """(message, what the world did) of every call that reached the world, in order."""
        return calls_at(self.messages, self.log)


def calls_at(messages: Sequence[Message], log: Sequence[Done]) -> list[tuple[int, Done]]:
    """(message, what the world did) of every call that reached the world, in order."""
    results = {message["tool_call_id"]: str(message["content"]) for message in messages if message["role"] == "tool"}
    left = iter(log)
    return [
        (at, next(left))
        for at, message in enumerate(messages)
        for call in message.get("tool_calls") or []
        if not results.get(call["id"], NOT_RUN).startswith(NOT_RUN)
    ]


def texts_of(messages: Sequence[Message], role: str) -> list[str]:
    """What a role says in messages without calls."""
    return [str(m.get("content") or "") for m in messages if m["role"] == role and not m.get("tool_calls")]
