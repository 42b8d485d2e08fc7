"""Conversations on declared tools without a world: single and parallel calls, no fitting tool, missing values.

Each is made from its number and a seed alone. Near-duplicates stand beside the tool that fits, so that the words of a
request don't decide by themselves. Some conversations repeat the first request of the one before them without the tool
that fitted: then nothing must be called.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agents.requests.offers import Offer, everyday_offer, spec_offer
from agents.requests.results import result, told
from agents.requests.wording import asked_back, declined, join_sentence, request, supplied
from agents.tools.everyday import EverydayTool

TOOLS = (1, 1, 2, 2, 2, 3, 3, 4, 5)  # declared
TURNS = (1, 2, 2, 3, 3, 4)
NEAR = 0.45  # of further tools: from the group of one that is there
OPTIONAL = 0.45  # of optional parameters: given
PAIRED = 0.35  # of every second conversation
SYSTEM = (
    "You are a helpful assistant with access to tools.",
    "Use the tools when they fit the request. Ask for what is missing.",
    "You are an assistant that can call functions. Call one only if it can do what is asked.",
    "Answer briefly. Call the right function with the right arguments.",
)
JOINS = [" Also, ", " And ", " Then ", " Besides, ", " In addition, ", " "]
Message = dict[str, Any]


SPECIFIED = ("library", "service", "mcp")


def kind(group: str) -> str:
    """The source, of SPECIFIED, that a group of `spec_offer` belongs to."""
    return {"python": "library", "mcp": "mcp"}.get(group.partition("/")[0], "service")


@dataclass(frozen=True)
class Mix:
    """Where tools come from (weights), and shares of turns that are not a single call."""

    everyday: float
    library: float
    service: float
    mcp: float
    parallel: float
    no_tool: float
    ask_back: float


@dataclass
class Conversation:
    """kinds: what each turn is: `call`, `parallel`, `no_tool`, `ask_back`. gold: the calls, in order."""

    seed: int
    tools: list[Offer]
    messages: list[Message] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    gold: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def declarations(self) -> list[dict[str, Any]]:
        return [offer.declaration() for offer in self.tools]


@dataclass(frozen=True)
class Wanted:
    """An offer asked for: the sentence, and what the call must hold."""

    offer: Offer
    said: dict[str, Any]
    arguments: dict[str, Any]


class Requests:
    """Makes the conversation with a number.

    Args:
        everyday: the authored tools. rows: of tools.parquet; those of a simulated world, and the authored, don't count.
        base: the seed of number 0.

    Raises:
        ValueError: a source has a weight but no tool that can be asked for.
    """

    def __init__(
        self, everyday: Sequence[EverydayTool], rows: Sequence[Mapping[str, Any]], mix: Mix, base: int
    ) -> None:
        self.mix, self.base = mix, base
        self.everyday: dict[str, list[EverydayTool]] = defaultdict(list)
        for tool in everyday:
            self.everyday[tool.domain].append(tool)
        self.groups: dict[str, list[Offer]] = defaultdict(list)
        for row in rows:
            apart = row["source"] == "everyday" or bool(row["state_model"])
            if not apart and (offer := spec_offer(row)) is not None:
                self.groups[offer.group].append(offer)
        self.sources = {
            source: [offer for group, offers in self.groups.items() if kind(group) == source for offer in offers]
            for source in SPECIFIED
        }
        weights = {"everyday": mix.everyday, "library": mix.library, "service": mix.service}
        for source, weight in weights.items():
            if weight > 0 and not (everyday if source == "everyday" else self.sources[source]):
                raise ValueError(f"{source}: no tool can be asked for")
        self.weights = weights | {"mcp": mix.mcp if self.sources["mcp"] else 0.0}

    def make(self, number: int) -> Conversation:
        rng = Random(f"{self.base}|{number}")
        tools, opening = self._opening(number)
        paired = number % 2 == 1 and rng.random() < PAIRED
        if paired:  # the request of the one before, without the tool that fitted it
            tools, opening = self._opening(number - 1)
            tools = [offer for offer in tools if offer.key != opening.wanted.offer.key]
            near = self._near(opening.wanted.offer, rng)
            _add(tools, near or self._fresh(rng))
        made = Conversation(self.base + number, tools)
        if rng.random() < 0.25:
            made.messages.append({"role": "system", "content": rng.choice(SYSTEM)})
        for turn in range(rng.choice(TURNS)):
            if turn == 0 and paired and opening.wanted.offer.key not in {offer.key for offer in tools}:
                self._decline(made, opening, rng)
            else:
                self._turn(made, opening if turn == 0 and not paired else None, rng)
        return made

    def _opening(self, number: int) -> tuple[list[Offer], "Opening"]:
        """The tools of a conversation, and its first request if that is a single call."""
        rng = Random(f"{self.base}|{number}|opening")
        tools = self._tools(rng)
        wanted = _want(rng.choice(tools), rng)
        return tools, Opening(wanted, request(wanted.offer, wanted.said, rng))

    # ---- tools ---------------------------------------------------------------------------------------------------

    def _tools(self, rng: Random) -> list[Offer]:
        tools: list[Offer] = []
        for _ in range(rng.choice(TOOLS)):
            near = self._near(rng.choice(tools), rng) if tools and rng.random() < NEAR else None
            _add(tools, near or self._fresh(rng))
        return tools

    def _fresh(self, rng: Random) -> Offer:
        source = rng.choices(list(self.weights), list(self.weights.values()))[0]
        if source == "everyday":
            return everyday_offer(rng.choice(self.everyday[rng.choice(list(self.everyday))]), rng)
        return rng.choice(self.sources[source])

    def _near(self, offer: Offer, rng: Random) -> Offer | None:
        """Another tool of its group."""
        if offer.group in self.everyday:
            others = [tool for tool in self.everyday[offer.group] if f"{tool.domain}/{tool.name}" != offer.key]
            return everyday_offer(rng.choice(others), rng) if others else None
        same = [other for other in self.groups[offer.group] if other.key != offer.key]
        return rng.choice(same) if same else None

    def _outside(self, tools: Sequence[Offer], rng: Random) -> Offer | None:
        """A tool that isn't declared, near one that is more often than not; None when none was found."""
        keys, told = {offer.key for offer in tools}, {(offer.verb, offer.what) for offer in tools}
        for _ in range(4):
            other = self._near(rng.choice(tools), rng) if rng.random() < 0.6 else self._fresh(rng)
            if other is not None and other.key not in keys and (other.verb, other.what) not in told:
                return other
        return None

    # ---- turns ---------------------------------------------------------------------------------------------------

    def _turn(self, made: Conversation, opening: "Opening | None", rng: Random) -> None:
        mix, kind = self.mix, rng.random()
        if kind < mix.no_tool:
            outside = self._outside(made.tools, rng)
            if outside is not None:
                wanted = _want(outside, rng)
                self._decline(made, Opening(wanted, _said(made, wanted, rng)), rng)
                return
        elif kind < mix.no_tool + mix.ask_back:
            able = [offer for offer in made.tools if any(asked.required for asked in offer.parameters)]
            if able:
                self._ask(made, _want(rng.choice(able), rng), rng)
                return
        elif kind < mix.no_tool + mix.ask_back + mix.parallel:
            self._parallel(made, rng)
            return
        if opening is None:
            wanted = _want(rng.choice(made.tools), rng)
            opening = Opening(wanted, _said(made, wanted, rng))
        made.kinds.append("call")
        made.messages.append({"role": "user", "content": opening.text})
        self._call(made, [opening.wanted], rng)

    def _decline(self, made: Conversation, asked: "Opening", rng: Random) -> None:
        made.kinds.append("no_tool")
        made.messages.append({"role": "user", "content": asked.text})
        made.messages.append({"role": "assistant", "content": declined(asked.wanted.offer, rng)})

    def _ask(self, made: Conversation, wanted: Wanted, rng: Random) -> None:
        """A required value is missing; the user gives it when he is asked."""
        made.kinds.append("ask_back")
        required = [asked for asked in wanted.offer.parameters if asked.required]
        missing = rng.choice(required)
        partial = Wanted(wanted.offer, {k: v for k, v in wanted.said.items() if k != missing.name}, wanted.arguments)
        made.messages.append({"role": "user", "content": _said(made, partial, rng)})
        made.messages.append({"role": "assistant", "content": asked_back([missing], rng)})
        made.messages.append({"role": "user", "content": supplied(missing, wanted.said[missing.name], rng)})
        self._call(made, [wanted], rng)

    def _parallel(self, made: Conversation, rng: Random) -> None:
        """Two or three calls in one turn, of one tool with other values or of several."""
        made.kinds.append("parallel")
        count = rng.choice((2, 2, 3))
        one = rng.choice(made.tools)
        offers = (
            [one] * count
            if rng.random() < 0.6 or len(made.tools) < 2
            else [rng.choice(made.tools) for _ in range(count)]
        )
        wanted = [_want(offer, rng) for offer in offers]
        text = _said(made, wanted[0], rng)
        for further in wanted[1:]:
            sentence = request(further.offer, further.said, rng, after="sentence")
            text = text if text[-1] in ".?!" else text + "."
            text += join_sentence(rng.choice(JOINS), sentence)
        made.messages.append({"role": "user", "content": text})
        self._call(made, wanted, rng)

    def _call(self, made: Conversation, wanted: Sequence[Wanted], rng: Random) -> None:
        first = len(made.gold)
        calls = []
        for number, one in enumerate(wanted):
            made.gold.append((one.offer.name, one.arguments))
            function = {"name": one.offer.name, "arguments": json.dumps(one.arguments, ensure_ascii=False)}
            calls.append(
                {"id": f"functions.{one.offer.name}:{first + number}", "type": "function", "function": function}
            )
        made.messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        results = [result(one.offer, one.arguments, made.seed) for one in wanted]
        for call, one, given in zip(calls, wanted, results, strict=True):
            content = json.dumps(given, ensure_ascii=False)
            made.messages.append(
                {"role": "tool", "tool_call_id": call["id"], "name": one.offer.name, "content": content}
            )
        made.messages.append({"role": "assistant", "content": told([one.offer for one in wanted], results, rng)})


@dataclass(frozen=True)
class Opening:
    """A request in words."""

    wanted: Wanted
    text: str


def _add(tools: list[Offer], offer: Offer) -> None:
    """Unless one like it is there: names must be told apart, and so must what they do."""
    plain = {_plain(other.name) for other in tools}
    if _plain(offer.name) not in plain and offer.key not in {other.key for other in tools}:
        tools.append(offer)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _want(offer: Offer, rng: Random) -> Wanted:
    """Values for the required parameters and some of the others; at least one."""
    chosen = [asked for asked in offer.parameters if asked.required or rng.random() < OPTIONAL]
    chosen = chosen or [rng.choice(offer.parameters)]
    drawn = {asked.name: asked.draw(rng) for asked in chosen}
    return Wanted(
        offer, {name: said for name, (said, _) in drawn.items()}, {name: value for name, (_, value) in drawn.items()}
    )


def _said(made: Conversation, wanted: Wanted, rng: Random) -> str:
    spoken = any(message["role"] == "user" for message in made.messages)
    return request(wanted.offer, wanted.said, rng, after="turn" if spoken else "start")
