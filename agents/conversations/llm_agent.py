"""A language model in the agent's place: many conversations side by side, each through the think–act loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.chat.protocol import ChatClient, ChatRequest, ChatResponse
from agents.conversations.planner import Agent
from agents.conversations.tasks import Application
from agents.conversations.trajectory import Talk, Trajectory, conversation
from agents.conversations.users import Script
from agents.loop import loop
from k2model.chat.messages import next_call_index


@dataclass(frozen=True)
class Case:
    """Who serves whom, and the seed of the world's noise."""

    app: Application
    script: Script
    agent: Agent
    seed: int


@dataclass(frozen=True)
class Acting:
    """Limits of the model.

    Attributes:
        at_once: conversations side by side; a finished one makes room for the next.
        max_tokens, temperature: of a turn. A turn that is cut ends its conversation (`token_limit`).
        context_tokens: a conversation that no longer fits ends (`context_exhausted`).
        max_steps: turns of the model in answer to one of the user's.
    """

    at_once: int
    max_tokens: int
    temperature: float
    context_tokens: int
    max_steps: int


def act(
    client: ChatClient, cases: Sequence[Case], acting: Acting, on_done: Callable[[], None] = lambda: None
) -> list[Trajectory]:
    """The conversations, in the order of `cases`. A request's seed is its case's, so equal cases are asked once.

    Args:
        on_done: called when a conversation has ended.

    Raises:
        ChatError: the client can't answer; what it answered before is in its store.
    """
    options = loop.Options(max_steps=acting.max_steps, context_tokens=acting.context_tokens, parallel=1)
    done: dict[int, Trajectory] = {}
    live: dict[int, tuple[Talk, list[loop.Message]]] = {}
    coming = iter(enumerate(cases))

    def go_on(place: int, talk: Talk, answer: ChatResponse | None, view: Sequence[loop.Message] = ()) -> None:
        try:
            if answer is None:
                live[place] = talk, next(talk)
            elif answer.finish_reason == "length":
                live[place] = talk, talk.throw(loop.Truncated(f"a turn of {acting.max_tokens} tokens was cut"))
            else:
                said = loop.assistant(answer.text, answer.reasoning, answer.tool_calls, next_call_index(view))
                live[place] = talk, talk.send(said)
        except StopIteration as end:
            done[place] = end.value
            live.pop(place, None)
            on_done()

    while True:
        while len(live) < acting.at_once and (one := next(coming, None)) is not None:
            place, case = one
            go_on(place, conversation(case.app, case.script, case.agent, case.seed, options=options), None)
        if not live:
            return [done[place] for place in range(len(cases))]
        asked = list(live.items())
        requests = [_request(cases[place], view, acting) for place, (_, view) in asked]
        for (place, (talk, view)), answer in zip(asked, client.complete(requests), strict=True):
            go_on(place, talk, answer, view)


def _request(case: Case, view: Sequence[loop.Message], acting: Acting) -> ChatRequest:
    tools = tuple(case.app.tools[name].declaration() for name in case.script.task.tools)
    return ChatRequest(
        tuple(view), max_tokens=acting.max_tokens, temperature=acting.temperature, seed=case.seed, tools=tools
    )
