"""Applications as files: records and their relations, what can be done with them, and the rules of the desk.

A file holds no code. `docs/applications.md` describes it; `load` says in one line what is wrong with one.
"""

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from agents.worlds.expression import Evaluate, ExpressionError, compiled, paths
from agents.worlds.fields import FieldType
from agents.worlds.template import Template, parse_template

FOLDER = Path(__file__).parent / "applications"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
RESERVED = {"today", "each", "id", "true", "false", "null", "count", "total", "all", "min", "max", "round", "abs"}
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


@cache
def authored() -> Mapping[str, Application]:
    """The applications of this project, by name; raises ApplicationError."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def load(path: Path) -> Application:
    """The application of a file.

    Raises:
        ApplicationError: it is none.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ApplicationError(f"{path.name}: {' '.join(str(error).split())}") from None
    made = parse(content)
    if made.name != path.stem:
        raise ApplicationError(f"{path.name}: its application is called {made.name}")
    return made


def parse(content: Any) -> Application:
    """The application that a file's content describes; raises ApplicationError."""
    name = content.get("application") if isinstance(content, dict) else None
    try:
        return _Parser(content).application()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ApplicationError(" ".join(f"application {name}: {why}".split())) from None


Names = Mapping[str, FieldType | None]  # what an expression may name; None: of a value whose type is not known
TODAY = FieldType("date")
KINDS = ("forbid", "confirm", "identify", "first", "most", "tell")  # of policies


class _Parser:
    """Every name is checked against what there is, so that nothing can be wrong later but values."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        _only(content, "application domain desk today held entities actions policies", "the application")
        self.content = content
        self.entity_names = set(_mapping(content["entities"], "entities"))
        self.values: set[str] = set()

    def application(self) -> Application:
        content = self.content
        for key, each in content["entities"].items():  # enum values first: an expression may name any of them
            _only(each, "also ids count label fields", f"entity {key}")
            with _at(f"entity {key}"):
                for text in _mapping(each["fields"], "fields").values():
                    self._note(str(text))
        for key, each in _mapping(content["actions"], "actions").items():
            _only(each, "also does finds shows by parameters let require effects asks done why", f"action {key}")
            with _at(f"action {key}"):
                for text in _mapping(each.get("parameters") or {}, "parameters").values():
                    self._note(str(text).partition(" = ")[0])
        name, domain = _name(content["application"], "application"), str(content["domain"])
        if domain not in DOMAINS:
            raise ValueError(f"domain {domain!r} is none of: {', '.join(DOMAINS)}")
        with _at("today"):
            today = date.fromisoformat(str(content["today"]))
        self.entities: dict[str, Entity] = {}
        for key, each in content["entities"].items():
            with _at(f"entity {key}"):
                self.entities[key] = self._entity(_name(key, "entity"), each)
        self._references()
        self.actions: dict[str, Action] = {}
        for key, each in content["actions"].items():
            with _at(f"action {key}"):
                self.actions[key] = self._action(_name(key, "action"), each)
        policies = tuple(self._policy(each) for each in _list(content.get("policies") or [], "policies"))
        if len({policy.id for policy in policies}) < len(policies):
            raise ValueError("two policies have the same id")
        held = content.get("held", False)
        if not isinstance(held, bool):
            raise ValueError("held is true or false")
        made = Application(name, domain, str(content["desk"]), today, self.entities, self.actions, policies, held)
        _whole(made)
        return made

    def _note(self, text: str) -> None:
        if text.startswith("one of "):
            self.values |= {value.strip().partition("*")[0] for value in text[7:].removesuffix("?").split(",")}

    # ---- entities ------------------------------------------------------------------------------------------------

    def _entity(self, name: str, content: Mapping[str, Any]) -> Entity:
        where = f"entity {name}"
        fields = {}
        for key, text in content["fields"].items():
            try:
                fields[_name(key, where)] = FieldType.parse(str(text))
            except ValueError as error:
                raise ValueError(f"{where}: field {key}: {error}") from None
        also, label = _words(content.get("also"), where), parse_template(str(content["label"]))
        ids, count = str(content["ids"]), int(content.get("count", 6))
        if not re.fullmatch(r"[A-Z]{1,4}", ids) or not 2 <= count <= 20:
            raise ValueError(f"{where}: ids are one to four capitals, count is from 2 to 20")
        return Entity(name, also, ids, count, label, fields)

    def _references(self) -> None:
        """Every path of a label and every reference leads somewhere; no entity refers to itself in a circle."""
        prefixes = [entity.ids for entity in self.entities.values()]
        if len(set(prefixes)) < len(prefixes):
            raise ValueError("two entities have the same ids")
        for entity in self.entities.values():
            for name, kind in entity.fields.items():
                if kind.base == "ref" and kind.target not in self.entities:
                    raise ValueError(f"entity {entity.name}: field {name}: no entity {kind.target!r}")
            for path in entity.label.paths:
                self._follow(FieldType("ref", target=entity.name), path, f"entity {entity.name}: label")
        order(self.entities)
        for name, entity in self.entities.items():
            formulas = {
                key: self._expression(
                    kind.formula,
                    {"today": TODAY} | {other: type_ for other, type_ in entity.fields.items() if other != key},
                    f"entity {name}: field {key}",
                )
                for key, kind in entity.fields.items()
                if kind.formula
            }
            self.entities[name] = replace(entity, formulas=formulas)

    def _follow(self, kind: FieldType, path: Sequence[str], where: str) -> FieldType:
        """The type at the end of a path from something of a type; raises ValueError."""
        for name in path:
            if kind.base != "ref":
                raise ValueError(f"{where}: {name!r} of something that is no record")
            if name == "id":
                kind = FieldType("id")
                continue
            if name not in self.entities[kind.target].fields:
                raise ValueError(f"{where}: {kind.target} has no field {name!r}")
            kind = self.entities[kind.target].fields[name]
        return kind

    # ---- actions -------------------------------------------------------------------------------------------------

    def _action(self, name: str, content: Mapping[str, Any]) -> Action:
        where = f"action {name}"
        also, does = _words(content.get("also"), where), str(content["does"])
        if "shows" in content:
            _only(content, "also does shows", where)
            entity = self._known(content["shows"], where)
            return Action(name, also, does, (Parameter(entity, FieldType("ref", target=entity)),), shows=entity)
        if "finds" in content:
            return self._finder(name, also, does, content, where)
        parameters = tuple(self._parameter(key, str(text), where) for key, text in content["parameters"].items())
        given: Names = {parameter.name: parameter.type for parameter in parameters}
        names: Names = {**given, "today": TODAY}
        lets: dict[str, Evaluate] = {}
        for key, text in _mapping(content.get("let") or {}, f"{where}: let").items():
            if key in names:
                raise ValueError(f"{where}: let {key} is called like a parameter or an earlier let")
            lets[_name(key, where)] = self._expression(text, names, f"{where}: let {key}")
            names = {**names, key: self._kind(str(text), names, where)}
        required = _list(content.get("require") or [], f"{where}: require")
        requirements = tuple(self._requirement(each, names, where) for each in required)
        effects, made = [], dict(names)
        for each in _list(content["effects"], f"{where}: effects"):
            effect = self._effect(each, made, parameters, where)
            if effect.kind == "create":
                if effect.entity in made:
                    raise ValueError(f"{where}: create {effect.entity}: something else is called {effect.entity} here")
                made[effect.entity] = FieldType("ref", target=effect.entity)
            effects.append(effect)
        asks = tuple(parse_template(str(text)) for text in _list(content["asks"], f"{where}: asks"))
        done = parse_template(str(content["done"]))
        for template, roots in (*((ask, given) for ask in asks), (done, made)):
            self._template(template, roots, where)
        for ask in asks:
            if any(len(path) > 1 for path in ask.paths):
                raise ValueError(f"{where}: {ask.text!r}: an ask names parameters alone")
            missing = {p.name for p in parameters if not p.optional} - {path[0] for path in ask.paths}
            if missing:
                raise ValueError(f"{where}: {ask.text!r} does not say {', '.join(sorted(missing))}")
        if len(asks) < 3 or not content.get("why"):
            raise ValueError(f"{where}: three asks or more, and a why")
        why = str(content["why"])
        return Action(name, also, does, parameters, "", "", lets, requirements, tuple(effects), asks, done, why)

    def _finder(self, name: str, also: tuple[str, ...], does: str, content: Mapping[str, Any], where: str) -> Action:
        _only(content, "also does finds by", where)
        entity = self._known(content["finds"], where)
        parameters = []
        for text in str(content["by"]).split(","):
            key, optional = text.strip().removesuffix("?"), text.strip().endswith("?")
            if key not in self.entities[entity].fields:
                raise ValueError(f"{where}: {entity} has no field {key!r}")
            parameters.append(Parameter(key, self.entities[entity].fields[key], optional))
        return Action(name, also, does, tuple(parameters), finds=entity)

    def _parameter(self, key: str, text: str, where: str) -> Parameter:
        written, _, default = text.partition(" = ")
        try:
            kind = FieldType.parse(written)
        except ValueError as error:
            raise ValueError(f"{where}: parameter {key}: {error}") from None
        if kind.base == "ref":
            self._known(kind.target, where)
        if not default:
            return Parameter(_name(key, where), kind, kind.nullable)
        try:
            value = yaml.safe_load(default)
        except yaml.YAMLError:
            value = None
        if value is None or not kind.fits(value):
            raise ValueError(f"{where}: parameter {key}: {default!r} is no value of {written!r}")
        return Parameter(_name(key, where), kind, True, value)

    def _kind(self, text: str, names: Names, where: str) -> FieldType | None:
        """The type of a path's value; None of any other expression."""
        root, *rest = text.strip().split(".")
        kind = names.get(root)
        return None if kind is None or not all(map(str.isidentifier, rest)) else self._follow(kind, rest, where)

    def _requirement(self, content: Mapping[str, Any], names: Names, where: str) -> Requirement:
        _only(content, "if else says", where)
        says = parse_template(str(content["says"]))
        self._template(says, names, where)
        return Requirement(self._expression(content["if"], names, where), _name(content["else"], where), says)

    def _effect(self, content: Mapping[str, Any], names: Names, parameters: Sequence[Parameter], where: str) -> Effect:
        _only(content, "create with set remove to each where", where)
        if len(content.keys() & {"create", "set", "remove", "each"}) != 1:
            raise ValueError(f"{where}: an effect is one of create, set, remove, each")
        if "create" in content:
            entity = self._known(content["create"], where)
            given = _mapping(content["with"], f"{where}: with")
            missing = [key for key in self.entities[entity].fields if key not in given]
            if missing:
                raise ValueError(f"{where}: create {entity}: {', '.join(missing)} is not given")
            return Effect("create", entity, None, None, self._sets(entity, given, names, where))
        if "each" in content:
            entity = self._known(content["each"], where)
            inner = {**names, "each": FieldType("ref", target=entity)}
            test = self._expression(content["where"], inner, where)
            return Effect("each", entity, None, test, self._sets(entity, content["to"], inner, where))
        path = str(content["remove"] if "remove" in content else content["set"])
        root, *rest = path.split(".")
        parameter = next((p for p in parameters if p.name == root and p.type.base == "ref"), None)
        if parameter is None:
            raise ValueError(f"{where}: {path!r} does not begin with a record among its parameters")
        kind = self._follow(parameter.type, rest, where)
        if kind.base != "ref":
            raise ValueError(f"{where}: {path!r} is no record")
        target = self._expression(path, names, where)
        if "remove" in content:
            return Effect("remove", kind.target, target, None, {})
        return Effect("set", kind.target, target, None, self._sets(kind.target, content["to"], names, where))

    def _sets(self, entity: str, given: Any, names: Names, where: str) -> dict[str, Evaluate]:
        fields = self.entities[entity].fields
        values: dict[str, Evaluate] = {}
        for key, text in _mapping(given, f"{where}: what {entity} is set to").items():
            if key not in fields:
                raise ValueError(f"{where}: {entity} has no field {key!r}")
            others = {name: kind for name, kind in names.items() if name not in fields[key].values}
            values[key] = self._expression(text, others, where)  # a value of its own enum comes first
        return values

    # ---- policies ------------------------------------------------------------------------------------------------

    def _policy(self, content: Mapping[str, Any]) -> Policy:
        _only(content, "id text forbid when says confirm identify by for first before most of tell after", "a policy")
        with _at(f"policy {content.get('id')}"):
            return self._rule(content, _name(content["id"], "policy"), str(content["text"]))

    def _rule(self, content: Mapping[str, Any], policy_id: str, text: str) -> Policy:
        where = f"policy {policy_id}"
        if len(content.keys() & KINDS) != 1:
            raise ValueError(f"{where}: one of {', '.join(KINDS)}")
        if "forbid" in content:
            names = self._actions([content["forbid"]], where)
            action = self.actions[names[0]]
            roots: dict[str, FieldType | None] = {"today": TODAY} | dict.fromkeys(action.lets)
            roots |= {parameter.name: parameter.type for parameter in action.parameters}
            says = parse_template(str(content["says"]))
            self._template(says, roots, where)
            test = self._expression(content["when"], roots, where)
            reads = tuple((path.root, *path.names) for path in paths(str(content["when"])) if not path.each)
            return Policy(policy_id, "forbid", text, names, test, says, reads=reads)
        if "confirm" in content:
            return Policy(policy_id, "confirm", text, self._actions(content["confirm"], where))
        if "identify" in content:
            entity, value = self._known(content["identify"], where), str(content["by"])
            self._follow(FieldType("ref", target=entity), [value], where)
            names = self._actions(content["for"], where)
            for name in names:
                if not owner_paths(self.entities, self.actions[name], entity):
                    raise ValueError(f"{where}: no parameter of {name} leads to a {entity}")
            return Policy(policy_id, "identify", text, names, entity=entity, value=value)
        if "first" in content:
            shown = self.actions[self._actions([content["first"]], where, reading=True)[0]]
            names = self._actions(content["before"], where)
            if not shown.shows or any(shown.shows not in self.actions[name].refs.values() for name in names):
                raise ValueError(f"{where}: {shown.name} does not show a record that {', '.join(names)} takes")
            return Policy(policy_id, "first", text, names, value=shown.name, entity=shown.shows)
        if "most" in content:
            of = content["of"]
            names = self._actions([of] if isinstance(of, str) else of, where)
            return Policy(policy_id, "most", text, names, times=int(content["most"]))
        names = self._actions([content["after"]], where)
        if content["tell"] not in self.actions[names[0]].lets:
            raise ValueError(f"{where}: {names[0]} has no let {content['tell']!r}")
        return Policy(policy_id, "tell", text, names, value=str(content["tell"]))

    def _actions(self, names: Any, where: str, *, reading: bool = False) -> tuple[str, ...]:
        for name in _list(names, f"{where}: its actions"):
            if name not in self.actions:
                raise ValueError(f"{where}: no action {name!r}")
            if self.actions[name].reads and not reading:
                raise ValueError(f"{where}: {name} changes nothing")
        return tuple(names)

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _known(self, entity: Any, where: str) -> str:
        if entity not in self.entity_names:
            raise ValueError(f"{where}: no entity {entity!r}")
        return str(entity)

    def _expression(self, text: Any, names: Names, where: str) -> Evaluate:
        if isinstance(text, bool) or text is None:
            text = "null" if text is None else str(text).lower()
        written = str(text)
        if written in self.values and written not in names:  # may be of several words
            return lambda scope: written
        try:
            evaluate = compiled(written, names.keys(), self.values, self.entity_names)
        except ExpressionError as error:
            raise ValueError(f"{where}: {error}") from None
        for path in paths(written):
            kind = FieldType("ref", target=path.each) if path.each else names.get(path.root)
            if kind is not None:
                self._follow(kind, path.names, f"{where}: {written!r}")
        return evaluate

    def _template(self, template: Template, names: Names, where: str) -> None:
        for root, *rest in template.paths:
            if root not in names:
                raise ValueError(f"{where}: {template.text!r}: nothing is called {root!r}")
            kind = names[root]
            if kind is not None:
                self._follow(kind, rest, f"{where}: {template.text!r}")


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


def _whole(app: Application) -> None:
    """What an agent needs: changes, and for each record that a change takes a way to find or to show it."""
    if not app.writes:
        raise ValueError("no action changes anything")
    for action in app.writes:
        for target in action.refs.values():
            if not any(target in (each.finds, each.shows) for each in app.actions.values()):
                raise ValueError(f"action {action.name}: no action finds or shows a {target}")


def _only(content: Mapping[str, Any], keys: str, where: str) -> None:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} is no mapping")
    unknown = sorted(str(key) for key in content if key not in keys.split())
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}; there are {', '.join(keys.split())}")


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Says of an error that does not say it where it is: what is missing, or of another kind than it must be."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None
    except ValueError as error:
        raise error if str(error).startswith(where) else ValueError(f"{where}: {error}") from None


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no mapping")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")
    return value


def _name(text: Any, where: str) -> str:
    if not isinstance(text, str) or not NAME.fullmatch(text) or text in RESERVED or keyword.iskeyword(text):
        raise ValueError(f"{where}: {text!r} is no name here (small letters and _, no word that is taken)")
    return text


def _words(given: Any, where: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise ValueError(f"{where}: also is a list of words")
    return tuple(given)
