"""A user's tools as a family of RL: a request, and the call that it wants, as `agents/requests/calls.py` has them."""

from collections.abc import Sequence

from agents.servers.evaluation import requests
from agents.servers.own import Row, by_server, learnable, measured
from gym.tasksets.sides import Side
from gym.tasksets.task import Task

NAME = "your_tools"


def has_tools(rows: Sequence[Row]) -> bool:
    """Whether a server was harvested."""
    return bool(by_server(rows))


def tasks(rows: Sequence[Row], budget: int, n: int, seed: int, side: Side) -> list[Task]:
    """`n` tasks over the tools of all MCP servers in turn; none where no server was harvested.

    Args:
        side: `held` are the tools kept for measuring, or other requests to those of a server with few.
        budget: tokens of an answer.
    """
    learned = ((row, tools) for tools in by_server(learnable(rows)).values() for row in tools)
    own = measured(rows) if side == "held" else list(learned)
    made = []
    for number in range(n if own else 0):
        row, tools = own[number % len(own)]
        (item,) = requests(row, tools, 1, f"{seed}|{number}")
        payload = {"declared": list(item.tools), "gold": list(item.gold)}
        names = tuple(tool["function"]["name"] for tool in item.tools)
        name = f"{NAME}-{side}-{seed}-{number}"
        made.append(Task(name, NAME, seed, 0.0, item.group, item.messages, budget, payload, names))
    return made
