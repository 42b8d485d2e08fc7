"""A language model in the agent's place: many conversations, each through the think–act loop at its own pace."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest, Dialog
from agents.conversations.planner import Agent
from agents.conversations.tasks import Application
from agents.conversations.trajectory import Trajectory, conversation
from agents.conversations.users import Script
from agents.loop import loop
from agents.loop.context import ContextExhausted
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
        max_tokens, temperature: of a turn. A turn that is cut ends its conversation (`token_limit`).
        context_tokens: a conversation that no longer fits ends (`context_exhausted`).
        max_steps: turns of the model in answer to one of the user's.
    """

    max_tokens: int
    temperature: float
    context_tokens: int
    max_steps: int


def act(client: ChatClient, cases: Iterable[Case], acting: Acting, on_done: Callable[[int, Trajectory], None]) -> None:
    """Leads the conversations to their ends, as many at once as the client asks at once; none waits for another.

    A refused turn ends its conversation (`refused`). A request's seed is its case's, so that equal cases are asked once
    and a run that was killed asks what was in flight alone.

    Args:
        cases: taken when there is room for another one.
        on_done: called in the calling thread with (index of the case, its conversation) when it has ended.

    Raises:
        ChatError: no request can be answered; what was answered before is in the client's store.
    """
    client.converse(_dialog(client, case_index, case, acting, on_done) for case_index, case in enumerate(cases))


def _dialog(
    client: ChatClient, case_index: int, case: Case, acting: Acting, on_done: Callable[[int, Trajectory], None]
) -> Dialog:
    options = loop.Options(max_steps=acting.max_steps, context_tokens=acting.context_tokens, parallel=1)
    talk = conversation(case.app, case.script, case.agent, case.seed, options=options)
    tools = tuple(case.app.tools[name].declaration() for name in case.script.task.tools)
    try:
        view = next(talk)
        while True:
            request = ChatRequest(
                tuple(view), max_tokens=acting.max_tokens, temperature=acting.temperature, seed=case.seed, tools=tools
            )
            if not client.fits(request):
                view = talk.throw(ContextExhausted("the model's context is full"))
                continue
            answer = yield request
            if isinstance(answer, ChatRefusal):
                view = talk.throw(_END[answer.kind](answer.reason))
            elif answer.finish_reason == "length":
                view = talk.throw(loop.Truncated(f"a turn of {acting.max_tokens} tokens was cut"))
            else:
                index = next_call_index(view)
                view = talk.send(loop.assistant(answer.text, answer.reasoning, answer.tool_calls, index))
    except StopIteration as end:
        on_done(case_index, end.value)


_END: dict[str, type[Exception]] = {
    "refused": loop.Refused,
    "too_long": ContextExhausted,
    "failed": loop.InfrastructureError,
}
