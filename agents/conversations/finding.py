"""How an agent finds the record that somebody speaks of, with the tools that it has and nothing else.

Each search is a coroutine: it yields the calls of a step, several where they don't wait for each other, takes their
results, and returns ids.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.conversations.facts import Best, Facts, Reference
from agents.worlds.application import Action, Application
from agents.worlds.world import alike

Row = dict[str, Any]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Call:
    """Stored values by parameter. why: what it is for, of THOUGHTS. about: who or what is looked for, in words."""

    action: str
    arguments: Mapping[str, Any]
    why: str
    about: str = ""


Search = Generator[list[Call], list[Row], Made]


class NotFound(Exception):
    """The record spoken of can't be told.

    Attributes:
        about: its words. count: how many it could be.
    """

    def __init__(self, about: str, count: int) -> None:
        super().__init__(f"{count} for {about}")
        self.about, self.count = about, count


class Finder:
    """Args:
    allowed: names of the actions that the agent has tools for. together: whether searches that don't wait for each
        other are made in one step.
    """

    def __init__(self, app: Application, allowed: Collection[str], *, together: bool) -> None:
        self.app, self.allowed, self.together = app, allowed, together
        self.seen: dict[str, Row] = {}
        self.read: set[tuple[str, str]] = set()  # (action, id) that were shown
        self.made: dict[int, str] = {}  # records by the goal that made or changed them

    def note(self, call: Call, result: Row) -> None:
        """Remembers the records of a result."""
        action = self.app.actions[call.action]
        if "error" in result:
            return
        for row in rows_of(result) if action.finds else [result] if "id" in result else []:
            self.seen[row["id"]] = row
        if action.shows and "id" in result:
            self.read.add((action.name, result["id"]))

    def references(self, references: Mapping[str, Reference]) -> Search[dict[str, str]]:
        """Ids by parameter; raises NotFound."""
        searches = {name: self.reference(reference) for name, reference in references.items()}
        return (yield from together(searches) if self.together else one_by_one(searches))

    def reference(self, reference: Reference) -> Search[str]:
        """Raises NotFound."""
        if reference.kind == "id":
            return reference.id
        if reference.kind == "that":
            if reference.goal not in self.made:
                raise NotFound(reference.text, 0)
            return self.made[reference.goal]
        if reference.best is not None:
            return (yield from self._best(reference.best, reference.text))
        assert reference.facts is not None
        return (yield from self.find(reference.facts, reference.text))

    def _best(self, best: Best, about: str) -> Search[str]:
        ids = yield from self.references(best.refs)
        (result,) = yield [Call(best.action, {**best.values, **ids}, "compare", about)]
        rows = [row for row in rows_of(result) if row.get(best.field) is not None]
        if not rows:
            raise NotFound(about, 0)
        pick = max if best.highest else min
        wanted = pick(row[best.field] for row in rows)
        ties = [row["id"] for row in rows if row[best.field] == wanted]
        if len(ties) > 1:
            raise NotFound(about, len(ties))
        return str(ties[0])

    def find(self, facts: Facts, about: str) -> Search[str]:
        """The record with these facts; raises NotFound."""
        finder = self._finder(facts)
        if finder is None:
            raise NotFound(about, 0)
        ids: dict[str, str] = {}
        arguments: dict[str, Any] = {}
        for parameter in finder.parameters:
            if facts.values.get(parameter.name) is not None:
                arguments[parameter.name] = facts.values[parameter.name]
            elif parameter.name in facts.refs:
                ids[parameter.name] = yield from self.find(facts.refs[parameter.name], about)
                arguments[parameter.name] = ids[parameter.name]
        (result,) = yield [Call(finder.name, arguments, "find", about)]
        rows = [row for row in rows_of(result) if self._matches(row, facts)]
        for name, below in facts.refs.items():
            if len(rows) < 2 or name in ids:
                continue
            ids[name] = yield from self.find(below, about)
            rows = [row for row in rows if row.get(f"{name}_id") == ids[name]]
        if len(rows) != 1:
            raise NotFound(about, len(rows))
        return str(rows[0]["id"])

    @staticmethod
    def _matches(row: Row, facts: Facts) -> bool:
        return all(alike(row.get(name), value) for name, value in facts.values.items())

    def _finder(self, facts: Facts) -> Action | None:
        """The action that narrows most by what is known at once; None where there is none."""
        best: tuple[tuple[int, int], Action] | None = None
        for action in self.app.actions.values():
            if action.finds != facts.entity or action.name not in self.allowed:
                continue
            direct = [p.name for p in action.parameters if facts.values.get(p.name) is not None]
            linked = [p.name for p in action.parameters if p.name in facts.refs]
            if any(p.name not in direct + linked for p in action.parameters if not p.optional):
                continue
            score = (2 * len(direct) + len(linked), -len(action.parameters))
            if best is None or score > best[0]:
                best = score, action
        return best[1] if best is not None else None

    def show(self, entity: str, key: str, about: str) -> Search[Row]:
        """The record, from memory where it was seen; raises NotFound where no tool shows it."""
        if key in self.seen:
            return self.seen[key]
        call = self.shower(entity, key, "look", about)
        if call is None:
            raise NotFound(key, 0)
        (result,) = yield [call]
        if "error" in result:
            raise NotFound(key, 0)
        return result

    def shower(self, entity: str, key: str, why: str, about: str = "") -> Call | None:
        """The call that shows a record; None where the agent has no tool for it."""
        for action in self.app.actions.values():
            if action.shows == entity and action.name in self.allowed:
                return Call(action.name, {action.parameters[0].name: key}, why, about)
        return None


def rows_of(result: Row) -> list[Row]:
    """The records of a search's result."""
    return next((value for value in result.values() if isinstance(value, list)), [])


def one_by_one(searches: Mapping[str, Search[Made]]) -> Search[dict[str, Made]]:
    results: dict[str, Made] = {}
    for name, search in searches.items():
        results[name] = yield from search
    return results


def together(searches: Mapping[str, Search[Made]]) -> Search[dict[str, Made]]:
    """All at once: a step holds the next calls of each that is not at its end; equal calls are made once."""
    results: dict[str, Made] = {}
    waiting: dict[str, tuple[Search[Made], list[Call]]] = {}

    def advance(name: str, search: Search[Made], given: list[Row] | None) -> None:
        try:
            waiting[name] = search, next(search) if given is None else search.send(given)
        except StopIteration as end:
            results[name] = end.value
            waiting.pop(name, None)

    for name, search in searches.items():
        advance(name, search, None)
    while waiting:
        step = list(waiting.items())
        calls: list[Call] = []
        for _, (_, wanted) in step:
            calls += [call for call in wanted if call not in calls]
        given = yield calls
        by_call: Sequence[tuple[Call, Row]] = list(zip(calls, given, strict=True))
        for name, (search, wanted) in step:
            advance(name, search, [row for call in wanted for other, row in by_call if other == call])
    return {name: results[name] for name in searches}
