"""A user's tools as a family of RL: a request, and the call that it wants.

Tools that are held for measuring are not among them; an episode declares `payload["declared"]` to the policy.
"""

from collections.abc import Sequence

from agents.servers.evaluation import CALL_TOKENS, Call, Item, requests, right
from agents.servers.own import Row, by_server, learnable, measured
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

NAME = "your_tools"


def tasks(rows: Sequence[Row], n: int, seed: int) -> list[Task]:
    """`n` tasks over the tools of all MCP servers in turn; none where no server was harvested."""
    return _tasks([(row, tools) for tools in by_server(learnable(rows)).values() for row in tools], n, seed)


def held_tasks(rows: Sequence[Row], n: int, seed: int) -> list[Task]:
    """`n` tasks over the held tools; of a server with few tools, other requests to those that there are."""
    return _tasks(measured(rows), n, seed)


def _tasks(own: Sequence[tuple[Row, Sequence[Row]]], n: int, seed: int) -> list[Task]:
    made = []
    for number in range(n if own else 0):
        row, tools = own[number % len(own)]
        (item,) = requests(row, tools, 1, f"{seed}|{number}")
        payload = {"declared": list(item.tools), "gold": list(item.gold)}
        names = tuple(tool["function"]["name"] for tool in item.tools)
        made.append(
            Task(f"{NAME}-{seed}-{number}", NAME, seed, 0.0, item.group, item.messages, CALL_TOKENS, payload, names)
        )
    return made


def score(task: Task, calls: Sequence[Call]) -> Result:
    """1 for exactly the wanted call."""
    if not calls:
        return Result(0.0, Status.NO_ANSWER, "no call")
    item = Item(task.domain, task.messages, tuple(task.payload["declared"]), tuple(task.payload["gold"]))
    good = right(item, calls)
    return Result(float(good), Status.SCORED, "the wanted call" if good else "another call")
