"""The episodes of RL: one answer to a question, or a tool-use conversation in a simulated world."""

import json
from collections.abc import Sequence

from agents.judge import judge
from agents.tasks import EASY, Application, make_task
from agents.world.simulator import Simulator
from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status
from k2model.chat import encode_followup, encode_prompt
from k2model.parse import parse_completion
from k2model.tokenizer import K2Tokenizer


class Answer:
    """A task with one answer; `taskset` None means that nothing can verify it."""

    def __init__(self, tokenizer: K2Tokenizer, taskset: Elementary | None, task: Task) -> None:
        self.tokenizer, self.taskset, self.task = tokenizer, taskset, task
        self._said: str | None = None

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages))

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_completion(self.tokenizer.decode(completion))
        self._said = "" if parsed.errors or parsed.tool_calls else parsed.content
        return []

    def verdict(self) -> Result:
        if self._said is None:
            return Result(0.0, Status.NO_ANSWER, "cut before the answer ended")
        if self.taskset is None:
            return Result(None, Status.NO_ANSWER, "not verifiable")
        return self.taskset.score(self.task, self._said)

    def answer(self) -> str:
        return self._said or ""


TOOLS = "tools"
TOOL_BUDGET = 160


def tool_tasks(apps: Sequence[Application], n: int, seed: int) -> list[Task]:
    """Easy tool-use tasks as gym tasks; the payload names the application and the seed that make the whole task."""
    found = []
    for number in range(n):
        app = apps[(seed + number) % len(apps)]
        task = make_task(app, seed + number, 1, forms=EASY, distractors=1)
        found.append(
            Task(
                id=task.id,
                taskset=TOOLS,
                seed=seed + number,
                difficulty=0.0,
                domain=task.domain,
                messages=({"role": "system", "content": "Use the tools."}, {"role": "user", "content": task.request}),
                token_budget=TOOL_BUDGET,
                payload={"application": app.name, "seed": seed + number},
            )
        )
    return found


class ToolUse:
    """A conversation with tools in a simulated world; success is judged on the final state alone."""

    def __init__(self, tokenizer: K2Tokenizer, apps: Sequence[Application], task: Task, max_calls: int = 4) -> None:
        self.tokenizer, self.task, self.max_calls = tokenizer, task, max_calls
        self.app = next(app for app in apps if app.name == task.payload["application"])
        self.inner = make_task(self.app, task.payload["seed"], 1, forms=EASY, distractors=1)
        self.world = self.app.world(self.inner)
        tools = [self.app.tools[name] for name in self.inner.tools]
        self.simulator = Simulator(tools, self.world, task.payload["seed"])
        self.declared = [tool.declaration() for tool in tools]
        self.messages = [dict(message) for message in task.messages]
        self.over = False

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages), self.declared)

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_completion(self.tokenizer.decode(completion))
        self.messages.append(parsed.message())
        if not parsed.tool_calls or self.simulator.calls + len(parsed.tool_calls) > self.max_calls:
            self.over = True
            return []
        results = []
        for call in parsed.tool_calls:
            reply = self.simulator.call(call.name, json.loads(call.arguments))
            results.append({"role": "tool", "tool_call_id": call.id, "content": reply.text})
        self.messages += results
        return encode_followup(self.tokenizer, results)

    def verdict(self) -> Result:
        found = judge(self.app, self.inner, self.world, self.messages, "answered" if self.over else "token_limit")
        status = Status.SCORED if self.over else Status.NO_ANSWER
        return Result(float(found.kept), status, f"{found.verdict}: {found.reason}"[:160])

    def answer(self) -> str:
        return str(self.messages[-1].get("content") or "")
