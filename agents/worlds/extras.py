"""Fields that many desks have besides their own: they make further tools of an application's actions."""

from dataclasses import dataclass, replace
from random import Random

from agents.tools.expression import Scope
from agents.worlds.application import Action, Application, Effect, Parameter
from agents.worlds.fields import FieldType


@dataclass(frozen=True)
class Extra:
    """A field that a change may fill. phrase: how a user says its value, at the end of a request."""

    name: str
    type: FieldType
    phrase: str
    description: str


EXTRAS = tuple(
    Extra(name, FieldType.parse(f"{kind}?"), phrase, description)
    for name, kind, phrase, description in (
        ("note", "text", 'with the note "{}"', "a remark that is kept with the record"),
        ("priority", "one of low, normal, high", "with {} priority", "how urgent it is"),
        ("tags", "list of tag", "tagged {}", "words to find it by later"),
        ("channel", "one of email, phone, letter, text message", "confirmed by {}", "how it is confirmed"),
        ("language", "language", "with the papers in {}", "language of the papers"),
        ("effective_on", "date 1..20", "to take effect on {}", "the day from which it counts"),
        ("copies", "int 1..4", "in {} copies", "printed copies of the confirmation"),
        ("requested_by", "person", "on behalf of {}", "who asked for it"),
        ("cost_center", "department", "charged to the {} cost center", "where the cost is booked"),
        ("contact_phone", "phone", "with {} as the number to call", "a phone number for questions"),
        ("reminder_days", "int 1..10 days", "with a reminder {} days before", "days before which somebody is reminded"),
        ("photo_required", "bool", "with photos: {}", "whether photos must be taken"),
    )
)
BY_NAME = {extra.name: extra for extra in EXTRAS}


def extended(app: Application, rng: Random) -> Application:
    """The application with up to two more fields on each entity that is changed, and parameters that fill them."""
    entities, actions = dict(app.entities), dict(app.actions)
    for name, entity in app.entities.items():
        fills = [action for action in app.writes if _filled(action) == name]
        if not fills:
            continue
        for extra in rng.sample(EXTRAS, rng.choice((0, 1, 1, 2))):
            if extra.name in entity.fields or any(extra.name in _names(action) for action in fills):
                continue
            entities[name] = replace(entities[name], fields={**entities[name].fields, extra.name: extra.type})
            for number, action in enumerate(fills):
                if number == 0 or rng.random() < 0.5:
                    actions[action.name] = _filling(actions[action.name], name, extra)
        for action in app.writes:  # a record that is made has every field
            actions[action.name] = _complete(actions[action.name], name, list(entities[name].fields))
    return replace(app, entities=entities, actions=actions)


def _names(action: Action) -> set[str]:
    return {parameter.name for parameter in action.parameters} | set(action.lets)


def _filled(action: Action) -> str:
    """The entity whose record the action's first effect makes or changes."""
    first = action.effects[0]
    return first.entity if first.kind in ("create", "set") else ""


def _filling(action: Action, entity: str, extra: Extra) -> Action:
    def value(scope: Scope) -> object:
        return scope[extra.name]

    first = replace(action.effects[0], values={**action.effects[0].values, extra.name: value})
    parameter = Parameter(extra.name, replace(extra.type, nullable=True), optional=True)
    return replace(action, parameters=(*action.parameters, parameter), effects=(first, *action.effects[1:]))


def _complete(action: Action, entity: str, fields: list[str]) -> Action:
    def whole(effect: Effect) -> Effect:
        if effect.kind != "create" or effect.entity != entity:
            return effect
        missing = {name: _nothing for name in fields if name not in effect.values}
        return replace(effect, values={**effect.values, **missing})

    return replace(action, effects=tuple(map(whole, action.effects)))


def _nothing(scope: Scope) -> None:
    return None
