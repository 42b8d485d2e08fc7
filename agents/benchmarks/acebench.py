"""A built-in ACEBench: all 17 categories in the official schema, out of the applications that are held for evaluation.

No training data comes from these. Every request is worded from the values that its gold call holds; the agent tasks are
drawn like those of conversations, so that the end state is known.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.conversations.drafting import Drafter, Habits
from agents.conversations.task import Goal
from agents.conversations.words import lower_first, upper_first
from agents.worlds.application import Action, Parameter
from agents.worlds.fields import FieldType, draw
from agents.worlds.reading import authored
from agents.worlds.simulator import Simulator
from agents.worlds.surface import Surface, WorldTool, surface
from agents.worlds.world import World
from gym.benchmarks import base
from gym.benchmarks.acebench import AceBenchData, Prompts
from gym.benchmarks.acebench_rules import CATEGORIES, encode, same_state

SEED = 2501
EACH = 10  # items of a category, dialogues where there are turns
CORRECTED = ("enum", "pool", "date", "time", "money", "number", "int")  # types whose value a user corrects
PLAIN = Habits(missing=0.0, slip=0.0, change=0.0, refuse=0.0, stranger=0.0, fallback=0.0, extra=0.0)
Item = tuple[dict[str, Any], dict[str, Any]]  # (row, answer)
Function = dict[str, Any]
FORM = "[ApiName(key1='value1', key2='value2', ...)]"
CALLS = (
    f"Write the calls of the next step as {FORM}, several of them separated by commas, and nothing else. Give a "
    "parameter exactly as the user said it; leave out an optional one that was not mentioned.\n"
)
PROMPTS = Prompts(
    normal=f"You are an assistant who calls APIs. {CALLS}{{time}}\nAPIs:\n{{function}}",
    preference=f"You are an assistant who calls APIs. {CALLS}What the user does not say stands in the profile.\n"
    "Profile:\n{profile}\nAPIs:\n{function}",
    special=f"You are an assistant who calls APIs. {CALLS}"
    "When that can't be done, answer with one of these instead, the first that applies:\n"
    "a value does not fit its parameter: "
    '["There is incorrect value (value) for the parameters (key) in the conversation history."]\n'
    'a required parameter was not said: ["Missing necessary parameters (key1, ...) for the api (ApiName)"]\n'
    'no API can do it: ["Due to the limitations of the function, I cannot solve this problem."]\n'
    "{time}\nAPIs:\n{function}",
    question="Conversation so far:\n{question}",
    turn_system=f"You are an assistant with APIs. To call, write {FORM} and nothing else; its result comes back as a "
    "line of `execution`. Ask the user for what you need to know. When all is done, write: finish conversation\n",
    turn_user="APIs:\n{functions}\n\nConversation so far:\n{history}",
    step_system=f"You are an assistant with APIs. Write one call per step as {FORM} and nothing else; its result comes "
    "back as `execution result`. When all is done, write: finish conversation\n",
    step_user="APIs:\n{functions}\nConversation so far:\n{history}\n",
    simulated={
        "": "You are a user who talks to an assistant.\n\nInstruction: {instruction}\n\nWrite one line at a time, in "
        "your own words, and only what the instruction says. When everything is done, write: finish conversation"
    },
    rules={},
)


class WorldScene:
    """An application over the world of a task's `initial_config`."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        (self.name,) = row["involved_classes"]
        desk = surface(self.name, 0)
        config = json.loads(json.dumps(row["initial_config"][self.name]))
        self.world = World(desk.app, config["records"], config["next_numbers"])
        self.simulator = Simulator(desk, self.world, SEED)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return json.loads(self.simulator.call(name, arguments).text)

    def state(self) -> list[dict[str, Any]]:
        return [{self.name: self.world.tables}]


@functools.cache
def _desks() -> list[Surface]:
    return [surface(name, 0) for name, app in authored().items() if app.held]


@dataclass(frozen=True)
class _Wish:
    """A change that a user asks for. texts: what he says, by parameter; ask: with a slot for each of them."""

    desk: Surface
    tool: WorldTool
    ask: str
    stored: Mapping[str, Any]
    texts: Mapping[str, str]

    @property
    def action(self) -> Action:
        return self.tool.action

    @property
    def arguments(self) -> dict[str, Any]:
        return self.tool.written(self.stored)

    def request(self, **other: str) -> str:
        """What the user says, `other` in the place of some of his texts."""
        text = self.ask
        for name, value in (dict(self.texts) | other).items():
            text = text.replace("{" + name + "}", value)
        return f"Please {text}."

    def name(self, parameter: Parameter) -> str:
        """The tool's own name of a parameter."""
        return next(argument.name for argument in self.tool.arguments if argument.parameter == parameter)

    def said(self, *types: str) -> list[Parameter]:
        """The parameters that the user says, of these types where some are given."""
        named = [parameter for parameter in self.action.parameters if parameter.name in self.texts]
        return [parameter for parameter in named if not types or parameter.type.base in types]


class _Maker:
    """Draws a wish to an application; every draw comes from the item's own stream."""

    def __init__(self, category: str, number: int) -> None:
        self.rng = Random(f"{SEED}|{category}|{number}")
        self.world_seed = number

    def wish(self, *types: str) -> _Wish:
        """A wish that says a value of one of these types, if some are given, and a record."""
        pairs = [
            (desk, tool, ask)
            for desk in _desks()
            for tool in desk.tools.values()
            for ask in tool.action.asks
            if tool.action.refs and _says(tool.action, {path[0] for path in ask.paths}, types)
        ]
        desk, tool, ask = self.rng.choice(pairs)
        return self.again(_Wish(desk, tool, ask.text, {}, dict.fromkeys((path[0] for path in ask.paths), "")))

    def again(self, wish: _Wish) -> _Wish:
        """The same wish with other values."""
        stored = {parameter.name: self.value(wish.desk, parameter.type) for parameter in wish.said()}
        texts = {p.name: self.text(wish.desk, p.type, stored[p.name]) for p in wish.said()}
        return _Wish(wish.desk, wish.tool, wish.ask, stored, texts)

    def value(self, desk: Surface, kind: FieldType) -> Any:
        if kind.base != "ref":
            return draw(kind, self.rng, desk.app.today)
        return self.rng.choice(list(World.generate(desk.app, self.world_seed).tables[kind.target]))

    def other(self, desk: Surface, kind: FieldType, value: Any) -> Any:
        """Another value of the type."""
        return next(new for new in iter(lambda: self.value(desk, kind), None) if new != value)

    def text(self, desk: Surface, kind: FieldType, value: Any) -> str:
        """The value as the user says it, so that it can be given on as it is."""
        if kind.base == "ref":
            return f"{desk.nouns[kind.target]} {value}"
        if kind.base == "bool":
            return "yes" if value else "no"
        if kind.base == "list":
            return ", ".join(value)
        return str(value).replace("_", " ") if kind.base == "enum" else str(value)

    def reader(self, desk: Surface, beside: str = "") -> WorldTool:
        """A tool that shows one record, and is not taken for the one called `beside`."""
        shows = [tool for tool in desk.tools.values() if tool.action.shows]
        return self.rng.choice([tool for tool in shows if not beside or not _alike(tool.name, beside)])

    def shown(self, desk: Surface, reader: WorldTool) -> tuple[dict[str, Any], str]:
        """(arguments, what the user says) of a record that is to be shown."""
        (parameter,) = reader.action.parameters
        key = self.value(desk, parameter.type)
        return reader.written({parameter.name: key}), self.text(desk, parameter.type, key)

    def shuffled(self, functions: Sequence[Function]) -> list[Function]:
        return self.rng.sample(functions, len(functions))

    def asked(self, desk: Surface, request: str, gold: Mapping[str, Any], functions: Sequence[Function]) -> Item:
        """The functions, and three others of the application in any order."""
        names = [function["name"] for function in functions]
        rest = [tool for tool in desk.tools.values() if not any(_alike(tool.name, name) for name in names)]
        more = [_function(tool) for tool in self.rng.sample(rest, 3)]
        row = {"question": f"user: {request}\n", "function": self.shuffled([*functions, *more]), "time": ""}
        return row, {"ground_truth": dict(gold)}


def _says(action: Action, names: set[str], types: Sequence[str]) -> bool:
    """Whether a record and, if types are given, a value of one of them are among the named parameters."""
    bases = {parameter.type.base for parameter in action.parameters if parameter.name in names}
    return "ref" in bases and (not types or bool(bases & set(types)))


def _alike(name: str, other: str) -> bool:
    """Whether the official checker may take the functions for each other: it looks for a name inside the answer's."""
    return name in other or other in name


def _function(tool: WorldTool) -> Function:
    schema = {key: value for key, value in tool.parameters.items() if key != "additionalProperties"}
    return {"name": tool.name, "description": tool.action.does, "parameters": schema}


def _derived(name: str, what: str, properties: Mapping[str, Any]) -> Function:
    """A function with parameters of another form than the application's own."""
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {"name": name, "description": what, "parameters": schema}


# ---- one turn -------------------------------------------------------------------------------------------------------


def _plainly(make: _Maker, wish: _Wish) -> Item:
    return make.asked(wish.desk, wish.request(), {wish.tool.name: wish.arguments}, [_function(wish.tool)])


def _bool(make: _Maker) -> Item:
    desk, flag = make.rng.choice(_desks()), make.rng.random() < 0.5
    noun = desk.nouns[make.reader(desk).action.shows]
    wanted = {"include_closed": {"type": "boolean", "description": "whether closed ones are listed too"}}
    what = f"Lists each {noun} that there is, closed ones too if wanted."
    function = _derived(f"list_each_{noun.replace(' ', '_')}", what, wanted)
    request = f"List each {noun}, {'also the closed ones' if flag else 'but not the closed ones'}."
    return make.asked(desk, request, {function["name"]: {"include_closed": flag}}, [function])


def _list(make: _Maker) -> Item:
    desk = make.rng.choice(_desks())
    reader = make.reader(desk)
    (parameter,) = reader.action.parameters
    noun, ids = desk.nouns[reader.action.shows], list(dict.fromkeys(make.value(desk, parameter.type) for _ in range(3)))
    wanted = {"ids": {"type": "array", "items": {"type": "string"}, "description": "in the order given"}}
    function = _derived(
        f"compare_every_{noun.replace(' ', '_')}", f"Shows records of the kind {noun} together.", wanted
    )
    request = f"Show me these {noun} records together: {', '.join(ids)}."
    return make.asked(desk, request, {function["name"]: {"ids": ids}}, [function])


def _object(make: _Maker, deep: bool) -> Item:
    """A change whose arguments stand in an object, or in one within another."""
    wish = make.wish(*CORRECTED)
    own = wish.arguments
    properties = {name: schema for name, schema in wish.tool.parameters["properties"].items() if name in own}
    schema = {"type": "object", "description": "what is to be done", "properties": properties, "required": list(own)}
    gold: dict[str, Any] = {"details": own}
    request = wish.request()
    if deep:
        person = make.value(wish.desk, FieldType("pool", pool="person"))
        notify = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        schema = {
            "type": "object", "description": "the order", "required": ["details", "notify"],
            "properties": {"details": schema, "notify": notify | {"description": "who is told"}},
        }  # fmt: skip
        gold = {"order": {"details": own, "notify": {"name": person}}}
        request += f" Tell {person} about it."
    (key,) = gold
    function = _derived(f"{wish.tool.name}_by_{key}", wish.action.does, {key: schema})
    return make.asked(wish.desk, request, {function["name"]: gold}, [function])


def _parallel(make: _Maker) -> Item:
    """Two or three calls about different records; equal names get a number in the answer, as in the official files."""
    wishes = [make.wish()]
    reader = make.reader(wishes[0].desk, wishes[0].tool.name)
    while len(wishes) < 2:
        second = make.again(wishes[0])
        records = [parameter.name for parameter in second.said("ref")]
        wishes += [second] if all(second.stored[name] != wishes[0].stored[name] for name in records) else []
    gold = {f"{wish.tool.name}_{number}": wish.arguments for number, wish in enumerate(wishes, 1)}
    functions = [_function(wishes[0].tool)]
    request = " ".join(wish.request() for wish in wishes)
    if make.rng.random() < 0.5:
        arguments, text = make.shown(wishes[0].desk, reader)
        gold[reader.name] = arguments
        functions.append(_function(reader))
        request += f" Then show me {text}."
    return make.asked(wishes[0].desk, request, gold, functions)


def _similar(make: _Maker) -> Item:
    """The other functions are about the same records, three or more of them."""
    near: list[WorldTool] = []
    while len(near) < 3:
        wish = make.wish()
        kinds = set(wish.action.refs.values())
        about = [tool for tool in wish.desk.tools.values() if kinds & set(tool.action.refs.values())]
        near = [tool for tool in about if not _alike(tool.name, wish.tool.name)]
    functions = [_function(tool) for tool in (wish.tool, *near)]
    row = {"question": f"user: {wish.request()}\n", "function": make.shuffled(functions), "time": ""}
    return row, {"ground_truth": {wish.tool.name: wish.arguments}}


def _preference(make: _Maker) -> Item:
    """One value and one record stand in the profile alone."""
    wish = make.wish("enum", "pool", "time")
    value, record = wish.said("enum", "pool", "time")[0], wish.said("ref")[0]
    noun, words = wish.desk.nouns[record.type.target], value.name.replace("_", " ")
    usual = f"Usual{value.name.title().replace('_', '')}"
    profile = {
        "basic_features": {usual: wish.stored[value.name]},
        "user_history": [f"last worked on {wish.texts[record.name]}", "prefers short answers"],
    }
    told = [f"{p.name.replace('_', ' ')}: {wish.texts[p.name]}" for p in wish.said() if p not in (value, record)]
    request = f"Please {wish.action.name.replace('_', ' ')} for the {noun} I last worked on, with my usual {words}"
    request += f" ({', '.join(told)})." if told else "."
    row, answer = make.asked(wish.desk, request, {wish.tool.name: wish.arguments}, [_function(wish.tool)])
    return row | {"profile": str(profile)}, answer


def _incomplete(make: _Maker) -> Item:
    wish = make.wish()
    record = make.rng.choice(wish.said("ref"))
    request = wish.request(**{record.name: f"a {wish.desk.nouns[record.type.target]}"})
    row, _ = make.asked(wish.desk, request, {}, [_function(wish.tool)])
    return row, {"ground_truth": {wish.tool.name: [wish.name(record)]}}


def _error(make: _Maker) -> Item:
    """A value that none of the parameter's choices, or no calendar, has."""
    wish = make.wish("enum", "date")
    parameter = make.rng.choice(wish.said("enum", "date"))
    wrong = "2026-13-45" if parameter.type.base == "date" else "@purple"
    row, _ = make.asked(wish.desk, wish.request(**{parameter.name: wrong}), {}, [_function(wish.tool)])
    return row, {"ground_truth": {wish.name(parameter): [wrong]}}


def _irrelevant(make: _Maker) -> Item:
    wish = make.wish()
    desk = make.rng.choice([desk for desk in _desks() if desk.app.domain != wish.desk.app.domain])
    functions = [_function(tool) for tool in make.rng.sample(list(desk.tools.values()), 4)]
    row = {"question": f"user: {wish.request()}\n", "function": functions, "time": ""}
    return row, {"ground_truth": "Due to the limitations of the function, I cannot solve this problem."}


SINGLE: Mapping[str, Callable[[_Maker], Item]] = {
    "normal_atom_bool": _bool,
    "normal_atom_enum": lambda make: _plainly(make, make.wish("enum")),
    "normal_atom_number": lambda make: _plainly(make, make.wish("int", "number", "money")),
    "normal_atom_list": _list,
    "normal_atom_object_short": lambda make: _object(make, False),
    "normal_atom_object_deep": lambda make: _object(make, True),
    "normal_single_turn_single_function": lambda make: _plainly(make, make.wish()),
    "normal_single_turn_parallel_function": _parallel,
    "normal_similar_api": _similar,
    "normal_preference": _preference,
    "special_incomplete": _incomplete,
    "special_error_param": _error,
    "special_irrelevant": _irrelevant,
}


# ---- several turns --------------------------------------------------------------------------------------------------


def _dialogue(category: str, number: int) -> Iterator[Item]:
    """Two turns. `adjust`: the user corrects a value; `switch`: the user turns to the reading of a record."""
    make = _Maker(category, number)
    wish = make.wish(*CORRECTED)
    reader = make.reader(wish.desk, wish.tool.name)
    functions = [_function(wish.tool), _function(reader)]
    row, answer = make.asked(wish.desk, wish.request(), {wish.tool.name: wish.arguments}, functions)
    yield row, answer
    if category.endswith("adjust"):
        parameter = wish.said(*CORRECTED)[0]
        new = make.other(wish.desk, parameter.type, wish.stored[parameter.name])
        words = f"{make.text(wish.desk, parameter.type, new)} as the {parameter.name.replace('_', ' ')}"
        then, gold = (
            f"Sorry, I meant {words}.",
            {wish.tool.name: wish.tool.written({**wish.stored, parameter.name: new})},
        )
    else:
        arguments, text = make.shown(wish.desk, reader)
        then, gold = f"Thanks. Now show me {text}.", {reader.name: arguments}
    told = f"{row['question']}system: {encode([{wish.tool.name: wish.arguments}])}\nsystem: It is done.\nuser: {then}\n"
    yield row | {"question": told}, {"ground_truth": gold}


def _task(category: str, number: int) -> Item:
    """Changes of one application, each of which the official comparison of end states sees (it misses removals).

    Without a user to ask, all of it is in the question.
    """
    rng = Random(f"{SEED}|{category}|{number}")
    steps = (1 if category.endswith("turn") else 3) + number % 2
    while True:
        desk = rng.choice(_desks())
        app, world_seed = desk.app, rng.randrange(2**31)
        goals = _goals(Drafter(desk, world_seed, rng, list(app.actions), PLAIN), steps)
        worlds = [World.generate(app, world_seed)]
        for goal in goals:
            worlds.append(worlds[-1].copy())
            worlds[-1].run(app.actions[goal.action], goal.stored())
        end = [{app.name: worlds[-1].tables}]
        if len(goals) == steps and not any(same_state([{app.name: w.tables}], end)[0] for w in worlds[:-1]):
            break
    told = "" if category.endswith("step") else "You want an assistant to do this for you. "
    first, *others = (goal.says for goal in goals)
    wishes = [f"{upper_first(first)}.", *(f"Then {lower_first(says)}." for says in others)]
    config = {"records": worlds[0].tables, "next_numbers": worlds[0].numbers}
    tools = [desk.by_action[goal.action] for goal in goals]
    used = {tool.name for tool in tools} | {tool.name for tool in desk.tools.values() if tool.action.reads}
    row = {
        "question": f"{told}Today is {app.today.isoformat()}. {' '.join(wishes)}",
        "initial_config": {app.name: config}, "path": [],
        "function": [_function(tool) for name, tool in desk.tools.items() if name in used],
        "involved_classes": [app.name],
    }  # fmt: skip
    stones = [encode([{tool.name: tool.written(goal.stored())}]) for tool, goal in zip(tools, goals, strict=True)]
    return row, {"ground_truth": end, "mile_stone": stones}


def _goals(drafter: Drafter, count: int) -> list[Goal]:
    """Up to `count` changes that can be made, one after the other; questions and refusals are passed over."""
    drawn = (drafter.goal() for _ in range(8 * count))
    return [goal for goal in drawn if goal is not None and goal.kind == "do" and goal.expected == "done"][:count]


@functools.cache
def builtin() -> AceBenchData:
    """The built-in set; equal in every process."""
    rows: dict[str, list[dict[str, Any]]] = {}
    answers: dict[str, list[dict[str, Any]]] = {}
    for category in CATEGORIES:
        items: list[tuple[str, Item]] = []
        for number in range(EACH):
            if category in SINGLE:
                items.append((f"{category}_{number}", SINGLE[category](_Maker(category, number))))
            elif category.startswith("normal_multi_turn"):
                turns = enumerate(_dialogue(category, number))
                items += [(f"{category}_{number}_{turn}", item) for turn, item in turns]
            else:
                items.append((f"{category}_{number}", _task(category, number)))
        rows[category] = [{"id": name} | row for name, (row, _) in items]
        answers[category] = [{"id": name} | answer for name, (_, answer) in items]
    manifest = base.builtin_manifest("acebench", [row for some in (*rows.values(), *answers.values()) for row in some])
    count = sum(map(len, rows.values()))
    manifest = base.Manifest(
        manifest.name, "generated from this project's tools", "1", manifest.licence, count, manifest.sha256
    )
    return AceBenchData(manifest, rows, answers, PROMPTS, WorldScene)
