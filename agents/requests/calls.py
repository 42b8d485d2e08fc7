"""Requests to declared tools as verifiable tasks: the right calls of one turn, compared by value and type.

A call is wanted, several at once, or none, since no tool fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.requests.mix import Mix
from agents.requests.shelf import kind
from agents.requests.sides import authored_on, rows_on
from agents.requests.singles import Singles
from agents.tools.everyday import EverydayTool
from gym.tasksets.sides import Side
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

NAME = "calls"
MIX = Mix(
    everyday=0.5,
    library=0.25,
    service=0.25,
    mcp=0.0,  # a user's own are a family of their own
    parallel=0.1,
    no_tool=0.25,
    ask_back=0.0,  # no rule says whether the right value was asked for
    beside=0.45,
    thoughts=0.0,
)
Call = tuple[str, Mapping[str, Any]]


def tasks(
    everyday: Sequence[EverydayTool], rows: Sequence[Mapping[str, Any]], budget: int, n: int, seed: int, side: Side
) -> list[Task]:
    """`n` requests to tools of one side (`sides.py`); `payload["declared"]` is what an episode declares.

    Where no tool of services or libraries was kept, the others are asked for.

    Args:
        rows: of tools.parquet. budget: tokens of an answer.

    Raises:
        ValueError: of a source that is there no tool can be asked for.
    """
    own = rows_on(side, rows)
    there = {kind(f"{row['source']}/") for row in own if row["source"] != "everyday" and not row["state_model"]}
    mix = replace(MIX, **{source: 0.0 for source in ("library", "service") if source not in there})
    maker = Singles(authored_on(side, everyday), own, mix, seed)
    made = []
    for number in range(n):
        one = maker.make(number)
        *asked, answer = one.messages
        gold = [(name, arguments) for name, arguments in one.gold] if answer.get("tool_calls") else []
        payload = {"declared": one.declarations(), "gold": gold}
        names = tuple(offer.name for offer in one.tools)
        made.append(
            Task(f"{NAME}-{side}-{seed}-{number}", NAME, seed, 0.0, one.group, tuple(asked), budget, payload, names)
        )
    return made


def score(task: Task, calls: Sequence[Call]) -> Result:
    """1 for exactly the wanted calls, in any order."""
    good = right(task.payload["declared"], task.payload["gold"], calls)
    return Result(float(good), Status.SCORED, "the wanted calls" if good else "other calls" if calls else "no call")


def right(declared: Sequence[Mapping[str, Any]], gold: Sequence[Call], calls: Sequence[Call]) -> bool:
    """Whether these are the wanted calls; an argument that equals the declared default may be left out."""
    left = list(gold)
    for call in calls:
        same = next((wanted for wanted in left if _same(declared, wanted, call)), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def _same(declared: Sequence[Mapping[str, Any]], wanted: Call, call: Call) -> bool:
    if wanted[0] != call[0]:
        return False
    functions = (tool["function"] for tool in declared)
    schema = next(function["parameters"] for function in functions if function["name"] == wanted[0])
    return equal(_without_defaults(wanted[1], schema), _without_defaults(call[1], schema))


def _without_defaults(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    return {
        name: value
        for name, value in arguments.items()
        if "default" not in properties.get(name, {}) or not equal(value, properties[name]["default"])
    }


def equal(one: Any, other: Any) -> bool:
    """Equal JSON values; true is not 1, and 2 is 2.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
