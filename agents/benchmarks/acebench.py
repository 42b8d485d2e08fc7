"""A built-in ACEBench: all 17 categories in the official schema, out of the project's own simulated tools.

Every request is worded from the values that its gold call holds; the agent tasks are those of
agents/conversations/tasks.py, whose gold plan is proven to reach its goal, and their applications are state machines,
so that the end state is known.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agents.conversations.drafting import make_task
from agents.conversations.simulator import Simulator
from agents.conversations.tasks import Application, WorldTask, applications, replay
from agents.conversations.world import World, value
from agents.tools.evolve import evolve
from agents.tools.spec import Field, Tool
from gym.benchmarks import base
from gym.benchmarks.acebench import AceBenchData, Prompts
from gym.benchmarks.acebench_rules import CATEGORIES, encode, same_state

SEED = 2501
EACH = 10  # items of a category, dialogues where there are turns
Item = tuple[dict[str, Any], dict[str, Any]]  # (row, answer)
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
        app = _apps()[self.name]
        config = json.loads(json.dumps(row["initial_config"][self.name]))
        self.world = World(config["records"], set(config["locked"]), config["next_number"])
        kinds = set(self.world.entities)
        tools = [tool for tool in app.tools.values() if tool.kind.slug in kinds]
        self.simulator = Simulator(tools, self.world, SEED)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return json.loads(self.simulator.call(name, arguments).text)

    def state(self) -> list[dict[str, Any]]:
        return [{self.name: self.world.entities}]


@functools.cache
def _apps() -> dict[str, Application]:
    return {app.name: app for app in applications(evolve())}


def _spoken(name: str) -> str:
    return name.replace("_", " ")


class _Maker:
    """Draws an application, a kind and values; every draw comes from the category's own stream."""

    def __init__(self, category: str, number: int) -> None:
        self.rng = np.random.default_rng([SEED, CATEGORIES.index(category), number])
        apps = list(_apps().values())
        self.app = apps[int(self.rng.integers(len(apps)))]
        self.kind = self.app.kinds[int(self.rng.integers(len(self.app.kinds)))]

    def field(self, *types: str) -> Field:
        """A field of the kind, of one of these types where there is one."""
        fields = [f for f in self.kind.fields if f.type in types] or [f for f in self.kind.fields if f.type != "text"]
        return fields[int(self.rng.integers(len(fields)))]

    def value(self, field: Field) -> Any:
        return value(self.rng, field)

    def record(self) -> str:
        return f"{self.kind.prefix}{int(self.rng.integers(1, 90))}"

    def tool(self, action: str, field: str | None = None) -> Tool:
        return self.app.find(self.kind, action, field)

    def others(self, names: Sequence[str], count: int = 3) -> list[dict[str, Any]]:
        """Further functions of the application."""
        pool = [tool for name, tool in self.app.tools.items() if name not in names]
        chosen = self.rng.permutation(len(pool))[:count]
        return [_function(pool[int(index)]) for index in sorted(chosen.tolist())]

    def shuffled(self, functions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [functions[int(index)] for index in self.rng.permutation(len(functions))]

    def update(self, field: Field | None = None) -> tuple[Tool, dict[str, Any], str]:
        """(tool, arguments, request) of a change of one field."""
        field = field or self.field("enum", "name", "date")
        entity_id, new = self.record(), self.value(field)
        tool = self.tool("update", field.name)
        request = f"Please set the {_spoken(field.name)} of {self.kind.name} {entity_id} to {new}."
        return tool, {"id": entity_id, field.name: new}, request


def _function(tool: Tool) -> dict[str, Any]:
    schema = {key: value for key, value in tool.parameters.items() if key != "additionalProperties"}
    return {"name": tool.name, "description": tool.description, "parameters": schema}


def _derived(tool: Tool, name: str, what: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A function next to `tool`, with parameters of another form."""
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {"name": f"{tool.name}_{name}", "description": what, "parameters": schema}


def _asked(make: _Maker, request: str, gold: Mapping[str, Any], functions: Sequence[dict[str, Any]]) -> Item:
    names = [function["name"] for function in functions]
    row = {"question": f"user: {request}\n", "function": make.shuffled([*functions, *make.others(names)]), "time": ""}
    return row, {"ground_truth": dict(gold)}


def _schema(field: Field) -> dict[str, Any]:
    return field.schema() | {"description": f"the {_spoken(field.name)}"}


def _bool(make: _Maker) -> Item:
    tool, flag = make.tool("list"), bool(make.rng.integers(2))
    what = f"Lists each {make.kind.name}, closed ones too if wanted."
    wanted = {"include_closed": {"type": "boolean", "description": "whether closed ones are listed too"}}
    request = f"List every {make.kind.name}, {'also the closed ones' if flag else 'but not the closed ones'}."
    function = _derived(tool, "filtered", what, wanted)
    return _asked(make, request, {function["name"]: {"include_closed": flag}}, [function])


def _enum(make: _Maker) -> Item:
    field = make.field("enum")
    tool, chosen = make.tool("search", field.name), make.value(field)
    request = f"Find every {make.kind.name} whose {_spoken(field.name)} is {chosen}."
    return _asked(make, request, {tool.name: {field.name: chosen}}, [_function(tool)])


def _number(make: _Maker) -> Item:
    field = make.field("int", "money")
    entity_id, by = make.record(), int(make.rng.integers(1, 9))
    tool = make.app.by_use.get((make.kind.slug, "adjust", field.name))
    if tool is None:
        tool = make.tool("list")
        function = _derived(tool, "page", "Lists one page.", {"page": {"type": "integer", "description": "from 1"}})
        request = f"Show page {by} of all {make.kind.name} records."
        return _asked(make, request, {function["name"]: {"page": by}}, [function])
    request = f"Raise the {_spoken(field.name)} of {make.kind.name} {entity_id} by {by}."
    return _asked(make, request, {tool.name: {"id": entity_id, "by": by}}, [_function(tool)])


def _list(make: _Maker) -> Item:
    tool = make.tool("delete")
    ids = list(dict.fromkeys(make.record() for _ in range(3)))
    wanted = {"ids": {"type": "array", "items": {"type": "string"}, "description": "in the order given"}}
    function = _derived(tool, "many", f"Deletes several {make.kind.name} records.", wanted)
    request = f"Delete these {make.kind.name} records: {', '.join(ids)}."
    return _asked(make, request, {function["name"]: {"ids": ids}}, [function])


def _object(make: _Maker, deep: bool) -> Item:
    fields = [f for f in make.kind.fields if f.type in ("enum", "name", "date")][:3]
    record = {f.name: make.value(f) for f in fields}
    schema: dict[str, Any] = {
        "type": "object", "description": "the new record", "properties": {f.name: _schema(f) for f in fields},
        "required": [f.name for f in fields],
    }  # fmt: skip
    listed = ", ".join(f"{_spoken(name)} {field_value}" for name, field_value in record.items())
    request = f"Create a {make.kind.name} with {listed}."
    gold: dict[str, Any] = {"record": record}
    if deep:
        person = make.value(Field("name", "name"))
        notify = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        schema = {
            "type": "object", "description": "the order", "required": ["record", "notify"],
            "properties": {"record": schema, "notify": notify | {"description": "who is told"}},
        }  # fmt: skip
        gold = {"order": {"record": record, "notify": {"name": person}}}
        request += f" Tell {person} about it."
    key = "order" if deep else "record"
    function = _derived(make.tool("create"), f"from_{key}", f"Creates a {make.kind.name}.", {key: schema})
    return _asked(make, request, {function["name"]: gold}, [function])


def _single(make: _Maker) -> Item:
    tool, arguments, request = make.update()
    return _asked(make, request, {tool.name: arguments}, [_function(tool)])


def _parallel(make: _Maker) -> Item:
    """Two or three calls; equal names get a number in the answer, as in the official files."""
    field = make.field("enum", "name", "date")
    calls = [make.update(field) for _ in range(2)]
    while calls[1][1]["id"] == calls[0][1]["id"]:
        calls[1] = make.update(field)
    gold = {f"{tool.name}_{number}": arguments for number, (tool, arguments, _) in enumerate(calls, 1)}
    functions = [_function(calls[0][0])]
    request = " ".join(call[2] for call in calls)
    if make.rng.integers(2):
        read = make.tool("get")
        gold[read.name] = {"id": calls[0][1]["id"]}
        functions.append(_function(read))
        request += f" Then show me {calls[0][1]['id']}."
    return _asked(make, request, gold, functions)


def _similar(make: _Maker) -> Item:
    """The other functions set other fields of the same record."""
    tool, arguments, request = make.update()
    near = [other for other in make.app.tools.values() if other.kind == make.kind and other.action == "update"]
    functions = [_function(other) for other in near]
    row = {"question": f"user: {request}\n", "function": make.shuffled(functions), "time": ""}
    return row, {"ground_truth": {tool.name: arguments}}


def _preference(make: _Maker) -> Item:
    tool, arguments, _ = make.update()
    (field,) = [name for name in arguments if name != "id"]
    profile = {"basic_features": {f"Preferred{field.title().replace('_', '')}": arguments[field]}}
    history = {"user_history": [f"last worked on {make.kind.name} {arguments['id']}", "prefers short answers"]}
    request = f"Please set the {_spoken(field)} of the {make.kind.name} I last worked on as I usually want it."
    row, answer = _asked(make, request, {tool.name: arguments}, [_function(tool)])
    return row | {"profile": str(profile | history)}, answer


def _incomplete(make: _Maker) -> Item:
    tool, arguments, _ = make.update()
    (field,) = [name for name in arguments if name != "id"]
    request = f"Please set the {_spoken(field)} of a {make.kind.name} to {arguments[field]}."
    row, _ = _asked(make, request, {}, [_function(tool)])
    return row, {"ground_truth": {tool.name: ["id"]}}


def _error(make: _Maker) -> Item:
    """A value that none of the parameter's choices or its pattern allows."""
    field = make.field("enum", "date")
    wrong = "2026-13-45" if field.type == "date" else "@purple"
    tool, entity_id = make.tool("update", field.name), make.record()
    request = f"Please set the {_spoken(field.name)} of {make.kind.name} {entity_id} to {wrong}."
    row, _ = _asked(make, request, {}, [_function(tool)])
    return row, {"ground_truth": {field.name: [wrong]}}


def _irrelevant(make: _Maker) -> Item:
    _, _, request = make.update()
    apps = [app for app in _apps().values() if app.domain != make.app.domain]
    other = apps[int(make.rng.integers(len(apps)))]
    functions = [_function(tool) for tool in list(other.tools.values())[:4]]
    row = {"question": f"user: {request}\n", "function": functions, "time": ""}
    return row, {"ground_truth": "Due to the limitations of the function, I cannot solve this problem."}


SINGLE: Mapping[str, Callable[[_Maker], Item]] = {
    "normal_atom_bool": _bool,
    "normal_atom_enum": _enum,
    "normal_atom_number": _number,
    "normal_atom_list": _list,
    "normal_atom_object_short": lambda make: _object(make, False),
    "normal_atom_object_deep": lambda make: _object(make, True),
    "normal_single_turn_single_function": _single,
    "normal_single_turn_parallel_function": _parallel,
    "normal_similar_api": _similar,
    "normal_preference": _preference,
    "special_incomplete": _incomplete,
    "special_error_param": _error,
    "special_irrelevant": _irrelevant,
}


def _dialogue(category: str, number: int) -> Iterator[Item]:
    """Two turns. `adjust`: the user corrects the value; `switch`: the user turns to another record's reading."""
    make = _Maker(category, number)
    tool, arguments, request = make.update()
    functions = [_function(tool), _function(make.tool("get"))]
    row, answer = _asked(make, request, {tool.name: arguments}, functions)
    yield row, answer
    if category.endswith("adjust"):
        (field,) = [name for name in arguments if name != "id"]
        spec = make.kind.field(field)
        new = next(candidate for candidate in iter(lambda: make.value(spec), None) if candidate != arguments[field])
        then, gold = f"Sorry, I meant {new}.", {tool.name: arguments | {field: new}}
    else:
        entity_id = make.record()
        then, gold = f"Thanks. Now show me {make.kind.name} {entity_id}.", {make.tool("get").name: {"id": entity_id}}
    told = f"{row['question']}system: {encode([{tool.name: arguments}])}\nsystem: It is done.\nuser: {then}\n"
    yield row | {"question": told}, {"ground_truth": gold}


def _task(category: str, number: int) -> Item:
    """A task of one application whose last goal the official comparison of end states sees (it misses deletions).

    Without a user to ask, all of it is in the question.
    """
    rng = np.random.default_rng([SEED, CATEGORIES.index(category), number])
    apps = list(_apps().values())
    app = apps[int(rng.integers(len(apps)))]
    steps = 1 if category.endswith("turn") else 3
    while True:
        task = make_task(
            app, int(rng.integers(2**31)), steps + number % 2, forms=("change_by_id", "raise_number", "change_found")
        )
        start, end = app.world(task), replay(app, task)
        almost = replay(app, replace(task, subgoals=task.subgoals[:-1]))
        if not same_state([{app.name: almost.entities}], [{app.name: end.entities}])[0]:
            break
    told = "" if category.endswith("step") else "You want an assistant to do this for you: "
    config = {"records": start.entities, "locked": sorted(start.locked), "next_number": start.next_number}
    row = {
        "question": told + task.request, "initial_config": {app.name: config}, "path": [],
        "function": [_function(app.tools[name]) for name in task.tools], "involved_classes": [app.name],
    }  # fmt: skip
    return row, {"ground_truth": [{app.name: end.entities}], "mile_stone": _stones(task)}


def _stones(task: WorldTask) -> list[str]:
    return [encode([{call.tool: dict(call.arguments)}]) for call in task.gold]


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
