"""Rows of conversations that no world stands behind: on declared tools (`agents/requests`), and with MCP servers that
are really called (`agents/servers`)."""

from collections.abc import Callable, Sequence

from agents.requests.conversation import Conversation, Requests
from agents.servers.conversation import ServerConversation
from k2model.chat.messages import render
from stages.trajectories.rows import Row, whole

SUCCESS = {
    "request": "exactly these calls, in their turns, and no other",
    "single": "exactly these calls, at once, and no other",
    "server": "these calls, made again from a clean state, give the same results",
    "executed": "the server took the calls",
}


def rows(requests: Requests, numbers: Sequence[int], source: str) -> list[Row]:
    """The conversations on declared tools with these numbers, in order."""
    return [_row(f"{source}-{number:07d}", source, requests.make(number)) for number in numbers]


def called(
    make: Callable[[int], ServerConversation | None], numbers: Sequence[int], source: str, prefix: str, lost: str
) -> list[Row]:
    """The conversations with real servers with these numbers; one that is not kept leaves a row without messages.

    Args:
        lost: the verdict of those.
    """
    thrown_away = {"source": source, "verdict": lost, "reason": "it was made and thrown away"}
    made = [(f"{prefix}-{number:07d}", make(number)) for number in numbers]
    return [whole(name, thrown_away, {}) if one is None else _row(name, source, one) for name, one in made]


def _row(name: str, source: str, one: Conversation | ServerConversation) -> Row:
    tools = one.declarations()
    render(one.messages, tools)
    gold = [{"tool": tool, "arguments": arguments} for tool, arguments in one.gold]
    trajectory = {
        "domain": one.group,
        "messages": one.messages,
        "tools": tools,
        "verdict": "success",
        "reason": ", ".join(one.kinds),
        "kept": True,
        "n_turns": sum(message["role"] == "assistant" for message in one.messages),
        "n_calls": len(gold),
        "source": source,
        "seed": one.seed,
    }
    task = {
        "domain": one.group,
        "world_seed": one.seed,
        "goals": len(one.kinds),
        "request": next(str(message["content"]) for message in one.messages if message["role"] == "user"),
        "rubric": {"turns": one.kinds, "calls": gold, "success": [SUCCESS[source]]},
        "gold": gold,
        "tools": [tool["function"]["name"] for tool in tools],
        "kinds": one.kinds,
    }
    return whole(name, trajectory, task)
