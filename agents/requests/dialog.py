"""A conversation while it is written: messages, calls and their results in the OpenAI shape."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agents.requests.answers import act, filled, told, told_of_each
from agents.requests.results import Path, Simulator
from agents.requests.troubles import error, message_of
from agents.requests.wanted import Wanted
from agents.requests.wording import Speech, request
from k2model.chat.messages import call_id

Message = dict[str, Any]
Call = tuple[str, dict[str, Any]]  # name and arguments
GIVEN_UP = 0.12  # of calls that fail for a while: twice, then the agent says so


@dataclass(frozen=True)
class Done:
    """A call and its result."""

    wanted: Wanted
    result: dict[str, Any]


def assistant(text: str, reason: str) -> Message:
    """A message of the agent; without a reason it has no reasoning."""
    return {"role": "assistant", "content": text} | ({"reasoning_content": reason} if reason else {})


def called(calls: Sequence[Call], results: Sequence[str], first: int, reason: str = "") -> list[Message]:
    """A message with calls, and one with the result of each.

    Args:
        first: the number of the first call in the dialog.
    """
    made, told_back = [], list[Message]()
    for number, ((name, arguments), result) in enumerate(zip(calls, results, strict=True), first):
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        made.append({"id": call_id(name, number), "type": "function", "function": function})
        told_back.append({"role": "tool", "tool_call_id": call_id(name, number), "name": name, "content": result})
    return [assistant("", reason) | {"tool_calls": made}, *told_back]


@dataclass
class Dialog:
    """kinds: what each turn of the user is, of `writer.Turn`. gold: the calls, in order.

    busy: a server is, in one call more.
    """

    seed: int
    rng: Random
    register: str = "plain"
    thoughtful: bool = False
    busy: bool = False
    messages: list[Message] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    gold: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.simulator = Simulator(self.seed)

    # ---- words ---------------------------------------------------------------------------------------------------

    def think(self, situation: str, **parts: Any) -> str:
        """What a step is for, in a sentence; empty where the agent does not reason."""
        return filled(self.rng, "thought", situation, **parts) if self.thoughtful else ""

    def reason_for(self, wanted: Wanted) -> str:
        return self.think("call", t=wanted.offer.name, b=act(wanted.offer))

    def request_for(self, wanted: Wanted, after: str = "") -> str:
        """The user's sentence that asks for a call; after: as in `Speech`, or by what was said so far."""
        spoken = any(message["role"] == "user" for message in self.messages)
        speech = Speech(wanted.offer, wanted.said, {}, after or ("turn" if spoken else "start"))
        return request(speech, self.rng, self.register)

    def about(self, name: str, **parts: Any) -> str:
        """The agent's sentence of this kind about what went otherwise than hoped."""
        return filled(self.rng, "answer", name, **parts)

    # ---- messages ------------------------------------------------------------------------------------------------

    def user(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def say(self, text: str, reason: str) -> None:
        self.messages.append(assistant(text, reason))

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
        if results is None:
            results = [self.simulator.call(each.offer, each.arguments, paths, least) for each in wanted]
        calls = [(each.offer.name, each.arguments) for each in wanted]
        texts = [json.dumps(result, ensure_ascii=False) for result in results]
        self.messages += called(calls, texts, len(self.gold), reason)
        self.gold += calls
        return [Done(each, result) for each, result in zip(wanted, results, strict=True)]

    def attempt(self, wanted: Wanted, reason: str, paths: Sequence[Path] | None = None, least: int = 0) -> Done | None:
        """The call, twice where the server is busy; None when the agent gave up and said so.

        Args:
            paths, least: as in `Simulator.call`, of a call that others may go on from, and which is not given up.
        """
        if self.busy and (paths is None or self.rng.random() < 0.6):
            self.busy = False
            trouble = error("busy", wanted.offer, self.rng)
            self.call([wanted], reason, results=[trouble])
            reason = self.think("again")
            if paths is None and self.rng.random() < GIVEN_UP:
                self.call([wanted], reason, results=[trouble])
                self.say(self.about("unavailable", e=message_of(trouble)), self.think("given_up"))
                return None
        return self.call([wanted], reason, paths=paths or (), least=least)[0]

    def tell(self, done: Sequence[Done], before: str = "") -> None:
        """The agent's answer about results."""
        offers, results = [each.wanted.offer for each in done], [each.result for each in done]
        text = told_of_each(offers, results, self.rng) if len(done) > 1 else told(offers[0], results[0], self.rng)
        self.say(before + text, self.think("tell"))

    def finish(self, wanted: Wanted, reason: str = "", before: str = "") -> None:
        """The call and the answer about its result, after the sentences `before`."""
        done = self.attempt(wanted, reason or self.reason_for(wanted))
        if done is not None and not self.lost(done):
            self.tell([done], before)

    def lost(self, done: Done) -> bool:
        """Whether a call was about what was deleted before; the agent says so."""
        if list(done.result) != ["error"]:
            return False
        texts = [str(value) for value in done.wanted.arguments.values() if isinstance(value, str)]
        value = next(text for text in texts if text in message_of(done.result))
        reason = self.think("missing_record", v=value, p="name")
        self.say(self.about("not_found_end", v=value, p="record"), reason)
        return True
