"""Applications as files, read and checked.

A file holds no code. `docs/applications.md` describes it; `load` says in one line what is wrong with one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.tools.expression import Evaluate
from agents.worlds.application import (
    DOMAINS,
    Action,
    Application,
    ApplicationError,
    Effect,
    Entity,
    Parameter,
    Policy,
    Requirement,
    order,
    owner_paths,
)
from agents.worlds.checks import listed, located, mapping, named, only_keys, word_list
from agents.worlds.expression import ExpressionError, compiled, paths
from agents.worlds.fields import FieldType
from agents.worlds.template import Template, parse_template
from gym.yaml_text import load_yaml_text

FOLDER = Path(__file__).parent / "applications"
Names = Mapping[str, FieldType | None]  # what an expression may name; None: of a value whose type is not known
TODAY = FieldType("date")
KINDS = ("forbid", "confirm", "identify", "first", "most", "tell")  # of policies


@cache
def authored() -> Mapping[str, Application]:
    """The applications of this project, by name; raises ApplicationError."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def apart(*, held: bool) -> list[Application]:
    """Those that are held for evaluation, or the others, which data may be made of."""
    return [app for app in authored().values() if app.held == held]


def load(path: Path) -> Application:
    """The application of a file.

    Raises:
        ApplicationError: it is none.
    """
    try:
        content = load_yaml_text(path.read_text(encoding="utf-8"))
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


class _Parser:
    """Every name is checked against what there is, so that nothing can be wrong later but values."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        only_keys(content, "application domain desk today held entities actions policies", "the application")
        self.content = content
        self.entity_names = set(mapping(content["entities"], "entities"))
        self.values: set[str] = set()

    def application(self) -> Application:
        content = self.content
        for key, each in content["entities"].items():  # enum values first: an expression may name any of them
            only_keys(each, "also ids count label fields", f"entity {key}")
            with located(f"entity {key}"):
                for text in mapping(each["fields"], "fields").values():
                    self._note(str(text))
        for key, each in mapping(content["actions"], "actions").items():
            only_keys(each, "also does finds shows by parameters let require effects asks done why", f"action {key}")
            with located(f"action {key}"):
                for text in mapping(each.get("parameters") or {}, "parameters").values():
                    self._note(str(text).partition(" = ")[0])
        name, domain = named(content["application"], "application"), str(content["domain"])
        if domain not in DOMAINS:
            raise ValueError(f"domain {domain!r} is none of: {', '.join(DOMAINS)}")
        with located("today"):
            today = date.fromisoformat(str(content["today"]))
        self.entities: dict[str, Entity] = {}
        for key, each in content["entities"].items():
            with located(f"entity {key}"):
                self.entities[key] = self._entity(named(key, "entity"), each)
        self._references()
        self.actions: dict[str, Action] = {}
        for key, each in content["actions"].items():
            with located(f"action {key}"):
                self.actions[key] = self._action(named(key, "action"), each)
        policies = tuple(self._policy(each) for each in listed(content.get("policies") or [], "policies"))
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
                fields[named(key, where)] = FieldType.parse(str(text))
            except ValueError as error:
                raise ValueError(f"{where}: field {key}: {error}") from None
        also, label = word_list(content.get("also"), where), parse_template(str(content["label"]))
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
        also, does = word_list(content.get("also"), where), str(content["does"])
        if "shows" in content:
            only_keys(content, "also does shows", where)
            entity = self._known(content["shows"], where)
            return Action(name, also, does, (Parameter(entity, FieldType("ref", target=entity)),), shows=entity)
        if "finds" in content:
            return self._finder(name, also, does, content, where)
        parameters = tuple(self._parameter(key, str(text), where) for key, text in content["parameters"].items())
        given: Names = {parameter.name: parameter.type for parameter in parameters}
        names: Names = {**given, "today": TODAY}
        lets: dict[str, Evaluate] = {}
        for key, text in mapping(content.get("let") or {}, f"{where}: let").items():
            if key in names:
                raise ValueError(f"{where}: let {key} is called like a parameter or an earlier let")
            lets[named(key, where)] = self._expression(text, names, f"{where}: let {key}")
            names = {**names, key: self._kind(str(text), names, where)}
        required = listed(content.get("require") or [], f"{where}: require")
        requirements = tuple(self._requirement(each, names, where) for each in required)
        effects, made = [], dict(names)
        for each in listed(content["effects"], f"{where}: effects"):
            effect = self._effect(each, made, parameters, where)
            if effect.kind == "create":
                if effect.entity in made:
                    raise ValueError(f"{where}: create {effect.entity}: something else is called {effect.entity} here")
                made[effect.entity] = FieldType("ref", target=effect.entity)
            effects.append(effect)
        asks = tuple(parse_template(str(text)) for text in listed(content["asks"], f"{where}: asks"))
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
        only_keys(content, "also does finds by", where)
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
            return Parameter(named(key, where), kind, kind.nullable)
        try:
            value = yaml.safe_load(default)
        except yaml.YAMLError:
            value = None
        if value is None or not kind.fits(value):
            raise ValueError(f"{where}: parameter {key}: {default!r} is no value of {written!r}")
        return Parameter(named(key, where), kind, True, value)

    def _kind(self, text: str, names: Names, where: str) -> FieldType | None:
        """The type of a path's value; None of any other expression."""
        root, *rest = text.strip().split(".")
        kind = names.get(root)
        return None if kind is None or not all(map(str.isidentifier, rest)) else self._follow(kind, rest, where)

    def _requirement(self, content: Mapping[str, Any], names: Names, where: str) -> Requirement:
        only_keys(content, "if else says", where)
        says = parse_template(str(content["says"]))
        self._template(says, names, where)
        return Requirement(self._expression(content["if"], names, where), named(content["else"], where), says)

    def _effect(self, content: Mapping[str, Any], names: Names, parameters: Sequence[Parameter], where: str) -> Effect:
        only_keys(content, "create with set remove to each where", where)
        if len(content.keys() & {"create", "set", "remove", "each"}) != 1:
            raise ValueError(f"{where}: an effect is one of create, set, remove, each")
        if "create" in content:
            entity = self._known(content["create"], where)
            given = mapping(content["with"], f"{where}: with")
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
        for key, text in mapping(given, f"{where}: what {entity} is set to").items():
            if key not in fields:
                raise ValueError(f"{where}: {entity} has no field {key!r}")
            others = {name: kind for name, kind in names.items() if name not in fields[key].values}
            values[key] = self._expression(text, others, where)  # a value of its own enum comes first
        return values

    # ---- policies ------------------------------------------------------------------------------------------------

    def _policy(self, content: Mapping[str, Any]) -> Policy:
        only_keys(
            content, "id text forbid when says confirm identify by for first before most of tell after", "a policy"
        )
        with located(f"policy {content.get('id')}"):
            return self._rule(content, named(content["id"], "policy"), str(content["text"]))

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
        for name in listed(names, f"{where}: its actions"):
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


def _whole(app: Application) -> None:
    """What an agent needs: changes, and for each record that a change takes a way to find or to show it."""
    if not app.writes:
        raise ValueError("no action changes anything")
    for action in app.writes:
        for target in action.refs.values():
            if not any(target in (each.finds, each.shows) for each in app.actions.values()):
                raise ValueError(f"action {action.name}: no action finds or shows a {target}")
