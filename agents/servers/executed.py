"""Conversations in which the calls to a user's own server are really made.

Its results are what the server returned, and what it changed stays changed: a second run is another conversation. Only
a server whose entry says `execute: true` comes here.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from agents.loop.loop import Toolbox
from agents.requests.dialog import Call
from agents.requests.offers import Asked, Offer, spec_offer
from agents.requests.schemas import KINDS
from agents.requests.wanted import Wanted, want
from agents.requests.wording import Speech, followed, request
from agents.servers.conversation import ServerConversation
from agents.servers.own import Row, declarations
from agents.servers.wording import sentence

TURNS = (1, 2, 2, 3, 3, 4)
PARALLEL = 0.15  # of the turns
SEEN = 0.8  # of the values that an earlier result held, where there is one
MOST_ERRORS = 1
MOST_TOLD = 4  # values of a result in the agent's answer
SHORT = 160  # characters of a text that is told as it is


class ExecutedConversations:
    """Makes the conversation with a number, calling `toolbox`; results feed the requests that come later.

    At the start each tool that only reads and requires no argument is called once, so that users name what there is.
    A conversation with several errors is not kept; `lost` counts them.

    Args:
        rows: the server's tools, as in tools.parquet. toolbox: makes a call, see `agents/tools/harvest.py`.
    """

    def __init__(self, rows: Sequence[Row], toolbox: Toolbox, *, base: int) -> None:
        self.server = str(rows[0]["application"])
        self.offers = [spec_offer(row) for row in rows]
        self.declared = declarations(rows)
        self.toolbox, self.base, self.lost = toolbox, base, 0
        self.known: dict[str, list[Any]] = defaultdict(list)
        for offer in self.offers:
            if offer.action == "read" and not any(asked.required for asked in offer.parameters):
                text, error = toolbox(offer.name, {})
                if not error:
                    _keep(text, self.known)

    def make(self, number: int) -> ServerConversation | None:
        """None for one with more errors than MOST_ERRORS."""
        rng = Random(f"{self.base}|{number}|executed {self.server}")
        offers = rng.sample(self.offers, min(len(self.offers), rng.choice((2, 3, 4, 6, 8))))
        made = ServerConversation(self.server, self.base + number, [self.declared[offer.name] for offer in offers])
        if rng.random() < 0.3:
            made.messages.append({"role": "system", "content": sentence("system", rng)})
        seen: dict[str, list[Any]] = defaultdict(list)
        for turn in range(rng.choice(TURNS)):
            offer = rng.choice(offers)
            count = 2 if offer.parameters and rng.random() < PARALLEL else 1
            wanted = [_want(offer, (seen, self.known), rng) for _ in range(count)]
            text = request(Speech(offer, wanted[0].said, {}, "turn" if turn else "start"), rng)
            for further in wanted[1:]:
                text = followed(text, request(Speech(offer, further.said, {}, "sentence"), rng), rng)
            made.messages.append({"role": "user", "content": text})
            self._call(made, wanted, seen, rng)
        if made.errors > MOST_ERRORS:
            self.lost += 1
            return None
        return made

    def _call(
        self, made: ServerConversation, wanted: Sequence[Wanted], seen: dict[str, list[Any]], rng: Random
    ) -> None:
        made.kinds.append("parallel" if len(wanted) > 1 else "call")
        calls, texts, told = list[Call](), list[str](), list[str]()
        for each in wanted:
            name, arguments = each.offer.name, each.arguments
            known = [value for values in seen.values() for value in values]
            made.dependent += any(value in known for value in arguments.values())
            text, error = self.toolbox(name, arguments)
            made.errors += error
            calls.append((name, arguments))
            texts.append(text)
            told.append(_told(text, error, rng))
            if not error:
                _keep(text, seen)
        made.call(calls, texts)
        made.messages.append({"role": "assistant", "content": " ".join(told)})


def _want(offer: Offer, sources: Sequence[Mapping[str, list[Any]]], rng: Random) -> Wanted:
    """A call, with values of results where a parameter is called as they are: of the first source that has some."""
    drawn = want(offer, rng)
    said, arguments = dict(drawn.said), dict(drawn.arguments)
    for asked in offer.parameters:
        values = next((values for seen in sources if (values := _fitting(asked, seen))), [])
        if asked.name in said and values and rng.random() < SEEN:
            said[asked.name] = arguments[asked.name] = rng.choice(values)
    return Wanted(offer, said, arguments)


def _fitting(asked: Asked, seen: Mapping[str, list[Any]]) -> list[Any]:
    """Values of results under the parameter's name, or under `id` for a parameter `…_id`; those of its type."""
    types = KINDS.get(asked.schema.get("type", ""), ())
    if "enum" in asked.schema:
        return []
    names = [asked.name, *(["id"] if asked.name.endswith(("_id", "Id")) else [])]
    return [value for name in names for value in seen.get(name, ()) if isinstance(value, types)]


def _keep(text: str, seen: dict[str, list[Any]]) -> None:
    for key, value in _leaves(text):
        seen[key].append(value)


def _leaves(text: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of every scalar of a result in JSON, or in several one after the other; nothing of other text."""
    queue: list[tuple[str, Any]] = []
    rest, decoder = text.strip(), json.JSONDecoder()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            return
        queue.append(("", value))
        rest = rest[end:].lstrip()
    while queue:
        key, value = queue.pop(0)
        if isinstance(value, dict):
            queue = [*value.items(), *queue]
        elif isinstance(value, list):
            queue = [*((key, part) for part in value), *queue]
        elif key and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield key, value


def _told(text: str, error: bool, rng: Random) -> str:
    """The agent's sentence about a result."""
    line = (text.strip().splitlines() or [""])[0][:SHORT]
    if error:
        return sentence("failed", rng, v=line)
    pairs = [f"{key.replace('_', ' ')}: {value}" for key, value in _leaves(text)]
    more = f" ({len(pairs) - MOST_TOLD} more)" if len(pairs) > MOST_TOLD else ""
    return sentence("got", rng, v=", ".join(pairs[:MOST_TOLD]) + more if pairs else line or "nothing")
