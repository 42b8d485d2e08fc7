"""Tools as state machines over a world, with controlled stochasticity.

The same world, seed and calls give the same results and the same final state; so a trajectory can be replayed and
verified. Noise is drawn from (seed, number of the call), as real services behave: a call fails for a moment, comes late
(`took_s` says so), returns an empty page (`refreshing`) or a record as it once was (`cached`), or times out without
telling whether its change was made. A change of a locked record is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import numpy as np

from agents.conversations.world import Entity, World
from agents.tools.spec import READ_ONLY, Tool


@dataclass(frozen=True)
class Noise:
    """Chances per call.

    failure: nothing was done, for a moment. empty: a search finds nothing once. stale: a read gives a record as it was
    at the start. slow: the reply comes seconds late. timeout: a change is answered with a time-out; in half of the
    cases it was made all the same.
    """

    failure: float = 0.0
    empty: float = 0.0
    stale: float = 0.0
    slow: float = 0.0
    timeout: float = 0.0


TIMEOUT_S = 10.0
DENIED = "permission denied"
TIMED_OUT = f"timed out after {TIMEOUT_S:.0f} s; the change may or may not have been made"
UNAVAILABLE = "temporarily unavailable, try again"


@dataclass(frozen=True)
class ToolReply:
    """What a call returned: JSON text, whether it is an error, and simulated seconds."""

    text: str
    error: bool
    seconds: float


class Simulator:
    """Executes calls of `tools` on `world`."""

    def __init__(self, tools: Sequence[Tool], world: World, seed: int, noise: Noise | None = None) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.world, self.start = world, world.copy()
        self.seed, self.noise = seed, noise or Noise()
        self.calls = 0

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolReply:
        """One call; a mistake of the caller is a reply with `error`, never an exception."""
        rng = np.random.default_rng([self.seed, self.calls, 23])
        self.calls += 1
        draw = rng.random(6)
        slow = draw[0] < self.noise.slow
        seconds = round(float(rng.exponential(0.2)) + (5.0 if slow else 0.0), 1)
        tool = self.tools.get(name)
        if tool is None:
            return _error(f"unknown tool {name}", seconds)
        problem = _problem(tool, arguments)
        if problem:
            return _error(problem, seconds)
        if draw[1] < self.noise.failure:
            return _error(UNAVAILABLE, seconds)
        if tool.action == "search" and draw[2] < self.noise.empty:
            return ToolReply(json.dumps({"ids": [], "refreshing": True}), False, seconds)
        stale = tool.action == "get" and draw[3] < self.noise.stale
        if tool.action not in READ_ONLY and draw[4] < self.noise.timeout:
            if draw[5] < 0.5:
                self._run(tool, arguments, self.world)
            return _error(TIMED_OUT, TIMEOUT_S)
        result = self._run(tool, arguments, self.start if stale else self.world)
        if isinstance(result, str):
            return _error(result, seconds)
        if stale:
            result = result | {"cached": True}
        if slow:
            result = result | {"took_s": seconds}
        return ToolReply(json.dumps(result), False, seconds)

    def _run(self, tool: Tool, arguments: Mapping[str, Any], world: World) -> dict[str, Any] | str:
        """The result, or the error as a text."""
        table = world.entities[tool.kind.slug]
        field = tool.field or ""
        if tool.action == "list":
            return {"ids": list(table)}
        if tool.action in ("search", "count"):
            ids = [entity_id for entity_id, entity in table.items() if entity[field] == arguments[field]]
            return {"ids": ids} if tool.action == "search" else {"count": len(ids)}
        if tool.action == "latest":
            if not table:
                return "nothing there"
            best = max(table, key=lambda entity_id: (table[entity_id][field], entity_id))
            return {"id": best} | table[best]
        if tool.action == "create":
            number = world.next_number[tool.kind.slug]
            world.next_number[tool.kind.slug] = number + 1
            blank = {f.name: "" for f in tool.kind.fields if f.type == "text"}
            table[f"{tool.kind.prefix}{number}"] = blank | dict(arguments)
            return {"id": f"{tool.kind.prefix}{number}"} | table[f"{tool.kind.prefix}{number}"]
        return self._on_one(tool, str(arguments["id"]), arguments, table)

    def _on_one(
        self, tool: Tool, entity_id: str, arguments: Mapping[str, Any], table: dict[str, Entity]
    ) -> dict[str, Any] | str:
        if entity_id not in table:
            return f"no {tool.kind.name} {entity_id}"
        if tool.action not in READ_ONLY and entity_id in self.world.locked:
            return f"{DENIED} for {entity_id}"
        if tool.action == "delete":
            del table[entity_id]
            return {"deleted": entity_id}
        entity, field = table[entity_id], tool.field or ""
        if tool.action == "update":
            entity[field] = arguments[field]
        if tool.action == "adjust":
            if entity[field] + arguments["by"] < 0:
                return f"{field} can't be below zero"
            entity[field] += arguments["by"]
        return {"id": entity_id} | entity


def _error(text: str, seconds: float) -> ToolReply:
    return ToolReply(json.dumps({"error": text}), True, seconds)


def _problem(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments, or an empty text; the validators of the tools in use are kept."""
    validator = _VALIDATORS.get(tool.name)
    if validator is None:
        if len(_VALIDATORS) >= VALIDATORS:
            _VALIDATORS.clear()
        validator = _VALIDATORS[tool.name] = jsonschema.Draft202012Validator(tool.parameters)
    error = next(iter(validator.iter_errors(dict(arguments))), None)
    return "" if error is None else f"invalid arguments: {error.message}"


VALIDATORS = 1024
_VALIDATORS: dict[str, jsonschema.Draft202012Validator] = {}
