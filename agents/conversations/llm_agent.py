"""A language model in the agent's place, and if wanted in the user's too: each conversation at its own pace."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, Dialog
from agents.conversations.task import Goal, WorldTask
from agents.conversations.trajectory import TURNS, Case, Conversation, Trajectory
from agents.loop import loop
from agents.loop.context import ContextExhausted


@dataclass(frozen=True)
class Acting:
    """Limits of the model.

    Attributes:
        max_tokens, temperature: of a turn. A turn that is cut ends its conversation (`token_limit`).
        context_tokens: earlier tool outputs are hidden when a conversation no longer fits, then it ends
            (`context_exhausted`).
        max_steps: turns of the model in answer to one of the user's.
        plays_user: whether the model plays the user too, in requests of their own.
    """

    max_tokens: int
    temperature: float
    context_tokens: int
    max_steps: int
    plays_user: bool = False

    def options(self) -> loop.Options:
        """The loop's: what a request may have is the context without the answer."""
        room = self.context_tokens - self.max_tokens
        return loop.Options(max_steps=self.max_steps, context_tokens=room, parallel=1)


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


T = TypeVar("T")
Asking = Generator[ChatRequest, ChatAnswer, str | None]


def _dialog(
    client: ChatClient, case_index: int, case: Case, acting: Acting, on_done: Callable[[int, Trajectory], None]
) -> Dialog:
    user = ModelUser(case, acting) if acting.plays_user else case.user()
    conversation = Conversation(case, acting.options())
    answer: str | None = None
    for _ in range(TURNS):
        if isinstance(user, ModelUser):
            text = yield from user.says(conversation.messages)
        else:
            text = user.opening() if answer is None else user.reply(answer)
        if text is None:
            break
        answer = yield from _served(client, conversation, text, user.asked, acting)
        if answer is None:
            break
    on_done(case_index, conversation.ended())


def _served(client: ChatClient, conversation: Conversation, text: str, asked: Sequence[int], acting: Acting) -> Asking:
    """The agent's answer to a message of the user that adds the goals `asked`; None where it came to none."""
    case = conversation.case
    return (yield from led(client, conversation.serve(text, asked), case.declarations, acting, case.seed))


def led(
    client: ChatClient,
    working: Generator[list[loop.Message], loop.Message, T],
    tools: Sequence[Mapping[str, Any]],
    acting: Acting,
    seed: int,
) -> Generator[ChatRequest, ChatAnswer, T]:
    """Lets the model act in a loop (see `agents.loop.loop.steps`): yields its requests, returns what the loop does."""
    try:
        view = next(working)
        while True:
            request = ChatRequest(
                tuple(view), max_tokens=acting.max_tokens, temperature=acting.temperature, seed=seed, tools=tuple(tools)
            )
            if not client.fits(request):
                view = working.throw(ContextExhausted("the model's context is full"))
                continue
            answer = yield request
            if isinstance(answer, ChatRefusal):
                view = working.throw(_END[answer.kind](answer.reason))
            elif answer.finish_reason == "length":
                view = working.throw(loop.Truncated(f"a turn of {acting.max_tokens} tokens was cut"))
            else:
                view = working.send(loop.assistant(answer.text, answer.reasoning, answer.tool_calls))
    except StopIteration as end:
        said: T = end.value
        return said


_END: dict[str, type[Exception]] = {
    "refused": loop.Refused,
    "too_long": ContextExhausted,
    "failed": loop.InfrastructureError,
}


# ---- the user -------------------------------------------------------------------------------------------------------

END = "<end>"
PLAY = """You play a user who talks to an assistant of {desk}. You are the user, never the assistant.
Your manner: {persona}. Today is {today}.
What you want, one thing after the other:
{wishes}
Write one message at a time, in your own words, short and natural. Keep every name, number, date and id exactly as it
stands here. Tell nothing before it is asked where it says so, and invent nothing; say that you don't know what does not
stand here. Ask for the next thing when the one before is settled. When everything is settled, or you have lost your
patience after {patience} useless answers, write {end} and nothing else."""


class ModelUser:
    """A model that plays the user under the same wishes; all of them count as told in its first message.

    asked: numbers of the goals that its last message added.
    """

    def __init__(self, case: Case, acting: Acting) -> None:
        self.case, self.acting = case, acting
        self.asked: tuple[int, ...] = tuple(range(len(case.task.goals)))
        wishes = "\n".join(f"{k}. {line}" for k, line in enumerate(_wishes(case.task), 1))
        app = case.surface.app
        system = PLAY.format(
            desk=app.desk, persona=case.persona, today=app.today.isoformat(), wishes=wishes, patience=3, end=END
        )
        self.system: Mapping[str, Any] = {"role": "system", "content": system}

    def says(self, messages: Sequence[Mapping[str, Any]]) -> Asking:
        """Its next message; None when the user has gone, or the model gave none."""
        turned = _turned(messages)
        request = ChatRequest(
            (self.system, *turned), self.acting.max_tokens, self.acting.temperature, seed=self.case.seed
        )
        answer = yield request
        if isinstance(answer, ChatRefusal) or END in answer.text or not answer.text.strip():
            return None
        if len(turned) > 1:
            self.asked = ()
        return answer.text.strip()


def _turned(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The conversation as its user sees it: he is the assistant, and sees no calls."""
    seen = [m for m in messages if m["role"] == "user" or (m["role"] == "assistant" and m.get("content"))]
    turned = [{"role": "assistant" if m["role"] == "user" else "user", "content": m["content"]} for m in seen]
    return [{"role": "user", "content": "Hello, how can I help you?"}, *turned]


def _wishes(task: WorldTask) -> list[str]:
    return [" ".join(filter(None, (goal.says + ".", *_conditions(goal)))) for goal in task.goals]


def _conditions(goal: Goal) -> list[str]:
    """What the user holds back, gets wrong at first, or decides when he is asked."""
    lines = [f"If you are asked which one you mean: {goal.references[name].text}." for name in goal.missing]
    lines += [f"Only if you are asked who you are, say: {value}." for value in goal.credential.values()]
    if goal.slip:
        right = next(reference.id for reference in goal.references.values() if reference.kind == "id")
        lines.append(f"When you hear that {goal.slip} does not exist, say that you meant {right}.")
    if goal.expected == "declined":
        lines.append("When you are asked to confirm it, say no and leave it.")
    for name, value in goal.corrected.items():
        lines.append(f"When you are asked to confirm it, say yes, but with {value} as the {name.replace('_', ' ')}.")
    return lines
