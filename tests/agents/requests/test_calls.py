"""Requests to declared tools as tasks: what is right, and that the sides declare nothing alike."""

from itertools import islice
from typing import Any

import pytest

from agents.requests import calls
from agents.requests.sides import HELD_SHARE, authored_on, rows_on
from agents.tools.everyday import everyday_tools
from agents.tools.library import functions
from agents.tools.real import aws
from gym.tasksets.sides import side_of
from gym.tasksets.task import Task
from stages.tools.__main__ import _specified
from tests.agents.requests.conftest import LIBRARY

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "on": {"type": "boolean", "default": False}}}
DECLARED = [{"function": {"name": "f", "parameters": SCHEMA}}]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    more = ("datetime", "random", "operator", "itertools", "cmath", "fractions", "decimal", "zlib")
    return [_specified(tool) for tool in [*islice(aws(), 900), *functions((*LIBRARY, *more))]]


@pytest.fixture(scope="module")
def sides(rows: list[dict[str, Any]]) -> dict[str, list[Task]]:
    everyday = everyday_tools()
    return {
        "train": calls.tasks(everyday, rows, 96, 300, 3, "train"),
        "held": calls.tasks(everyday, rows, 96, 100, 3, "held"),
    }


@pytest.mark.parametrize(
    ("made", "good"),
    [
        ([("f", {"n": 1})], True),
        ([("f", {"n": 1.0})], True),
        ([("f", {"n": 1, "on": False})], True),
        ([("f", {"n": 1, "on": True})], False),
        ([("f", {"n": True})], False),
        ([("f", {"n": "1"})], False),
        ([("f", {"n": 1, "m": 2})], False),
        ([("f", {})], False),
        ([("g", {"n": 1})], False),
        ([("f", {"n": 1}), ("f", {"n": 1})], False),
        ([], False),
    ],
)
def test_a_call_is_right_by_name_and_by_values_and_their_types(made: list[Any], good: bool) -> None:
    assert calls.right(DECLARED, [("f", {"n": 1})], made) is good


def test_no_call_is_right_where_none_is_wanted() -> None:
    assert calls.right(DECLARED, [], [])
    assert not calls.right(DECLARED, [], [("f", {"n": 1})])


def test_every_tool_is_on_one_side(rows: list[dict[str, Any]]) -> None:
    authored = [authored_on(side, everyday_tools()) for side in ("train", "held")]
    declared = [rows_on(side, rows) for side in ("train", "held")]
    for (train, held), every in ((authored, everyday_tools()), (declared, rows)):
        assert len(train) + len(held) == len(every)
        assert 0.02 < len(held) / len(every) < 0.2
    entities = [{f"{row['source']}/{row['application']}" for row in rows_on(side, rows)} for side in ("train", "held")]
    assert not entities[0] & entities[1]
    own = {"source": "mcp", "application": "shop"}
    assert rows_on("train", [own]) == [own]


def test_the_sides_share_no_tool_and_no_request(sides: dict[str, list[Task]]) -> None:
    groups = {side: {task.domain for task in tasks if "/" in task.domain} for side, tasks in sides.items()}
    assert groups["train"] and groups["held"] and not groups["train"] & groups["held"]
    assert all(side_of(group, HELD_SHARE) == side for side, names in groups.items() for group in names)
    asked = {side: {str(task.messages[-1]["content"]) for task in tasks} for side, tasks in sides.items()}
    assert len(asked["train"] & asked["held"]) <= 1  # two users may say one sentence to tools that no side has


def test_the_wanted_calls_score_and_others_do_not(sides: dict[str, list[Task]]) -> None:
    tasks = sides["train"]
    for task in tasks:
        gold = task.payload["gold"]
        assert calls.score(task, gold).score == 1.0
        assert {name for name, _ in gold} <= set(task.tools)
        assert calls.score(task, [*gold, (task.tools[0], {"surely_not": 1})]).score == 0.0
        if gold:
            assert calls.score(task, []).score == 0.0
    shares = [sum(len(task.payload["gold"]) == n for task in tasks) / len(tasks) for n in (0, 1)]
    assert 0.15 < shares[0] < 0.4 and shares[1] > 0.5
    assert any(len(task.payload["gold"]) > 1 for task in tasks)
    assert all(task.token_budget == 96 and task.taskset == calls.NAME for task in tasks)


def test_equal_seeds_give_equal_tasks(rows: list[dict[str, Any]], sides: dict[str, list[Task]]) -> None:
    assert calls.tasks(everyday_tools(), rows, 96, 100, 3, "held") == sides["held"]
    assert calls.tasks(everyday_tools(), rows, 96, 100, 4, "held") != sides["held"]
