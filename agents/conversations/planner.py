"""The embedded default agent: it serves wish by wish with the tools that it has, keeps the rules, and slips now and
then.

It knows the wishes as they are meant, so that it needs no language model; everything else it finds out: records by
searching for what was said of them, rules by reading, who the user is by asking. Because its mistakes are real, the
judge does real work.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from agents.conversations.agents import Agent
from agents.conversations.calling import PASSING, Caller, Moves, Say, Step
from agents.conversations.facts import Facts
from agents.conversations.finding import Call, Finder, NotFound, Row, rows_of
from agents.conversations.phrases import field_words
from agents.conversations.task import Goal, WorldTask
from agents.conversations.telling import Telling, neutral
from agents.conversations.users import NO, ScriptedUser
from agents.conversations.words import (
    frame,
    main_clause,
    upper_first,
    without_underscores,
)
from agents.tools.numbers import whole
from agents.worlds.application import Action, Policy, owner_paths
from agents.worlds.simulator import TIMED_OUT, banned
from agents.worlds.surface import Surface, plural
from agents.worlds.world import Refused, World
from k2model.chat.messages import call_id
from k2model.chat.model_json import ModelJsonError, loads_arguments


class Planner:
    """Args:
    world: as it is while the conversation goes on; looked into for what a reader of the records would conclude.
    """

    def __init__(
        self, agent: Agent, surface: Surface, task: WorldTask, user: ScriptedUser, world: World, seed: int
    ) -> None:
        self.agent, self.surface, self.task, self.user, self.world = agent, surface, task, user, world
        self.app = surface.app
        self.rng = Random(f"{seed}|planner")
        self.words = Telling(agent, surface, self.rng)
        allowed = [surface.tools[name].action.name for name in task.tools]
        self.finder = Finder(self.app, allowed, together=agent.together)
        self.caller = Caller(agent, self.app, task, world, self.finder, self.words, self.rng)
        self.times: dict[str, int] = {}
        self.identified: set[tuple[str, str]] = set()
        self.index = 0
        self.ended = "answer"  # the kind of thought with which a wish ends
        self.heard = ""
        self._moves = self._serve()
        self._waits: Say | Step | None = None

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Its next message after what the conversation holds so far."""
        if messages[-1]["role"] == "user":
            self.heard += f"{messages[-1]['content']}\n"
        if self._waits is None:
            move = next(self._moves)
        elif isinstance(self._waits, Say):
            move = self._moves.send(str(messages[-1]["content"]))
        else:
            results = [_parsed(message) for message in messages[-len(self._waits.calls) :]]
            move = self._moves.send(results)
        self._waits = move
        thought = move.thought if self.agent.thinks else ""
        if isinstance(move, Say):
            return {"role": "assistant", "content": move.text, "reasoning_content": thought}
        calls = [self._written(call) for call in move.calls]
        return {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": calls}

    def _written(self, call: Call) -> dict[str, Any]:
        tool = self.surface.by_action[call.action]
        arguments = json.dumps(tool.written(call.arguments), ensure_ascii=False)
        self.index += 1
        function = {"name": tool.name, "arguments": arguments}
        return {"id": call_id(tool.name, self.index - 1), "type": "function", "function": function}

    # ---- wishes --------------------------------------------------------------------------------------------------

    def _serve(self) -> Moves:
        while True:
            said = []
            for number in self.user.asked:
                self.ended = "answer"
                said.append((yield from self._goal(number)))
            if said:
                yield Say(" ".join(said), self.words.thought(self.ended if len(said) == 1 else "answer"))
            else:
                yield Say(frame("agent", "bye", self.rng), "")

    def _goal(self, number: int) -> Generator[Say | Step, Any, str]:
        """Serves a wish; what the user is told about it."""
        goal = self.task.goals[number]
        if goal.kind == "outside":
            self.ended = "outside"
            return frame("agent", "outside", self.rng, what=main_clause(neutral(goal.says)))
        try:
            return (yield from self._fulfil(number, goal))
        except NotFound as lost:
            return frame("agent", "unclear", self.rng, about=lost.about, About=upper_first(lost.about))

    def _fulfil(self, number: int, goal: Goal) -> Generator[Say | Step, Any, str]:
        if goal.missing:
            noun = self.app.entities[goal.references[goal.missing[0]].entity].noun
            yield Say(frame("agent", "which", self.rng, noun=noun), self.words.thought("which", noun=noun))
        if goal.slip:
            yield from self._wrong_id(goal)
        ids = yield from self.caller.search(self.finder.references(goal.references))
        if goal.kind == "ask":
            reference = goal.references["record"]
            row = yield from self.caller.search(self.finder.show(reference.entity, ids["record"], reference.text))
            return self.words.told(reference.entity, goal.asked, row[goal.asked], reference.text)
        if goal.kind in ("count", "total"):
            why = "count" if goal.kind == "count" else "total"
            (result,) = yield from self.caller.make([Call(goal.action, {**goal.arguments, **ids}, why)])
            rows, entity = rows_of(result), self.app.entities[self.app.actions[goal.action].finds]
            if goal.kind == "count":
                noun, value = entity.noun, result.get("count", len(rows))
                nouns = noun if value == 1 else plural(noun)
                return frame("agent", "counted", self.rng, value=value, nouns=nouns, plural=plural(noun))
            value = whole(round(sum(row.get(goal.asked) or 0 for row in rows), 2))
            field = field_words(goal.asked, entity.fields[goal.asked])
            return frame("agent", "totalled", self.rng, value=value, field=field)
        return (yield from self._do(number, goal, ids))

    def _wrong_id(self, goal: Goal) -> Moves:
        """Finds out that there is no such record, and asks."""
        name, reference = next((n, r) for n, r in goal.references.items() if r.kind == "id")
        call = self.finder.shower(reference.entity, goal.slip, "look", goal.slip)
        if call is None:
            stored = {n: r.id for n, r in goal.references.items()} | dict(goal.arguments) | {name: goal.slip}
            call = Call(goal.action, stored, "do", neutral(goal.says))
        yield from self.caller.make([call], plainly=True)
        yield Say(frame("agent", "wrong_id", self.rng, about=goal.slip), self.words.thought("wrong_id"))

    # ---- changes -------------------------------------------------------------------------------------------------

    def _do(self, number: int, goal: Goal, ids: Mapping[str, str]) -> Generator[Say | Step, Any, str]:
        action = self.app.actions[goal.action]
        stored = {**goal.arguments, **ids}
        what = self.words.what(goal, action)
        forgets = self.rng.random() < self.agent.slip / 3
        if not forgets:
            refusal = yield from self._rules(goal, action, stored, what)
            if refusal:
                self.ended = "forbidden"
                return refusal
            if any(self.app.rules(action.name, "confirm")):
                answer = yield Say(frame("agent", "confirm", self.rng, what=what), self.words.thought("confirm"))
                if NO.search(answer):
                    return frame("agent", "declined", self.rng)
                if self.user.act == "change":
                    stored |= dict(goal.corrected)
                    goal = replace(goal, arguments={**goal.arguments, **goal.corrected})
                    what = self.words.what(goal, action)
        if self.rng.random() < self.agent.slip / 3:
            return frame("agent", "done", self.rng, what=what)  # the step is forgotten
        why = action.why or "the user wants it"
        expected = self.caller.expected(action, stored)
        (result,) = yield from self.caller.make([Call(action.name, stored, "do", what)], what=what, why=why)
        error = str(result.get("error", ""))
        if error == TIMED_OUT:
            result = yield from self.caller.after_timeout(action, stored, expected, what)
            error = str(result.get("error", ""))
        if error == TIMED_OUT:
            return frame("agent", "unsure", self.rng)
        if error:
            return (yield from self._failed(number, goal, result, what))
        self.times[action.name] = self.times.get(action.name, 0) + 1
        if "id" in result:
            self.finder.made[number] = result["id"]
            self.finder.seen[result["id"]] = result
        return self.words.done(goal, action, result, what)

    def _failed(self, number: int, goal: Goal, result: Row, what: str) -> Generator[Say | Step, Any, str]:
        message = str(result.get("message", result["error"]))
        if message in PASSING:
            return frame("agent", "unavailable", self.rng, what=main_clause(what))
        self.ended = "failed"
        told = frame("agent", "failed", self.rng, what=main_clause(what), why=without_underscores(message))
        if goal.fallback is None:
            return told
        ids = yield from self.caller.search(self.finder.references(goal.fallback.references))
        times = self.times.get(goal.fallback.action, 0)
        done = yield from self._do(number, goal.fallback, ids)
        self.finder.made.pop(number, None)
        if self.times.get(goal.fallback.action, 0) == times:
            return f"{told} {done}"
        self.ended = "answer"
        return f"{told} {frame('agent', 'instead', self.rng, done=done)}"

    def _rules(
        self, goal: Goal, action: Action, stored: Mapping[str, Any], what: str
    ) -> Generator[Say | Step, Any, str]:
        """Does what the desk's rules want before the action; why it must not be, or an empty text."""
        for rule in self.app.rules(action.name, "identify"):
            refusal = yield from self._identify(rule, goal, action, stored, what)
            if refusal:
                return refusal
        for rule in self.app.rules(action.name, "first"):
            key = next(stored[name] for name, target in action.refs.items() if target == rule.entity)
            if (rule.value, key) not in self.finder.read:
                shown = self.app.actions[rule.value].parameters[0].name
                yield from self.caller.make([Call(rule.value, {shown: key}, "rule", key)])
        try:
            scope = self.world.scope(action, stored)
        except Refused:
            return ""
        self.world.lets(action, scope)
        forbidding = banned(self.app, action, scope)
        for rule in self.app.rules(action.name, "forbid"):
            yield from self._read(rule, action, stored, needed=rule.id in forbidding)
            if rule.id in forbidding and rule.says is not None:
                why = without_underscores(self.world.said(rule.says, scope))
                return frame("agent", "forbidden", self.rng, what=main_clause(what), why=why)
        for rule in self.app.rules(action.name, "most"):
            if sum(self.times.get(name, 0) for name in rule.actions) >= rule.times:
                return frame("agent", "limit", self.rng, what=main_clause(what), rule=rule.text)
        return ""

    def _read(self, rule: Policy, action: Action, stored: Mapping[str, Any], *, needed: bool) -> Moves:
        """Reads the records that a rule depends on; raises NotFound where one that is needed can't be read."""
        for root, *rest in rule.reads:
            if root not in action.refs or root not in stored:
                continue
            entity, key = action.refs[root], str(stored[root])
            for name in rest:
                try:
                    row = yield from self.caller.search(self.finder.show(entity, key, key), why="rule")
                except NotFound:
                    if needed:
                        raise
                    break
                kind = self.app.entities[entity].fields.get(name)
                if kind is None or kind.base != "ref" or row.get(f"{name}_id") is None:
                    break
                entity, key = kind.target, row[f"{name}_id"]

    def _identify(
        self, rule: Policy, goal: Goal, action: Action, stored: Mapping[str, Any], what: str
    ) -> Generator[Say | Step, Any, str]:
        """Asks who the user is and compares it with the record; why he can't be served, or an empty text."""
        words = rule.value.replace("_", " ")
        noun = self.app.entities[rule.entity].noun
        given = goal.credential.get(rule.id, "")
        if (rule.id, given) not in self.identified and not (given and given in self.heard):
            yield Say(frame("agent", "identify", self.rng, field=words, noun=noun), self.words.thought("identify"))
        self.identified.add((rule.id, given))
        row = yield from self._owner(rule, action, stored, given)
        if row is None or str(row.get(rule.value, "")).casefold() != given.casefold():
            return frame("agent", "stranger", self.rng, field=words, what=main_clause(what))
        return ""

    def _owner(
        self, rule: Policy, action: Action, stored: Mapping[str, Any], given: str
    ) -> Generator[Say | Step, Any, Row | None]:
        """The record of the owner: by following references, or from the owner to what is his; None for a stranger.

        Raises:
            NotFound: no tool leads from one to the other.
        """
        (root, *rest), *_ = owner_paths(self.app.entities, action, rule.entity)
        entity, key = action.refs[root], str(stored[root])
        try:
            for name in rest:
                row = yield from self.caller.search(self.finder.show(entity, key, key), why="identity")
                entity, key = self.app.entities[entity].fields[name].target, str(row[f"{name}_id"])
        except NotFound:
            lister = self.caller.lister(entity, {rest[0]: key}) if len(rest) == 1 else None
            owner = yield from self._by_credential(rule, given)
            if lister is None:
                raise
            if owner is None:
                return None
            own = yield from self.caller.make([Call(lister.action, {rest[0]: owner["id"]}, "identity", key)])
            return owner if any(row["id"] == key for row in rows_of(own[0])) else None
        if key in self.finder.seen or self.finder.shower(entity, key, "identity") is not None:
            return (yield from self.caller.search(self.finder.show(entity, key, key), why="identity"))
        owner = yield from self._by_credential(rule, given)
        return owner if owner is not None and owner["id"] == key else None

    def _by_credential(self, rule: Policy, given: str) -> Generator[Say | Step, Any, Row | None]:
        noun = self.app.entities[rule.entity].noun
        facts = Facts(rule.entity, {rule.value: given})
        try:
            key = yield from self.caller.search(self.finder.find(facts, f"the {noun} with {given}"), why="identity")
        except NotFound:
            return None
        return self.finder.seen[key]


def _parsed(message: Mapping[str, Any]) -> Row:
    """A tool's result as JSON values; what is none counts as a passing failure."""
    try:
        return loads_arguments(str(message.get("content") or ""))
    except ModelJsonError:
        return {"error": "unavailable", "message": "not run"}
