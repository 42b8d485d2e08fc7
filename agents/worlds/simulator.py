"""A desk's tools at work: calls on a world, with the trouble that real services have.

The same world, seed and calls give the same results and the same state; so a conversation can be replayed and judged.
Trouble is drawn from (seed, number of the call): a call fails for a moment, a search answers that its index is being
rebuilt, a change times out although it was made, or before it was.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

import jsonschema

from agents.tools.expression import Scope
from agents.worlds.application import Action, Application, owner_paths
from agents.worlds.expression import ExpressionError
from agents.worlds.surface import Surface, WorldTool
from agents.worlds.world import Outcome, Refused, World


@dataclass(frozen=True)
class Noise:
    """Chances per call. failure: nothing was done, for a moment. rebuilding: of a search. timeout: of a change; in half
    of the cases it was made all the same."""

    failure: float = 0.0
    rebuilding: float = 0.0
    timeout: float = 0.0


UNAVAILABLE = "temporarily unavailable, try again"
REBUILDING = "the index is being rebuilt, try again"
TIMED_OUT = "timed out; the change may or may not have been made"


@dataclass(frozen=True)
class Reply:
    """What a call returned: JSON text, and whether it is an error."""

    text: str
    error: bool


@dataclass(frozen=True)
class Done:
    """A call as the judge reads it.

    arguments: stored values by parameter. outcome: None where nothing was done. error: its name, empty for none.
    banned: policies that forbade the call at its moment. owners: by `identify` policy, the record whose owner the user
    must have shown to be.
    """

    tool: WorldTool | None
    arguments: Mapping[str, Any]
    outcome: Outcome | None
    error: str
    banned: tuple[str, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)


class Simulator:
    """Executes calls of a shape's tools on `world`; `log` holds one `Done` a call."""

    def __init__(self, surface: Surface, world: World, seed: int, noise: Noise | None = None) -> None:
        self.surface, self.world, self.seed, self.noise = surface, world, seed, noise or Noise()
        self.log: list[Done] = []

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """One call; a mistake of the caller is a reply with `error`, never an exception."""
        rng = Random(f"{self.seed}|{len(self.log)}|noise")
        draws = [rng.random() for _ in range(4)]
        tool = self.surface.tools.get(name)
        if tool is None:
            return self._refuse(None, {}, "unknown_tool", f"there is no tool {name}")
        problem = schema_problem(tool, arguments)
        if problem:
            return self._refuse(tool, {}, "invalid_arguments", problem)
        try:
            stored = tool.read(arguments)
        except ValueError as error:
            return self._refuse(tool, {}, "invalid_arguments", str(error))
        if draws[0] < self.noise.failure:
            return self._refuse(tool, stored, "unavailable", UNAVAILABLE)
        if tool.action.finds and draws[1] < self.noise.rebuilding:
            return self._refuse(tool, stored, "unavailable", REBUILDING)
        late = not tool.action.reads and draws[2] < self.noise.timeout
        outcome: Outcome | None = None
        try:
            rules = self._rules(tool, stored)
            if not late or draws[3] < 0.5:
                outcome = self.world.run(tool.action, stored)
        except Refused as refusal:
            return self._refuse(tool, stored, refusal.error, str(refusal))
        except ExpressionError as error:  # of values that nobody would give
            return self._refuse(tool, stored, "invalid_arguments", str(error))
        self.log.append(Done(tool, stored, outcome, TIMED_OUT if late else "", *(rules if outcome else ())))
        if late or outcome is None:
            return Reply(json.dumps({"error": TIMED_OUT}), True)
        return Reply(json.dumps(self.surface.shown(self.world, tool, outcome), ensure_ascii=False), False)

    def _rules(self, tool: WorldTool, stored: Mapping[str, Any]) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Policies that forbid the call now, and by policy whom the user must have shown to be."""
        app, action = self.surface.app, tool.action
        if not any(action.name in policy.actions for policy in app.policies):
            return (), {}
        try:
            scope = self.world.scope(action, stored)
        except Refused:
            return (), {}
        self.world.lets(action, scope)
        return banned(app, action, scope), {
            rule.id: owner
            for rule in app.rules(action.name, "identify")
            if (owner := owner_of(self.world, action, scope, rule.entity))
        }

    def _refuse(self, tool: WorldTool | None, stored: Mapping[str, Any], error: str, says: str) -> Reply:
        self.log.append(Done(tool, stored, None, error))
        shown = {"error": error.replace("_", " ") if error == "unavailable" else error, "message": says}
        return Reply(json.dumps(shown, ensure_ascii=False), True)


def banned(app: Application, action: Action, scope: Scope) -> tuple[str, ...]:
    """The policies that forbid the action in this scope, which holds its lets."""
    return tuple(rule.id for rule in app.rules(action.name, "forbid") if rule.test and rule.test(scope))


def owner_of(world: World, action: Action, scope: Scope, entity: str) -> str:
    """The id of the `entity` record that the action's records belong to; empty where there is none."""
    for path in owner_paths(world.app.entities, action, entity):
        record = world.path(scope[path[0]], path[1:]) if scope[path[0]] is not None else None
        if record is not None:
            return str(record.id)
    return ""


def schema_problem(tool: WorldTool, arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments, or an empty text."""
    error = next(iter(_validator(tool).iter_errors(dict(arguments))), None)
    if error is None:
        return ""
    where = ".".join(map(str, error.absolute_path))
    return f"{where}: {error.message}" if where else error.message


@lru_cache(maxsize=8192)
def _validator(tool: WorldTool) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(tool.parameters)
