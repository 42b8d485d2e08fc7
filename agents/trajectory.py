"""One trajectory: a user, an agent and a world, turn by turn; and its replay from the messages alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents import loop
from agents.judge import Verdict, judge
from agents.policy import Agent, Planner
from agents.tasks import Application, Task
from agents.users import Script
from agents.world.simulator import Noise, Simulator

NOISE = Noise(failure=0.04, empty=0.03, stale=0.06, slow=0.03, timeout=0.03)
OPTIONS = loop.Options(max_steps=60, parallel=1)  # a simulated world's noise follows the order of the calls


@dataclass(frozen=True)
class Trajectory:
    """The messages, the final state's hash and the verdict."""

    task: Task
    agent: Agent
    persona: str
    seed: int
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    state_hash: str
    verdict: Verdict

    @property
    def n_calls(self) -> int:
        return sum(len(message.get("tool_calls") or []) for message in self.messages)

    @property
    def n_turns(self) -> int:
        return sum(message["role"] == "assistant" for message in self.messages)


def simulate(app: Application, one: Script, agent: Agent, seed: int, noise: Noise = NOISE) -> Trajectory:
    """Lets the agent serve the user in the task's world; equal for equal arguments."""
    task = one.task
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, seed, noise)

    def toolbox(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        reply = simulator.call(name, arguments)
        return reply.text, reply.error

    tools = [app.tools[name].declaration() for name in task.tools]
    messages: list[dict[str, Any]] = [{"role": "system", "content": agent.system}]
    planner = Planner(agent, app, one, seed)
    stop = loop.Stop.ANSWERED
    for turn, said in enumerate(one.turns):
        planner.begin_turn(turn)
        result = loop.run(planner, toolbox, [*messages, {"role": "user", "content": said}], tools, OPTIONS)
        messages, stop = result.messages, result.stop
        if stop is not loop.Stop.ANSWERED:
            break
    verdict = judge(app, task, world, messages, stop.value, agent.policy.read_first)
    return Trajectory(task, agent, one.persona, seed, messages, tools, world.state_hash(), verdict)


def replay(
    app: Application, task: Task, messages: Sequence[Mapping[str, Any]], seed: int, noise: Noise = NOISE
) -> tuple[str, list[str]]:
    """(state hash, tool results) of the calls in `messages`, run again in a fresh world."""
    world = app.world(task)
    simulator = Simulator([app.tools[name] for name in task.tools], world, seed, noise)
    said = {message["tool_call_id"]: str(message["content"]) for message in messages if message["role"] == "tool"}
    results = []
    for call in (call for message in messages for call in message.get("tool_calls") or []):
        if said[call["id"]].startswith(loop.NOT_RUN):
            results.append(said[call["id"]])
            continue
        results.append(simulator.call(call["function"]["name"], json.loads(call["function"]["arguments"])).text)
    return world.state_hash(), results
