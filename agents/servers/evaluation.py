"""Calls that a model is to make: on tools of a user's server that no conversation declared, and on the server kept.

    items = own_items(rows, per_tool=10, seed=0)
    sum(answered(client, items))

Right is what calls the wanted tool once with the wanted arguments, compared by value and type; an argument that equals
the declared default may be given or left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.chat.protocol import ChatClient, ChatRequest, ChatResponse
from agents.requests.calls import Call, right
from agents.requests.offers import spec_offer
from agents.requests.wanted import want
from agents.requests.wording import Speech, request
from agents.servers.conversation import ServerConversations
from agents.servers.own import Row, declarations, measured
from agents.servers.spec import HELD

MOST_OTHERS = 5  # declared tools beside the wanted one
CALL_TOKENS = 160


@dataclass(frozen=True)
class Item:
    """group: `server/tool` for a user's tools, the server for conversations. gold: the calls of the next message."""

    group: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    gold: tuple[Call, ...]


def own_items(rows: Sequence[Row], *, per_tool: int, seed: int) -> list[Item]:
    """Requests to the held tools of every MCP server of tools.parquet; of servers with few tools, to all of them."""
    return [item for row, own in measured(rows) for item in requests(row, own, per_tool, f"{seed}|held")]


def requests(row: Row, own: Sequence[Row], count: int, base: str) -> list[Item]:
    """Requests to a tool, declared in full among others of its server."""
    offer, declared = spec_offer(row), declarations(own)
    others = [name for name in declared if name != offer.name]
    items = []
    for number in range(count):
        rng = Random(f"{base}|{row['application']}|{offer.name}|{number}")
        wanted = want(offer, rng)
        names = [offer.name, *rng.sample(others, min(len(others), rng.randint(2, MOST_OTHERS)))]
        rng.shuffle(names)
        message = {"role": "user", "content": request(Speech(offer, wanted.said, {}), rng)}
        tools, gold = tuple(declared[name] for name in names), ((offer.name, wanted.arguments),)
        items.append(Item(f"{row['application']}/{offer.name}", (message,), tools, gold))
    return items


def kept_server_items(count: int, seed: int) -> list[Item]:
    """The first calls of the turns of conversations with the server that nothing is learned from, `count` of them.

    Raises:
        SandboxError: see `ServerConversations`.
    """
    items: list[Item] = []
    number = 0
    with ServerConversations([HELD], base=seed) as conversations:
        while len(items) < count:
            made = conversations.make(number)
            number += 1
            if made is None:
                continue
            for place, message in enumerate(made.messages):
                if message.get("tool_calls") and made.messages[place - 1]["role"] == "user":
                    gold = tuple(_call(call) for call in message["tool_calls"])
                    items.append(Item(HELD, tuple(made.messages[:place]), tuple(made.tools), gold))
    return items[:count]


def answered(client: ChatClient, items: Sequence[Item]) -> list[bool]:
    """Whether each item is right, asked greedily; a refused request is not.

    Raises:
        ChatError: no request can be answered.
    """
    asked = [ChatRequest(item.messages, max_tokens=CALL_TOKENS, tools=item.tools) for item in items]
    return [
        isinstance(answer, ChatResponse) and right(item.tools, item.gold, [_call(call) for call in answer.tool_calls])
        for item, answer in zip(items, client.complete(asked), strict=True)
    ]


def _call(call: Mapping[str, Any]) -> Call:
    """A call in the OpenAI shape; arguments that are no JSON object are equal to nothing that is wanted."""
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        arguments = None
    return function["name"], arguments if isinstance(arguments, dict) else {"": function["arguments"]}
