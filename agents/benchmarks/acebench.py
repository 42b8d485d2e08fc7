"""A built-in ACEBench: all 17 categories in the official schema, out of the applications that are held for evaluation.

No training data comes from these. Every request is worded from the values that its gold call holds; the agent tasks are
drawn like those of conversations, so that the end state is known.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.benchmarks.acebench_items import Item, items
from agents.benchmarks.acebench_wishes import SEED
from agents.worlds.simulator import Simulator
from agents.worlds.surface import surface
from agents.worlds.world import World
from gym.benchmarks.acebench import AceBenchData, Prompts
from gym.benchmarks.acebench_rules import CATEGORIES
from gym.benchmarks.base import builtin_manifest

EACH = 10  # items of a category, dialogues where there are turns
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
def builtin() -> AceBenchData:
    """The built-in set; equal in every process."""
    rows: dict[str, list[dict[str, Any]]] = {}
    answers: dict[str, list[dict[str, Any]]] = {}
    for category in CATEGORIES:
        named = [pair for number in range(EACH) for pair in _named(category, number)]
        rows[category] = [{"id": name} | row for name, (row, _) in named]
        answers[category] = [{"id": name} | answer for name, (_, answer) in named]
    manifest = builtin_manifest(
        "function_calling", [row for some in (*rows.values(), *answers.values()) for row in some]
    )
    count = sum(map(len, rows.values()))
    manifest = replace(manifest, source="generated from this project's tools", count=count)
    return AceBenchData(manifest, rows, answers, PROMPTS, WorldScene)


def _named(category: str, number: int) -> list[tuple[str, Item]]:
    """Items with their ids; the turns of a dialogue are numbered."""
    made = items(category, number)
    name = f"{category}_{number}"
    return [(name, made[0])] if len(made) == 1 else [(f"{name}_{turn}", item) for turn, item in enumerate(made)]
