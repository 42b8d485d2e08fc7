"""One trajectory: a user, an agent and a world, turn by turn; and its replay from the messages alone."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.conversations.judge import Judgement, judge
from agents.conversations.planner import Agent, Planner
from agents.conversations.simulator import Noise, Simulator
from agents.conversations.tasks import Application, WorldTask
from agents.conversations.users import Script
from agents.loop import loop
from k2model.chat.model_json import loads_arguments

NOISE = Noise(failure=0.04, empty=0.03, stale=0.06, slow=0.03, timeout=0.03)
OPTIONS = loop.Options(max_steps=60, parallel=1)  # a simulated world's noise follows the order of the calls


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


Talk = Generator[list[loop.Message], loop.Message, Trajectory]


def simulate(app: Application, script: Script, agent: Agent, seed: int, noise: Noise = NOISE) -> Trajectory:
    """Lets a planner serve the user in the agent's place; equal for equal arguments."""
    planner = Planner(agent, app, script, seed)
    talk = conversation(app, script, agent, seed, noise, begin_turn=planner.begin_turn)
    try:
        shown = next(talk)
        while True:
            shown = talk.send(planner(shown, ()))
    except StopIteration as end:
        trajectory: Trajectory = end.value
        return trajectory


def conversation(
    app: Application,
    script: Script,
    agent: Agent,
    seed: int,
    noise: Noise = NOISE,
    options: loop.Options = OPTIONS,
    begin_turn: Callable[[int], None] = lambda turn: None,
) -> Talk:
    """The user's turns in the task's world: yields what the agent sees, takes its message, returns the trajectory.

    Args:
        begin_turn: called with the number of each turn of the user, before the agent is asked.
    """
    task = script.task
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, seed, noise)

    def toolbox(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        reply = simulator.call(name, arguments)
        return reply.text, reply.error

    tools = [app.tools[name].declaration() for name in task.tools]
    messages: list[dict[str, Any]] = [{"role": "system", "content": agent.system}]
    stop, detail = loop.Stop.ANSWERED, ""
    for turn, text in enumerate(script.turns):
        begin_turn(turn)
        result = yield from loop.steps(toolbox, [*messages, {"role": "user", "content": text}], options)
        messages, stop, detail = result.messages, result.stop, result.detail
        if stop is not loop.Stop.ANSWERED:
            break
    why = detail if stop in (loop.Stop.REFUSED, loop.Stop.INFRASTRUCTURE) else ""
    verdict = judge(app, task, world, messages, stop.value, agent.policy.read_first, why)
    return Trajectory(task, agent, script.persona, seed, messages, tools, world.state_hash(), verdict)


def replay(
    app: Application, task: WorldTask, messages: Sequence[Mapping[str, Any]], seed: int, noise: Noise = NOISE
) -> tuple[str, list[str]]:
    """(state hash, tool results) of the calls in `messages`, run again in a fresh world."""
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, seed, noise)
    outputs = {message["tool_call_id"]: str(message["content"]) for message in messages if message["role"] == "tool"}
    results = []
    for call in (call for message in messages for call in message.get("tool_calls") or []):
        if outputs[call["id"]].startswith(loop.NOT_RUN):
            results.append(outputs[call["id"]])
            continue
        results.append(simulator.call(call["function"]["name"], loads_arguments(call["function"]["arguments"])).text)
    return world.state_hash(), results
