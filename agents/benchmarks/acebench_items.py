"""The items of ACEBench's categories: rows and answers in the official schema, worded from what the gold call holds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

from agents.benchmarks.acebench_wishes import SEED, Maker, Wish, alike, desks, worded
from agents.conversations.drafting import Drafter, Habits
from agents.conversations.task import Goal
from agents.conversations.words import lower_first, upper_first
from agents.worlds.fields import FieldType
from agents.worlds.surface import Surface, WorldTool
from agents.worlds.world import World
from gym.benchmarks.acebench_rules import encode, same_state

CORRECTED = ("enum", "pool", "date", "time", "money", "number", "int")  # types whose value a user corrects
PLAIN = Habits(missing=0.0, slip=0.0, change=0.0, refuse=0.0, stranger=0.0, fallback=0.0, extra=0.0)
Item = tuple[dict[str, Any], dict[str, Any]]  # (row, answer)
Function = dict[str, Any]


def items(category: str, number: int) -> list[Item]:
    """An item; of a dialogue one for each turn."""
    if category in SINGLE:
        return [SINGLE[category](Maker(category, number))]
    if category.startswith("normal_multi_turn"):
        return list(_dialogue(category, number))
    return [_task(category, number)]


def _function(tool: WorldTool) -> Function:
    schema = {key: value for key, value in tool.parameters.items() if key != "additionalProperties"}
    return {"name": tool.name, "description": tool.action.does, "parameters": schema}


def _derived(name: str, what: str, properties: Mapping[str, Any]) -> Function:
    """A function with parameters of another form than the application's own."""
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {"name": name, "description": what, "parameters": schema}


def _shuffled(make: Maker, functions: Sequence[Function]) -> list[Function]:
    return make.rng.sample(functions, len(functions))


def _asked(make: Maker, desk: Surface, request: str, gold: Mapping[str, Any], functions: Sequence[Function]) -> Item:
    """The functions, and three others of the application in any order."""
    names = [function["name"] for function in functions]
    rest = [tool for tool in desk.tools.values() if not any(alike(tool.name, name) for name in names)]
    more = [_function(tool) for tool in make.rng.sample(rest, 3)]
    row = {"question": f"user: {request}\n", "function": _shuffled(make, [*functions, *more]), "time": ""}
    return row, {"ground_truth": dict(gold)}


# ---- one turn -------------------------------------------------------------------------------------------------------


def _plainly(make: Maker, wish: Wish) -> Item:
    return _asked(make, wish.desk, wish.request(), {wish.tool.name: wish.arguments}, [_function(wish.tool)])


def _bool(make: Maker) -> Item:
    desk, flag = make.rng.choice(desks()), make.rng.random() < 0.5
    noun = desk.nouns[make.reader(desk).action.shows]
    wanted = {"include_closed": {"type": "boolean", "description": "whether closed ones are listed too"}}
    what = f"Lists each {noun} that there is, closed ones too if wanted."
    function = _derived(f"list_each_{noun.replace(' ', '_')}", what, wanted)
    request = f"List each {noun}, {'also the closed ones' if flag else 'but not the closed ones'}."
    return _asked(make, desk, request, {function["name"]: {"include_closed": flag}}, [function])


def _list(make: Maker) -> Item:
    desk = make.rng.choice(desks())
    reader = make.reader(desk)
    (parameter,) = reader.action.parameters
    noun, ids = desk.nouns[reader.action.shows], list(dict.fromkeys(make.value(desk, parameter.type) for _ in range(3)))
    wanted = {"ids": {"type": "array", "items": {"type": "string"}, "description": "in the order given"}}
    function = _derived(
        f"compare_every_{noun.replace(' ', '_')}", f"Shows records of the kind {noun} together.", wanted
    )
    request = f"Show me these {noun} records together: {', '.join(ids)}."
    return _asked(make, desk, request, {function["name"]: {"ids": ids}}, [function])


def _object(make: Maker, deep: bool) -> Item:
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
    return _asked(make, wish.desk, request, {function["name"]: gold}, [function])


def _parallel(make: Maker) -> Item:
    """Two or three calls about different records; equal names get a number in the answer, as in the official files."""
    first = make.wish()
    reader = make.reader(first.desk, first.tool.name)
    records = [parameter.name for parameter in first.said("ref")]
    second = make.again(first)
    while any(second.stored[name] == first.stored[name] for name in records):
        second = make.again(first)
    gold = {f"{wish.tool.name}_{number}": wish.arguments for number, wish in enumerate((first, second), 1)}
    functions = [_function(first.tool)]
    request = f"{first.request()} {second.request()}"
    if make.rng.random() < 0.5:
        arguments, text = make.shown(first.desk, reader)
        gold[reader.name] = arguments
        functions.append(_function(reader))
        request += f" Then show me {text}."
    return _asked(make, first.desk, request, gold, functions)


def _similar(make: Maker) -> Item:
    """The other functions are about the same records, three or more of them."""
    near: list[WorldTool] = []
    while len(near) < 3:
        wish = make.wish()
        kinds = set(wish.action.refs.values())
        about = [tool for tool in wish.desk.tools.values() if kinds & set(tool.action.refs.values())]
        near = [tool for tool in about if not alike(tool.name, wish.tool.name)]
    functions = [_function(tool) for tool in (wish.tool, *near)]
    row = {"question": f"user: {wish.request()}\n", "function": _shuffled(make, functions), "time": ""}
    return row, {"ground_truth": {wish.tool.name: wish.arguments}}


def _preference(make: Maker) -> Item:
    """One value and one record stand in the profile alone."""
    wish = make.wish("enum", "pool", "time")
    value, record = wish.said("enum", "pool", "time")[0], wish.said("ref")[0]
    noun, words = wish.desk.nouns[record.type.target], value.name.replace("_", " ")
    usual = f"Usual{value.name.title().replace('_', '')}"
    profile = {
        "basic_features": {usual: wish.stored[value.name]},
        "user_history": [f"last worked on {wish.text(record)}", "prefers short answers"],
    }
    told = [f"{p.name.replace('_', ' ')}: {wish.text(p)}" for p in wish.said() if p not in (value, record)]
    request = f"Please {wish.action.name.replace('_', ' ')} for the {noun} I last worked on, with my usual {words}"
    request += f" ({', '.join(told)})." if told else "."
    row, answer = _asked(make, wish.desk, request, {wish.tool.name: wish.arguments}, [_function(wish.tool)])
    return row | {"profile": str(profile)}, answer


def _incomplete(make: Maker) -> Item:
    wish = make.wish()
    record = make.rng.choice(wish.said("ref"))
    request = wish.request(**{record.name: f"a {wish.desk.nouns[record.type.target]}"})
    row, _ = _asked(make, wish.desk, request, {}, [_function(wish.tool)])
    return row, {"ground_truth": {wish.tool.name: [wish.name(record)]}}


def _error(make: Maker) -> Item:
    """A value that none of the parameter's choices, or no calendar, has."""
    wish = make.wish("enum", "date")
    parameter = make.rng.choice(wish.said("enum", "date"))
    wrong = "2026-13-45" if parameter.type.base == "date" else "@purple"
    row, _ = _asked(make, wish.desk, wish.request(**{parameter.name: wrong}), {}, [_function(wish.tool)])
    return row, {"ground_truth": {wish.name(parameter): [wrong]}}


def _irrelevant(make: Maker) -> Item:
    wish = make.wish()
    desk = make.rng.choice([desk for desk in desks() if desk.app.domain != wish.desk.app.domain])
    functions = [_function(tool) for tool in make.rng.sample(list(desk.tools.values()), 4)]
    row = {"question": f"user: {wish.request()}\n", "function": functions, "time": ""}
    return row, {"ground_truth": "Due to the limitations of the function, I cannot solve this problem."}


SINGLE: Mapping[str, Callable[[Maker], Item]] = {
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
    make = Maker(category, number)
    wish = make.wish(*CORRECTED)
    reader = make.reader(wish.desk, wish.tool.name)
    functions = [_function(wish.tool), _function(reader)]
    row, answer = _asked(make, wish.desk, wish.request(), {wish.tool.name: wish.arguments}, functions)
    yield row, answer
    if category.endswith("adjust"):
        parameter = wish.said(*CORRECTED)[0]
        new = make.other(wish.desk, parameter.type, wish.stored[parameter.name])
        words = f"{worded(wish.desk, parameter.type, new)} as the {parameter.name.replace('_', ' ')}"
        then = f"Sorry, I meant {words}."
        gold = {wish.tool.name: wish.tool.written({**wish.stored, parameter.name: new})}
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
        desk = rng.choice(desks())
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
    wanted = (goal for goal in drawn if goal is not None and goal.kind == "do" and goal.expected == "done")
    return list(islice(wanted, count))
