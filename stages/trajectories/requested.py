"""Rows of conversations on declared tools that no world stands behind (`agents/requests`)."""

import json
from collections.abc import Sequence
from typing import Any

from agents.requests.conversation import Conversation, Requests
from k2model.chat.messages import render

Row = dict[str, Any]


def rows(requests: Requests, numbers: Sequence[int]) -> list[Row]:
    """The conversations with these numbers, in order."""
    return [_row(requests.make(number), number) for number in numbers]


def _row(made: Conversation, number: int) -> Row:
    tools, name = made.declarations(), f"request-{number:07d}"
    render(made.messages, tools)
    asked = [str(message["content"]) for message in made.messages if message["role"] == "user"]
    gold = [{"tool": tool, "arguments": arguments} for tool, arguments in made.gold]
    rubric = {"turns": made.kinds, "calls": gold, "success": ["exactly these calls, in their turns, and no other"]}
    return {
        "trajectory": {
            "traj_id": name,
            "task_id": name,
            "agent_id": "",
            "domain": made.tools[0].group,
            "messages": json.dumps(made.messages, ensure_ascii=False),
            "tools": json.dumps(tools, ensure_ascii=False),
            "state_hash": "",
            "verdict": "success",
            "reason": ", ".join(made.kinds),
            "kept": True,
            "n_turns": sum(message["role"] == "assistant" for message in made.messages),
            "n_calls": len(gold),
            "source": "request",
            "seed": made.seed,
            "persona": "plain",
            "wording": "script",
            "untold": 0,
            "patch": "",
            "llm_verdict": "",
            "llm_reason": "",
        },
        "task": {
            "task_id": name,
            "domain": made.tools[0].group,
            "application": "",
            "world_seed": made.seed,
            "subgoals": len(made.kinds),
            "request": asked[0],
            "rubric": json.dumps(rubric, ensure_ascii=False),
            "gold": json.dumps(gold, ensure_ascii=False),
            "tools": json.dumps([offer.name for offer in made.tools]),
            "kinds": json.dumps(made.kinds),
            "locked": "[]",
        },
    }
