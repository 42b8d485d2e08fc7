"""Rows of conversations that no world stands behind: on declared tools (`agents/requests`), and with MCP servers that
are really called (`agents/servers`)."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.requests.conversation import Requests
from agents.servers.conversation import ServerConversation
from k2model.chat.messages import render

Row = dict[str, Any]
SUCCESS = {
    "request": "exactly these calls, in their turns, and no other",
    "single": "exactly these calls, at once, and no other",
    "server": "these calls, made again from a clean state, give the same results",
    "executed": "the server took the calls",
}


def rows(requests: Requests, numbers: Sequence[int], source: str) -> list[Row]:
    """The conversations on declared tools with these numbers, in order."""
    made = [(number, requests.make(number)) for number in numbers]
    return [
        _row(source, number, one.tools[0].group, one.seed, one.declarations(), one.messages, one.kinds, one.gold)
        for number, one in made
    ]


def called(
    make: Callable[[int], ServerConversation | None], numbers: Sequence[int], source: str, prefix: str, lost: str
) -> list[Row]:
    """The conversations with real servers with these numbers; one that is not kept leaves a row without messages.

    Args:
        lost: the verdict of those.
    """
    made = [(number, make(number)) for number in numbers]
    return [
        _lost(source, f"{prefix}-{number:07d}", lost)
        if one is None
        else _row(source, number, one.server, one.seed, one.tools, one.messages, one.kinds, one.gold, prefix)
        for number, one in made
    ]


def _row(
    source: str,
    number: int,
    domain: str,
    seed: int,
    tools: Sequence[Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    kinds: Sequence[str],
    calls: Sequence[tuple[str, Any]],
    prefix: str = "",
) -> Row:
    name = f"{prefix or source}-{number:07d}"
    render(messages, tools)
    asked = [str(message["content"]) for message in messages if message["role"] == "user"]
    gold = [{"tool": tool, "arguments": arguments} for tool, arguments in calls]
    rubric = {"turns": kinds, "calls": gold, "success": [SUCCESS[source]]}
    trajectory = {
        "domain": domain,
        "messages": json.dumps(messages, ensure_ascii=False),
        "tools": json.dumps(tools, ensure_ascii=False),
        "verdict": "success",
        "reason": ", ".join(kinds),
        "kept": True,
        "n_turns": sum(message["role"] == "assistant" for message in messages),
        "n_calls": len(gold),
        "seed": seed,
    }
    task = {
        "domain": domain,
        "world_seed": seed,
        "goals": len(kinds),
        "request": asked[0],
        "rubric": json.dumps(rubric, ensure_ascii=False),
        "gold": json.dumps(gold, ensure_ascii=False),
        "tools": json.dumps([tool["function"]["name"] for tool in tools]),
        "kinds": json.dumps(kinds),
    }
    return _whole(source, name, trajectory, task)


def _lost(source: str, name: str, verdict: str) -> Row:
    return _whole(source, name, {"verdict": verdict, "reason": "it was made and thrown away"}, {})


def _whole(source: str, name: str, trajectory: Row, task: Row) -> Row:
    empty_trajectory = {
        "traj_id": name,
        "task_id": name,
        "agent_id": "",
        "domain": "",
        "messages": "[]",
        "tools": "[]",
        "state_hash": "",
        "verdict": "",
        "reason": "",
        "kept": False,
        "n_turns": 0,
        "n_calls": 0,
        "source": source,
        "seed": 0,
        "persona": "plain",
        "wording": "script",
        "unsolved": 0,
        "patch": "",
        "llm_verdict": "",
        "llm_reason": "",
    }
    empty_task = {
        "task_id": name,
        "domain": "",
        "application": "",
        "world_seed": 0,
        "goals": 0,
        "request": "",
        "rubric": "{}",
        "gold": "[]",
        "tools": "[]",
        "kinds": "[]",
    }
    return {"trajectory": empty_trajectory | trajectory, "task": empty_task | task}
