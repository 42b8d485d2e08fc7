"""The think–act loop as an episode of a benchmark: it yields what it asks, so that many episodes run side by side."""

from collections.abc import Generator, Sequence

from agents.loop.loop import Message, Options, Run, Stop, assistant, steps
from gym.benchmarks.base import Ask, ContextExceeded, Reply
from gym.benchmarks.swe_bench import Agent, Copy


def agent(options: Options) -> Agent:
    """Whoever answers works on the copy until it calls no tool, or a limit ends it."""

    def work(messages: Sequence[Message], copy: Copy) -> Generator[Ask, Reply, tuple[str, int]]:
        tools = copy.tools()
        loop = steps(copy.call, messages, options, tools=tools)
        asked = 0
        try:
            shown = next(loop)
            while True:
                reply = yield Ask(tuple(shown), tuple(tools))
                asked += 1
                shown = loop.send(assistant(reply.text, reply.reasoning, reply.tool_calls))
        except ContextExceeded:
            return Stop.CONTEXT_EXHAUSTED.value, asked
        except StopIteration as end:
            run: Run = end.value
            return run.stop.value, run.steps

    return work
