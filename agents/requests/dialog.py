"""A conversation while it is written: messages, calls and their results in the OpenAI shape."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agents.requests.answers import told, told_of_each
from agents.requests.offers import Asked, Offer
from agents.requests.results import Path, Simulator
from agents.requests.thoughts import thought
from agents.requests.values import later

Message = dict[str, Any]
OPTIONAL = 0.45  # of optional parameters: given
EARLIER = ("reply_by",)  # dates that come before the others


@dataclass(frozen=True)
class Wanted:
    """A call that is asked for: what is said of it, and what it must hold, by declared name."""

    offer: Offer
    said: dict[str, Any]
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A call and its result."""

    wanted: Wanted
    result: dict[str, Any]


@dataclass
class Dialog:
    """kinds: what each turn of the user is, of `writer.Turn`. gold: the calls, in order."""

    seed: int
    rng: Random
    register: str = "plain"
    thoughtful: bool = False
    messages: list[Message] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    gold: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.simulator = Simulator(self.seed)

    def think(self, situation: str, **parts: Any) -> str:
        return thought(self.rng, situation, **parts) if self.thoughtful else ""

    def user(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def say(self, text: str, reason: str) -> None:
        self._assistant(text, reason)

    def _assistant(self, text: str, reason: str, **more: Any) -> None:
        reasoning = {"reasoning_content": reason} if reason else {}
        self.messages.append({"role": "assistant", "content": text} | reasoning | more)

    def call(
        self,
        wanted: Sequence[Wanted],
        reason: str,
        *,
        paths: Sequence[Path] = (),
        least: int = 0,
        results: Sequence[dict[str, Any]] | None = None,
    ) -> list[Done]:
        """The agent's calls of one message, and what they return: `results`, or what the simulator says."""
        calls = []
        for each in wanted:
            name, arguments = each.offer.name, each.arguments
            function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
            calls.append({"id": f"functions.{name}:{len(self.gold)}", "type": "function", "function": function})
            self.gold.append((name, arguments))
        self._assistant("", reason, tool_calls=calls)
        if results is None:
            results = [self.simulator.call(each.offer, each.arguments, paths, least) for each in wanted]
        for call, each, given in zip(calls, wanted, results, strict=True):
            content = json.dumps(given, ensure_ascii=False)
            message = {"role": "tool", "tool_call_id": call["id"], "name": each.offer.name, "content": content}
            self.messages.append(message)
        return [Done(each, given) for each, given in zip(wanted, results, strict=True)]

    def tell(self, done: Sequence[Done], before: str = "") -> None:
        """The agent's answer about results."""
        offers, results = [each.wanted.offer for each in done], [each.result for each in done]
        text = told_of_each(offers, results, self.rng) if len(done) > 1 else told(offers[0], results[0], self.rng)
        self.say(before + text, self.think("tell"))


def want(
    offer: Offer,
    rng: Random,
    known: Mapping[str, Any] | None = None,
    linked: Collection[str] = (),
    after: str = "",
) -> Wanted:
    """A call with values for the required parameters and some of the others, at least one where there is any.

    Dates come one after the other, and two of a kind (cities, units) differ.

    Args:
        known: values that are not drawn and not said, by declared name, as an earlier call or result held them.
        linked: parameters whose values are still to come. after: an ISO date that others follow.
    """
    known = known or {}
    open_to = [asked for asked in offer.parameters if asked.name not in linked]
    chosen = [asked for asked in open_to if asked.required or asked.name in known or rng.random() < OPTIONAL]
    if not chosen and not linked and offer.parameters:
        chosen = [rng.choice(offer.parameters)]
    if offer.tool is not None:
        order = {parameter.name: place for place, parameter in enumerate(offer.tool.parameters)}
        chosen.sort(key=lambda asked: order[asked.stem])
    said: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    days = [after] if after else []
    times: list[str] = []
    for asked in chosen:
        base = asked.type.base if asked.type is not None else ""
        if asked.name in known:
            arguments[asked.name] = asked.written(known[asked.name])
            days += [known[asked.name]] if base == "date" else []
            continue
        said[asked.name], arguments[asked.name] = asked.draw(rng)
        if base == "date":
            day = later(days[-1], rng) if days else said[asked.name]
            said[asked.name], arguments[asked.name] = day, asked.spelled(day)
            days.append(day)
        elif base == "time":
            times.append(said[asked.name])
        elif base in ("pool", "enum") and asked.type is not None and (base == "pool" or asked.stem.endswith("_unit")):
            for _ in range(4):
                if not _taken(asked, arguments, chosen):
                    break
                said[asked.name], arguments[asked.name] = asked.draw(rng)
    _sort(offer, said, arguments, times)
    ordered = [asked.name for asked in offer.parameters]
    return Wanted(
        offer,
        {name: said[name] for name in ordered if name in said},
        {name: arguments[name] for name in ordered if name in arguments},
    )


def _taken(asked: Asked, arguments: Mapping[str, Any], chosen: Sequence[Asked]) -> bool:
    """Whether another parameter of the same kind has the value."""
    return any(
        other.name != asked.name and other.type == asked.type and arguments.get(other.name) == arguments[asked.name]
        for other in chosen
    )


def _sort(offer: Offer, said: dict[str, Any], arguments: dict[str, Any], times: Sequence[str]) -> None:
    """What is before comes before: the times of a call, and a date to answer by before the day."""
    timed = [a for a in offer.parameters if a.type is not None and a.type.base == "time" and a.name in said]
    if len(timed) > 1 and offer.tool is not None:
        order = {parameter.name: place for place, parameter in enumerate(offer.tool.parameters)}
        timed.sort(key=lambda asked: order[asked.stem])
        for asked, time in zip(timed, sorted(times), strict=True):
            said[asked.name] = arguments[asked.name] = time
    dated = [a for a in offer.parameters if a.type is not None and a.type.base == "date" and a.name in said]
    early = next((asked for asked in dated if asked.stem in EARLIER), None)
    other = next((asked for asked in dated if asked.stem not in EARLIER), None)
    if early is not None and other is not None:
        days = sorted((said[early.name], said[other.name]))
        for asked, day in zip((early, other), days, strict=True):
            said[asked.name], arguments[asked.name] = day, asked.spelled(day)
