"""Records as a user refers to them: by their words, by an id, as the best of some, as what was spoken of before."""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any

from agents.conversations.facts import Best, Reference, facts_of
from agents.conversations.finding import Finder, NotFound, Row, Search
from agents.conversations.phrases import described, field_words, superlative
from agents.conversations.words import label, spoken
from agents.worlds.application import Action, Entity, Parameter
from agents.worlds.surface import Surface
from agents.worlds.world import Refused, World

REFERENCES = ("label",) * 12 + ("id",) * 4 + ("best",) * 3


class Referring:
    """Args:
    world: as the goals so far leave it. outcomes: (entity, id) of each of them.
    allowed: actions by which an agent may come to a record.
    """

    def __init__(
        self, surface: Surface, world: World, outcomes: Sequence[tuple[str, str]], rng: Random, allowed: Collection[str]
    ) -> None:
        self.surface, self.app, self.world, self.outcomes = surface, surface.app, world, outcomes
        self.rng, self.allowed = rng, allowed

    def reference(self, entity: str, key: str) -> Reference:
        """The record in words that lead to it with the tools there are; by its id where no others do."""
        noun = self.app.entities[entity].noun
        for number, (kind, before) in enumerate(self.outcomes):
            if before == key and kind == entity and number == _last(self.outcomes, key) and self.rng.random() < 0.7:
                forms = ("that {}", "that {}", "the same {}", "this {}", "that same {}", "the {} from before")
                return Reference("that", entity, key, self.rng.choice(forms).format(noun), goal=number)
        kind_of = self.rng.choice(REFERENCES)
        reference = self._best(entity, key) if kind_of == "best" else None
        if reference is None and kind_of != "id":
            reference = self._labelled(entity, key)
        if reference is not None and self._leads(reference):
            return reference
        return Reference("id", entity, key, key if self.rng.random() < 0.5 else f"{noun} {key}")

    def _best(self, entity: str, key: str) -> Reference | None:
        """The record as the one with the most or least of something among some."""
        rng, fields = self.rng, self.app.entities[entity].fields
        finders = [a for a in self.app.actions.values() if a.finds == entity and a.name in self.allowed]
        names = [name for name, kind in fields.items() if kind.numeric or kind.base in ("date", "time")]
        row = self.world.tables[entity][key]
        names = [name for name in names if row[name] is not None and field_words(name, fields[name])]
        if not finders or not names:
            return None
        action, name, highest = rng.choice(finders), rng.choice(names), rng.random() < 0.5
        narrowed = self.narrowed(action, row, but=name)
        if narrowed is None:
            return None
        values, refs = narrowed
        text = self._superlative(entity, name, values, refs, highest=highest)
        return Reference("best", entity, key, text, best=Best(action.name, values, refs, name, highest))

    def once(self, entity: str, key: str) -> Reference:
        """The record by its own words, or by its id where they don't lead to it."""
        reference = self._labelled(entity, key)
        return reference if reference is not None and self._leads(reference) else Reference("id", entity, key, key)

    def _labelled(self, entity: str, key: str) -> Reference | None:
        """The record by its own words; None where they say that nobody is there."""
        text = label(self.world, entity, key, self.rng)
        return None if "nobody" in text else Reference("label", entity, key, text, facts_of(self.world, entity, key))

    def narrowed(
        self, action: Action, row: Row, *, but: str = ""
    ) -> tuple[dict[str, Any], dict[str, Reference]] | None:
        """Values and records of the row that a search may take, but one; None where they don't narrow it down."""
        entity = self.app.entities[action.finds]
        values: dict[str, Any] = {}
        refs: dict[str, Reference] = {}
        for parameter in action.parameters:
            value = row[parameter.name]
            if value is None or parameter.name == but or (parameter.optional and self.rng.random() < 0.4):
                continue
            if parameter.type.base == "ref":
                refs[parameter.name] = self.once(parameter.type.target, value)
            elif not _names_one(entity, parameter):
                values[parameter.name] = value
        needed = {parameter.name for parameter in action.parameters if not parameter.optional}
        return None if not (values or refs) or needed - {*values, *refs} else (values, refs)

    def _superlative(
        self, entity: str, name: str, values: Mapping[str, Any], refs: Mapping[str, Reference], *, highest: bool
    ) -> str:
        made = self.app.entities[entity]
        most = superlative(name, made.fields[name], highest=highest)
        said = self.said(entity, values, refs)
        noun, clause = described(made, said, many=False)
        if not clause:
            return f"the {noun} with {most}"
        noun, clause = described(made, said, many=True)
        return f"the {made.noun} with {most} among the {noun} {clause}"

    def said(self, entity: str, values: Mapping[str, Any], refs: Mapping[str, Reference]) -> dict[str, str]:
        fields = self.app.entities[entity].fields
        said = {name: spoken(fields[name], value, self.rng, self.app.today) for name, value in values.items()}
        return {**said, **{name: reference.text for name, reference in refs.items()}}

    def _leads(self, reference: Reference) -> bool:
        """Whether an agent with the tools there are comes to this record."""
        finder = Finder(self.app, self.allowed, together=False)
        try:
            return search(finder.reference(reference), self.surface, self.world) == reference.id
        except NotFound:
            return False


def _names_one(entity: Entity, parameter: Parameter) -> bool:
    """Whether a value of the parameter leaves one record, so that nothing is to be counted or compared."""
    named = parameter.type.base == "pool" and (parameter.name,) in entity.label.paths
    return named or parameter.type.base in ("email", "phone")


def _last(outcomes: Sequence[tuple[str, str]], key: str) -> int:
    return max(number for number, (_, before) in enumerate(outcomes) if before == key)


def search(coroutine: Search[Any], surface: Surface, world: World) -> Any:
    """Runs a search without trouble; raises NotFound."""
    results: list[Row] | None = None
    try:
        calls = next(coroutine)
        while True:
            results = []
            for call in calls:
                tool = surface.by_action[call.action]
                try:
                    results.append(surface.shown(world, tool, world.run(tool.action, call.arguments)))
                except Refused as refusal:
                    results.append({"error": refusal.error})
            calls = coroutine.send(results)
    except StopIteration as end:
        return end.value
