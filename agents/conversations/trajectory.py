"""One conversation: a user, an agent and a world, turn by turn; and its replay from the messages alone."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.conversations.agents import Agent, prompt
from agents.conversations.held import Held
from agents.conversations.judge import Judgement, judge
from agents.conversations.planner import Planner
from agents.conversations.task import WorldTask
from agents.conversations.users import ScriptedUser, User
from agents.loop import loop
from agents.worlds.simulator import Noise, Simulator
from agents.worlds.surface import Surface
from agents.worlds.world import World
from k2model.chat.model_json import loads_arguments

NOISE = Noise(failure=0.01, rebuilding=0.01, timeout=0.015)
QUIET = Noise()
OPTIONS = loop.Options(max_steps=60, parallel=1)  # a world's trouble follows the order of the calls
TURNS = 40  # of a user


class Counted:
    """How long a conversation is."""

    messages: list[dict[str, Any]]

    @property
    def n_calls(self) -> int:
        return sum(len(message.get("tool_calls") or []) for message in self.messages)

    @property
    def n_turns(self) -> int:
        return sum(message["role"] == "assistant" for message in self.messages)


@dataclass(frozen=True)
class Trajectory(Counted):
    """The messages, the final state's hash and the verdict."""

    task: WorldTask
    agent: Agent
    persona: str
    seed: int
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    state_hash: str
    verdict: Judgement


@dataclass(frozen=True)
class Case:
    """Who serves whom at which desk; the seed draws the user's words, the agent's slips and the world's trouble."""

    surface: Surface
    task: WorldTask
    agent: Agent
    persona: str
    seed: int
    noise: Noise = NOISE

    @property
    def declarations(self) -> list[dict[str, Any]]:
        return [self.surface.tools[name].declaration() for name in self.task.tools]

    def user(self) -> ScriptedUser:
        return ScriptedUser(self.surface.app, self.task, self.persona, self.seed)


Talk = Generator[list[loop.Message], loop.Message, Trajectory]


class Conversation:
    """The user's turns in the task's world."""

    def __init__(self, case: Case, options: loop.Options = OPTIONS) -> None:
        self.case, self.options = case, options
        self.world = World.generate(case.surface.app, case.task.world_seed)
        self.simulator = Simulator(case.surface, self.world, case.seed, case.noise)
        self.messages: list[dict[str, Any]] = [
            {"role": "system", "content": prompt(case.agent, case.surface.app)},
        ]
        self.asked_at: dict[int, int] = {}
        self.stop, self.detail = loop.Stop.ANSWERED, ""

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """What a tool of the conversation returns, and whether it is an error."""
        reply = self.simulator.call(name, arguments)
        return reply.text, reply.error

    def verdict(self) -> Judgement:
        held = Held(self.case.surface, self.case.task, self.messages, self.simulator.log, self.world, self.asked_at)
        known = self.stop in (loop.Stop.REFUSED, loop.Stop.INFRASTRUCTURE)
        return judge(held, self.stop.value, self.detail if known else "")

    def serve(self, text: str, asked: Iterable[int]) -> Generator[list[loop.Message], loop.Message, str | None]:
        """Lets the agent serve one message of the user; its answer, or None where it came to none.

        Args:
            asked: numbers of the goals that the message adds.

        Raises:
            ContextExhausted, InfrastructureError, Refused, Truncated: only into it; they end the conversation.
        """
        self.asked_at |= dict.fromkeys(asked, len(self.messages))
        self.messages.append({"role": "user", "content": text})
        result = yield from loop.steps(self.call, self.messages, self.options, tools=self.case.declarations)
        self.messages, self.stop, self.detail = result.messages, result.stop, result.detail
        return str(self.messages[-1].get("content") or "") if self.stop is loop.Stop.ANSWERED else None

    def talk(self, user: User) -> Talk:
        """The whole conversation: yields what the agent sees, takes its message."""
        text: str | None = user.opening()
        for _ in range(TURNS):
            if text is None:
                break
            answer = yield from self.serve(text, user.asked)
            text = None if answer is None else user.reply(answer)
        return self.ended()

    def ended(self) -> Trajectory:
        case = self.case
        verdict, state = self.verdict(), self.world.state_hash()
        return Trajectory(
            case.task, case.agent, case.persona, case.seed, self.messages, case.declarations, state, verdict
        )


def simulate(case: Case) -> Trajectory:
    """Lets the planner serve the user in the agent's place; equal for equal arguments."""
    user, conversation = case.user(), Conversation(case)
    planner = Planner(case.agent, case.surface, case.task, user, conversation.world, case.seed)
    talk = conversation.talk(user)
    try:
        shown = next(talk)
        while True:
            shown = talk.send(planner(shown))
    except StopIteration as end:
        trajectory: Trajectory = end.value
        return trajectory


def replay(case: Case, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """(state hash, tool results) of the calls in `messages`, run again in a fresh world."""
    world = World.generate(case.surface.app, case.task.world_seed)
    simulator = Simulator(case.surface, world, case.seed, case.noise)
    outputs = {message["tool_call_id"]: str(message["content"]) for message in messages if message["role"] == "tool"}
    results = []
    for call in (call for message in messages for call in message.get("tool_calls") or []):
        if outputs[call["id"]].startswith(loop.NOT_RUN):
            results.append(outputs[call["id"]])
            continue
        results.append(simulator.call(call["function"]["name"], loads_arguments(call["function"]["arguments"])).text)
    return world.state_hash(), results
