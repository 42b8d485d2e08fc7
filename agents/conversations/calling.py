"""How the embedded agent makes its calls: it slips, tries again what failed for a moment, repairs, and looks what a
call did that timed out."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agents.conversations.agents import Agent
from agents.conversations.finding import Call, Finder, Row, Search, rows_of
from agents.conversations.task import WorldTask
from agents.conversations.telling import Telling
from agents.conversations.words import lower_first
from agents.worlds.application import Action, Application
from agents.worlds.simulator import REBUILDING, TIMED_OUT, UNAVAILABLE
from agents.worlds.world import Refused, World

PASSING = (UNAVAILABLE, REBUILDING)


@dataclass(frozen=True)
class Say:
    """A message to the user."""

    text: str
    thought: str


@dataclass(frozen=True)
class Step:
    """Calls made at once, by the names of their actions."""

    calls: tuple[Call, ...]
    thought: str


Moves = Generator[Say | Step, Any, Any]


class Caller:
    """Args:
    world: as it is while the conversation goes on. finder: is told every result.
    rng: of the agent, which decides with it too.
    """

    def __init__(
        self, agent: Agent, app: Application, task: WorldTask, world: World, finder: Finder, words: Telling, rng: Random
    ) -> None:
        self.agent, self.app, self.task, self.world = agent, app, task, world
        self.finder, self.words, self.rng = finder, words, rng

    def search(self, search: Search[Any], why: str = "") -> Generator[Say | Step, Any, Any]:
        """Makes the calls of a search, until it is at its end."""
        try:
            calls = next(search)
            while True:
                given = yield from self.make([replace(call, why=why) for call in calls] if why else calls)
                calls = search.send(given)
        except StopIteration as end:
            return end.value

    def make(
        self, calls: Sequence[Call], *, plainly: bool = False, what: str = "", why: str = ""
    ) -> Generator[Say | Step, Any, list[Row]]:
        """The results of calls made at once, in order; what failed for a moment is repeated, mistakes are repaired.

        Args:
            plainly: no step goes wrong.
        """
        made = list(calls) if plainly else [self._slip(call) for call in calls]
        results: list[Row] = list(
            (yield Step(tuple(made), self.words.thought(made[0].why, made[0], what=what, why=why)))
        )
        for k, call in enumerate(calls):
            tries = 0
            while results[k].get("message") in PASSING and tries < self.agent.patience:
                tries += 1
                (results[k],) = yield Step((made[k],), self.words.thought("retry", made[k]))
            if made[k] != call and "error" in results[k] and self.rng.random() < self.agent.recover:
                reason = lower_first(str(results[k].get("message", "it failed")))
                (results[k],) = yield Step((call,), self.words.thought("repair", call, why=reason))
            self.finder.note(call, results[k])
        return results

    def _slip(self, call: Call) -> Call:
        """The call as the agent makes it."""
        if self.rng.random() >= self.agent.slip / 2:
            return call
        action, arguments = self.app.actions[call.action], dict(call.arguments)
        refs = [name for name in arguments if name in action.refs]
        numbers = [n for n, v in arguments.items() if isinstance(v, (int, float)) and not isinstance(v, bool)]
        kind = self.rng.choice(("wrong_id", "wrong_id", "missing", "missing", "wrong_value"))
        if kind == "wrong_id" and refs:
            arguments[refs[0]] = f"{arguments[refs[0]]}0"
        elif kind == "missing" and len(arguments) > 1:
            del arguments[self.rng.choice(list(arguments))]
        elif kind == "wrong_value" and numbers and not action.reads:
            arguments[numbers[0]] += 1
        return replace(call, arguments=arguments)

    def expected(self, action: Action, stored: Mapping[str, Any]) -> tuple[str, str, Row] | None:
        """Entity, id and row of the record as the action will leave it; None where it will fail."""
        trial = self.world.copy()
        try:
            outcome = trial.run(action, stored)
        except Refused:
            return None
        if not outcome.ids:
            return None
        return outcome.entity, outcome.created, trial.tables[outcome.entity][outcome.ids[0]] | {"id": outcome.ids[0]}

    def after_timeout(
        self, action: Action, stored: Mapping[str, Any], expected: tuple[str, str, Row] | None, what: str
    ) -> Generator[Say | Step, Any, Row]:
        """Looks whether the change was made and makes it again if not; the time-out itself where no tool tells."""
        timed_out: Row = {"error": TIMED_OUT}
        if expected is None:
            return timed_out
        entity, created, row = expected
        look = self.lister(entity, stored) if created else self.finder.shower(entity, row["id"], "check")
        if look is None or self.rng.random() > self.agent.recover:
            return timed_out
        (result,) = yield from self.make([look], plainly=True)
        shown = rows_of(result) if created else [result]
        fields = self.app.entities[entity].fields
        for seen in shown:
            same = all(seen.get(f"{n}_id" if fields[n].base == "ref" else n) == row[n] for n in fields)
            if same and (not created or seen["id"] not in self._known_before(entity)):
                return seen
        if "error" in result:
            return timed_out
        call = Call(action.name, stored, "repeat", what)
        (again,) = yield from self.make([call], plainly=True)
        return again

    def _known_before(self, entity: str) -> set[str]:
        """Records of the entity that were there when the conversation began."""
        return set(World.generate(self.app, self.task.world_seed).tables[entity]) | set(self.finder.made.values())

    def lister(self, entity: str, stored: Mapping[str, Any]) -> Call | None:
        """A search that shows a new record of the entity."""
        for action in self.app.actions.values():
            if action.finds != entity or action.name not in self.finder.allowed:
                continue
            given = {p.name: stored[p.name] for p in action.parameters if stored.get(p.name) is not None}
            if given and all(p.name in given for p in action.parameters if not p.optional):
                return Call(action.name, given, "check")
        return None
