"""Tasks drawn backwards: what is possible, impossible or forbidden in a world comes first, its words follow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agents.conversations.facts import Reference
from agents.conversations.phrases import be, described, field_phrase, field_words, of_record
from agents.conversations.referring import Referring
from agents.conversations.task import Expected, Goal
from agents.conversations.words import frame, label, other_unit, spoken, tidied
from agents.tools.numbers import whole
from agents.worlds.application import Action, Policy
from agents.worlds.extras import BY_NAME
from agents.worlds.fields import draw
from agents.worlds.reading import apart
from agents.worlds.simulator import banned, owner_of
from agents.worlds.surface import Surface, plural
from agents.worlds.template import Template
from agents.worlds.world import Refused, World

TRIES = 24
SUMMED = (
    "hours",
    "minutes",
    "days",
    "nights",
    "kg",
    "tonnes",
    "litres",
    "km",
    "m",
    "points",
    "people",
    "pieces",
    "packs",
    "bottles",
)
SHARES: Mapping[str, float] = {
    "done": 0.6, "fails": 0.07, "forbidden": 0.1, "ask": 0.1, "count": 0.04, "total": 0.04, "outside": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Habits:
    """How often a user holds something back, says a wrong id, changes his mind, or refuses when asked for a yes.

    stranger: that he is somebody else, where that is checked. upfront: that he says who he is before he is asked.
    same: that he wants what he wanted before for another record.
    """

    missing: float = 0.1
    slip: float = 0.06
    change: float = 0.1
    refuse: float = 0.1
    stranger: float = 0.15
    upfront: float = 0.6
    fallback: float = 0.4
    extra: float = 0.35
    same: float = 0.15


class Drafter:
    """Draws goals against the world as the goals before leave it.

    Args:
        allowed: actions that goals may need.
    """

    def __init__(self, surface: Surface, seed: int, rng: Random, allowed: Collection[str], habits: Habits) -> None:
        self.surface, self.app, self.rng, self.allowed, self.habits = surface, surface.app, rng, allowed, habits
        self.world = World.generate(self.app, seed)
        self.writes = [action for action in self.app.writes if action.name in allowed]
        self.times: dict[str, int] = {}
        self.outcomes: list[tuple[str, str]] = []  # (entity, id) by goal
        self.before: Goal | None = None
        self.referring = Referring(surface, self.world, self.outcomes, rng, allowed)

    def goal(self) -> Goal | None:
        """The next goal; None when the draw leads to none."""
        kind = self.rng.choices(list(SHARES), list(SHARES.values()))[0]
        if kind in ("done", "fails", "forbidden"):
            again = kind == "done" and self.rng.random() < self.habits.same
            goal = (self._same() if again else None) or self._do(kind)  # type: ignore[arg-type]
        elif kind == "ask":
            goal = self._ask()
        elif kind == "outside":
            goal = self._outside()
        else:
            goal = self._count(summed=kind == "total")
        if goal is not None:
            self._settle(goal)
        return goal

    def _settle(self, goal: Goal) -> None:
        wanted = goal.wanted()
        outcome = ("", "")
        if wanted is not None:
            done = self.world.run(self.app.actions[wanted.action], wanted.stored())
            self.times[wanted.action] = self.times.get(wanted.action, 0) + 1
            outcome = (done.entity, done.ids[0]) if done.ids and wanted is goal else outcome
        self.outcomes.append(outcome)
        self.before = goal

    # ---- changes -------------------------------------------------------------------------------------------------

    def _do(self, wanted: Expected, *, plainly: bool = False) -> Goal | None:
        """A change that ends as wanted; `plainly` without anything held back."""
        for _ in range(TRIES):
            action = self.rng.choice(self.writes)
            ask = self.rng.choice(action.asks)
            named = {path[0] for path in ask.paths}
            values = self._values(action, named)
            ids = {
                parameter.name: self._some_record(parameter.type.target)
                for parameter in action.parameters
                if parameter.type.base == "ref" and parameter.name in named
            }
            if any(not key for key in ids.values()):
                continue
            ended = self._end(action, {**ids, **values})
            if ended is None or ended[0] != wanted:
                continue
            references = {name: self.referring.reference(action.refs[name], key) for name, key in ids.items()}
            if len({reference.text for reference in references.values()}) < len(references):
                continue
            if any(self.app.rules(action.name, "identify")) and self._blind(references):
                continue
            goal = Goal("do", "", wanted, ended[1], action.name, values, references)
            goal = goal if plainly else self._troubled(goal, action)
            return replace(goal, says=self._said(goal, action, ask))
        return None

    def _same(self) -> Goal | None:
        """The change of the goal before, with another record; None where there is none that can be had like this."""
        before = self.before
        if before is None or before.expected != "done" or before.kind != "do":
            return None
        action = self.app.actions[before.action]
        if not before.references or before.slip or before.missing or before.corrected or self._asks_first(action.name):
            return None
        name = self.rng.choice(list(before.references))
        entity = before.references[name].entity
        key = self.rng.choice(list(self.world.tables[entity]) or [""])
        ids = {each: reference.id for each, reference in before.references.items()} | {name: key}
        missing = any(each not in self.world.tables[before.references[n].entity] for n, each in ids.items())
        if missing or len(set(ids.values())) < len(ids) or key == before.references[name].id:
            return None
        if self._end(action, {**ids, **before.arguments}) != ("done", ""):
            return None
        reference = self.referring.once(entity, key)
        says = tidied(frame("user", "same", self.rng, of=reference.text))
        references = {**before.references, name: reference}
        return Goal("do", says, "done", "", action.name, before.arguments, references)

    def _blind(self, references: Mapping[str, Reference]) -> bool:
        """Whether one is an id of a record that no tool shows: whose it is could not be found out."""
        shown = {action.shows for action in self.app.actions.values() if action.name in self.allowed}
        return any(each.kind == "id" and each.entity not in shown for each in references.values())

    def _values(self, action: Action, named: Collection[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in action.parameters:
            extra = parameter.name in BY_NAME and parameter.optional and self.rng.random() < self.habits.extra
            if parameter.type.base != "ref" and (parameter.name in named or extra):
                values[parameter.name] = draw(parameter.type, self.rng, self.app.today)
        return values

    def _some_record(self, entity: str) -> str:
        """Most often what an earlier goal made or changed, where there is such."""
        before = [key for kind, key in self.outcomes if kind == entity and key in self.world.tables[entity]]
        if before and self.rng.random() < 0.5:
            return self.rng.choice(before)
        return self.rng.choice(list(self.world.tables[entity]) or [""])

    def _end(self, action: Action, stored: Mapping[str, Any]) -> tuple[Expected, str] | None:
        """How a call would end now: done, fails with its error, or forbidden by a policy; None where it is unclear."""
        scope = self.world.scope(action, stored)
        self.world.lets(action, scope)
        rules = [*banned(self.app, action, scope), *self._spent(action)]
        try:
            self.world.check(action, scope)
        except Refused as refusal:
            return None if rules else ("fails", refusal.error)
        return ("forbidden", rules[0]) if rules else ("done", "")

    def _spent(self, action: Action) -> list[str]:
        """The policies that allow the action no more times."""
        return [
            rule.id
            for rule in self.app.rules(action.name, "most")
            if sum(self.times.get(name, 0) for name in rule.actions) >= rule.times
        ]

    def _troubled(self, goal: Goal, action: Action) -> Goal:
        """The goal with what makes it more than a call: what is held back, wrong at first, or thought better of."""
        rng, habits = self.rng, self.habits
        scope = self.world.scope(action, goal.stored())
        identify = list(self.app.rules(action.name, "identify"))
        if identify and goal.expected in ("done", "forbidden", "fails"):
            credentials: dict[str, str] = {}
            for rule in identify:
                owner = owner_of(self.world, action, scope, rule.entity)
                if owner:
                    credentials[rule.id] = self._credential(rule, owner)
            strange = credentials and goal.expected == "done" and rng.random() < habits.stranger
            if strange:
                rule = identify[0]
                kind = self.app.entities[rule.entity].fields[rule.value]
                wrong = str(draw(kind, rng, self.app.today))
                if wrong != credentials.get(rule.id):
                    goal = replace(goal, expected="stranger", reason=rule.id)
                    credentials = {rule.id: wrong}
            goal = replace(goal, credential=credentials)
        if goal.expected == "fails" and rng.random() < habits.fallback:
            goal = replace(goal, fallback=self._do("done", plainly=True))
            if goal.fallback is not None and self._asks_first(goal.fallback.action):
                goal = replace(goal, fallback=None)
        if goal.expected == "done" and any(self.app.rules(action.name, "confirm")):
            draw_ = rng.random()
            if draw_ < habits.refuse:
                return replace(goal, expected="declined")
            if draw_ < habits.refuse + habits.change:
                goal = self._corrected(goal, action)
        if goal.expected != "done":
            return goal
        by_id = [name for name, reference in goal.references.items() if reference.kind == "id"]
        if by_id and rng.random() < habits.slip * 3:
            return replace(goal, slip=self._wrong(goal.references[by_id[0]].id))
        others = [name for name, reference in goal.references.items() if reference.kind != "that"]
        if others and rng.random() < habits.missing:
            goal = replace(goal, missing=(rng.choice(others),))
        return goal

    def _asks_first(self, action: str) -> bool:
        return any(True for kind in ("confirm", "identify") for _ in self.app.rules(action, kind))

    def _credential(self, rule: Policy, owner: str) -> str:
        return str(self.world.tables[rule.entity][owner][rule.value])

    def _corrected(self, goal: Goal, action: Action) -> Goal:
        """The goal with another value for one argument, with which it can be done as well."""
        for name in goal.arguments:
            kind = action.parameter(name).type
            new = draw(kind, self.rng, self.app.today)
            if new == goal.arguments[name] or isinstance(new, (bool, list)):
                continue
            if self._end(action, {**goal.stored(), name: new}) == ("done", ""):
                return replace(goal, corrected={name: new})
        return goal

    def _wrong(self, key: str) -> str:
        """An id that there isn't."""
        letters = key.rstrip("0123456789")
        while True:
            wrong = f"{letters}{self.rng.randint(100, 999)}"
            if all(wrong not in table for table in self.world.tables.values()):
                return wrong

    def _said(self, goal: Goal, action: Action, ask: Template) -> str:
        values = {}
        slipped = False
        for name, reference in goal.references.items():
            noun = self.app.entities[reference.entity].noun
            unnamed = self.rng.choice((f"a {noun}", f"one of the {plural(noun)}"))
            text = unnamed if name in goal.missing else reference.text
            if goal.slip and reference.kind == "id" and not slipped:
                text, slipped = text.replace(reference.id, goal.slip), True
            values[name] = text
        for name, value in goal.arguments.items():
            values[name] = spoken(action.parameter(name).type, value, self.rng, self.app.today)
        text = other_unit(ask.fill(lambda path: values[path[0]]), self.rng)
        for name in goal.arguments:
            if name in BY_NAME and (name,) not in ask.paths:
                text += ", " + BY_NAME[name].phrase.format(values[name])
        for rule in self.app.rules(action.name, "identify"):
            if rule.id in goal.credential and self.rng.random() < self.habits.upfront:
                words, value = rule.value.replace("_", " "), goal.credential[rule.id]
                text += frame("user", "upfront", self.rng, field=words, value=value)
        if goal.fallback is not None:
            text += frame("user", "fallback", self.rng, what=goal.fallback.says)
        return tidied(text)

    # ---- questions -----------------------------------------------------------------------------------------------

    def _ask(self) -> Goal | None:
        entity = self.rng.choice([each for each in self.app.entities.values() if self.world.tables[each.name]])
        key = self.rng.choice(list(self.world.tables[entity.name]))
        row = self.world.tables[entity.name][key]
        reference = self.referring.reference(entity.name, key)
        told = {path[0] for path in entity.label.paths} | set(reference.best.values if reference.best else ())
        fields = [
            name
            for name, kind in entity.fields.items()
            if row[name] is not None and name not in told and kind.base not in ("ref", "list", "bool", "text")
        ]
        shown = any(a.shows == entity.name for a in self.app.actions.values() if a.name in self.allowed)
        if not fields or (reference.kind in ("id", "that") and not shown):
            return None
        name = self.rng.choice(fields)
        phrase = field_phrase(name, entity.fields[name])
        it = of_record(phrase, reference.text)
        says = frame("user", "ask_field", self.rng, it=it, **{"is": be(phrase)})
        return Goal("ask", tidied(says), "told", references={"record": reference}, asked=name, tells=(row[name],))

    def _count(self, *, summed: bool) -> Goal | None:
        finders = [a for a in self.app.actions.values() if a.finds and a.name in self.allowed]
        if not finders:
            return None
        action = self.rng.choice(finders)
        entity = self.app.entities[action.finds]
        row = self.world.tables[entity.name][self.rng.choice(list(self.world.tables[entity.name]))]
        narrowed = self.referring.narrowed(action, row)
        numbers = [n for n, kind in entity.fields.items() if kind.base == "money" or kind.unit in SUMMED]
        if narrowed is None or (summed and not numbers):
            return None
        values, refs = narrowed
        ids = {name: reference.id for name, reference in refs.items()}
        matching = self.world.run(action, {**values, **ids}).ids
        nouns = " ".join(described(entity, self.referring.said(entity.name, values, refs), many=True)).strip()
        if not summed:
            says = tidied(frame("user", "ask_count", self.rng, nouns=nouns))
            return Goal("count", says, "told", "", action.name, values, refs, tells=(len(matching),))
        name = self.rng.choice(numbers)
        amounts = [self.world.tables[entity.name][key][name] for key in matching]
        if len(amounts) < 2 or None in amounts:
            return None
        says = frame("user", "ask_total", self.rng, field=field_words(name, entity.fields[name]), nouns=nouns)
        return Goal(
            "total", tidied(says), "told", "", action.name, values, refs, name, (whole(round(sum(amounts), 2)),)
        )

    def _outside(self) -> Goal | None:
        """What another desk could do."""
        others = [app for app in apart(held=False) if app.domain != self.app.domain]
        if not others:
            return None
        app = self.rng.choice(others)
        action = self.rng.choice(app.writes)
        world = World.generate(app, self.rng.randint(0, 999))
        ask = self.rng.choice(action.asks)
        values = {}
        for name in sorted({path[0] for path in ask.paths}):
            kind = action.parameter(name).type
            if kind.base == "ref":
                values[name] = label(world, kind.target, self.rng.choice(list(world.tables[kind.target])), self.rng)
            else:
                values[name] = spoken(kind, draw(kind, self.rng, app.today), self.rng, self.app.today)
        text = tidied(ask.fill(lambda path: values[path[0]]))
        return None if "nobody" in text else Goal("outside", text, "outside")
