"""The think–act loop as an episode of a benchmark: it yields what it asks, so that many episodes run side by side."""

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from agents.loop import Message, Options, Run, Stop, steps
from gym.benchmarks.base import Ask, ContextExceeded, Reply
from gym.benchmarks.swe_bench import Agent, Copy
from k2model.chat import call_id


def _message(reply: Reply, index: int) -> dict[str, Any]:
    """The assistant's message; ids are counted through the dialogue, whatever the server called them."""
    calls = [
        {**call, "id": call_id(str(call["function"]["name"]), index + k), "function": _function(call)}
        for k, call in enumerate(reply.tool_calls)
    ]
    said: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        said["reasoning_content"] = reply.reasoning
    return said | ({"tool_calls": calls} if calls else {})


def _function(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"name": str(call["function"]["name"]), "arguments": text}


def agent(options: Options) -> Agent:
    """Whoever answers works on the copy until it calls no tool, or a limit ends it."""

    def work(messages: Sequence[Message], copy: Copy) -> Generator[Ask, Reply, tuple[str, int]]:
        tools = copy.tools()
        loop = steps(copy.call, messages, options)
        made = asked = 0
        try:
            shown = next(loop)
            while True:
                reply = yield Ask(tuple(shown), tuple(tools))
                asked += 1
                shown = loop.send(_message(reply, made))
                made += len(reply.tool_calls)
        except ContextExceeded:
            return Stop.CONTEXT_EXHAUSTED.value, asked
        except StopIteration as end:
            run: Run = end.value
            return run.stop.value, run.steps

    return work
