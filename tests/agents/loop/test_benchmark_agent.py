"""The think–act loop as an episode: the caller asks the model, the copy's tools run here."""

from collections.abc import Mapping
from typing import Any

import pytest

from agents.loop.benchmark_agent import agent
from agents.loop.loop import Options
from gym.benchmarks.base import Ask, ContextExceeded, Reply
from gym.sandbox import SandboxError

START = ({"role": "user", "content": "go"},)


class Notes:
    """A copy that notes what was called."""

    def __init__(self, broken: bool = False) -> None:
        self.called: list[str] = []
        self.broken = broken

    def tools(self) -> list[dict[str, Any]]:
        return [{"type": "function", "function": {"name": "note", "parameters": {}}}]

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        if self.broken:
            raise SandboxError("no machine")
        self.called.append(str(arguments["text"]))
        return f"noted {arguments['text']}" + "." * 4000, False

    def patch(self) -> str:
        return "".join(self.called)


def _reply(*texts: Any) -> Reply:
    calls = [{"id": "same", "type": "function", "function": {"name": "note", "arguments": text}} for text in texts]
    return Reply("", "I think.", tuple(calls))


def test_calls_are_run_and_counted_whatever_the_server_calls_them() -> None:
    notes = Notes()
    work = agent(Options(parallel=1))(START, notes)
    ask = next(work)
    assert isinstance(ask, Ask) and ask.messages == START and ask.tools[0]["function"]["name"] == "note"
    ask = work.send(_reply('{"text": "a"}', {"text": "b"}))  # some servers give arguments as an object
    ask = work.send(_reply('{"text": "c"}'))
    ids = [call["id"] for message in ask.messages for call in message.get("tool_calls") or []]
    assert ids == ["functions.note:0", "functions.note:1", "functions.note:2"]
    assert [m["tool_call_id"] for m in ask.messages if m["role"] == "tool"] == ids
    assert ask.messages[1]["reasoning_content"] == "I think."
    assert "not JSON" in str(work.send(_reply("{")).messages[-1]["content"])
    with pytest.raises(StopIteration) as end:
        work.send(Reply("done"))
    assert end.value.value == ("answered", 4)
    assert notes.patch() == "abc"


def test_limits_a_full_context_and_a_broken_machine_end_it_with_their_name() -> None:
    work = agent(Options(max_steps=1))(START, Notes())
    next(work)
    with pytest.raises(StopIteration) as end:
        work.send(_reply('{"text": "a"}'))
    assert end.value.value == ("step_limit", 1)

    work = agent(Options())(START, Notes())
    next(work)
    with pytest.raises(StopIteration) as end:
        work.throw(ContextExceeded())
    assert end.value.value == ("context_exhausted", 0)

    work = agent(Options(retries=1))(START, Notes(broken=True))
    next(work)
    with pytest.raises(StopIteration) as end:
        work.send(_reply('{"text": "a"}'))
    assert end.value.value == ("infrastructure", 1)


def test_the_declared_tools_take_their_room_of_the_context() -> None:
    class Wordy(Notes):
        def tools(self) -> list[dict[str, Any]]:
            return [{"type": "function", "function": {"name": "note", "description": "d" * 3000, "parameters": {}}}]

    with pytest.raises(StopIteration) as end:
        next(agent(Options(context_tokens=1000))(START, Wordy()))
    assert end.value.value == ("context_exhausted", 0)
    next(agent(Options(context_tokens=1500))(START, Wordy()))


def test_old_outputs_are_hidden_when_the_context_is_full() -> None:
    work = agent(Options(context_tokens=3500))(START, Notes())
    ask, hidden = next(work), []
    for text in ("a", "b", "c", "d"):
        ask = work.send(_reply(f'{{"text": "{text}"}}'))
        hidden.append(sum(str(m["content"]).startswith("[hidden") for m in ask.messages if m["role"] == "tool"))
    assert hidden == [0, 0, 2, 2]
