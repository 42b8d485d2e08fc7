"""Applications: records and their relations, what can be done with them, and the rules of the desk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from agents.tools.expression import Evaluate
from agents.worlds.fields import FieldType
from agents.worlds.template import Template

DOMAINS = (
    "travel", "finance", "health", "retail", "software", "education", "logistics", "food", "home", "media",
    "government", "human_resources", "science", "sports", "communication", "manufacturing", "environment",
)  # fmt: skip


class ApplicationError(ValueError):
    """A file that is no application; the message names the application and what in it."""


@dataclass(frozen=True)
class Entity:
    """A kind of record.

    also: other nouns for it. count: how many a world begins with. label: how people speak of one. formulas: of the
    fields that are computed when a world is made.
    """

    name: str
    also: tuple[str, ...]
    ids: str
    count: int
    label: Template
    fields: Mapping[str, FieldType]
    formulas: Mapping[str, Evaluate] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Parameter:
    """Of an action. default: of an optional one, as it is stored; an optional one without has None."""

    name: str
    type: FieldType
    optional: bool = False
    default: Any = None


@dataclass(frozen=True)
class Requirement:
    """What must hold for an action, and the named error when it doesn't."""

    test: Evaluate
    error: str
    says: Template


@dataclass(frozen=True)
class Effect:
    """kind: `create` a record of `entity`; `set` fields of the record at `target`; `remove` it; or set fields of `each`
    record of `entity` that passes `test`."""

    kind: Literal["create", "set", "remove", "each"]
    entity: str
    target: Evaluate | None
    test: Evaluate | None
    values: Mapping[str, Evaluate]


@dataclass(frozen=True)
class Action:
    """What a tool does. `finds`, `shows`: it only reads records of this entity.

    by: of an action that finds, its parameters are fields of the entity. lets: values computed before anything changes;
    they stand in the result. asks: what a user says he wants, after "please". done: what the agent says afterwards.
    why: a reason in half a sentence. also: other verbs for the first word of the name.
    """

    name: str
    also: tuple[str, ...]
    does: str
    parameters: tuple[Parameter, ...]
    finds: str = ""
    shows: str = ""
    lets: Mapping[str, Evaluate] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    effects: tuple[Effect, ...] = ()
    asks: tuple[Template, ...] = ()
    done: Template | None = None
    why: str = ""

    @property
    def reads(self) -> bool:
        return bool(self.finds or self.shows)

    def parameter(self, name: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.name == name)

    @property
    def refs(self) -> Mapping[str, str]:
        """Entities of the parameters that are records, by parameter."""
        return {p.name: p.type.target for p in self.parameters if p.type.base == "ref"}


@dataclass(frozen=True)
class Policy:
    """A rule of the desk; `text` stands in the agent's prompt.

    forbid: `actions` are not called when `test` holds, because of what `says` tells.
    confirm: before each of `actions` the agent says what will be done, and the user says yes.
    identify: before `actions` the user has given the field `value` of his own `entity` record, and the agent read it.
    first: before `actions` change a record, it was read by the action `value`.
    most: `actions` are called at most `times` times in a conversation.
    tell: after `actions` the agent says the let `value`.
    reads: paths over records in the test of `forbid`.
    """

    id: str
    kind: Literal["forbid", "confirm", "identify", "first", "most", "tell"]
    text: str
    actions: tuple[str, ...]
    test: Evaluate | None = None
    says: Template | None = None
    entity: str = ""
    value: str = ""
    times: int = 0
    reads: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Application:
    """A desk, its records, what can be done, and its rules. held: for evaluation alone, never trained on."""

    name: str
    domain: str
    desk: str
    today: date
    entities: Mapping[str, Entity]
    actions: Mapping[str, Action]
    policies: tuple[Policy, ...]
    held: bool = False

    @property
    def writes(self) -> list[Action]:
        return [action for action in self.actions.values() if not action.reads]

    def rules(self, action: str, kind: str) -> Iterator[Policy]:
        return (policy for policy in self.policies if policy.kind == kind and action in policy.actions)


def order(entities: Mapping[str, Entity]) -> list[str]:
    """Entities, those that are referred to before those that refer; raises ValueError where they go in a circle."""
    done: list[str] = []
    while len(done) < len(entities):
        free = [
            name
            for name, entity in entities.items()
            if name not in done and all(k.target in done for k in entity.fields.values() if k.base == "ref")
        ]
        if not free:
            raise ValueError(f"references go in a circle among {', '.join(sorted(set(entities) - set(done)))}")
        done += free
    return done


def owner_paths(entities: Mapping[str, Entity], action: Action, owner: str) -> list[tuple[str, ...]]:
    """Paths from an action's parameters to a record of the entity `owner`, shortest first."""
    paths: list[tuple[str, ...]] = []
    front: list[tuple[tuple[str, ...], str]] = [((name,), target) for name, target in action.refs.items()]
    while front:
        paths += [path for path, target in front if target == owner]
        front = [
            ((*path, name), kind.target)
            for path, target in front
            if target != owner
            for name, kind in entities[target].fields.items()
            if kind.base == "ref" and not kind.nullable
        ]
    return paths
